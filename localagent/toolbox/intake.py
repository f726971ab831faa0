"""Pictures that a person gives: files, pages of a PDF, and films as a few of their frames.

What a file is, its bytes say and not its name. Every decoder runs in the sandbox, without network, and sees that one
file; what comes out of it are plain pixels, which are kept in the session's folder (`store.picture`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import LocalAgentError, SandboxUnavailable, UsageError
from ..sandbox import launch
from ..store import picture
from ..values import Image, Part, Text

MOST = 8
"""Pictures in one message."""
FRAMES = 6
_BYTES = 60_000_000
_FRAME_PIXELS = picture.PIXELS // 4
_ROOT = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from localagent.toolbox.lens import main; main()"
_LIMITS = launch.Limits(wall_s=40, memory_mb=2048, processes=64, file_mb=64, output_kb=(picture.PIXELS * 3 >> 10) + 64)
_PAGES = re.compile(r"(.+)#(\d{1,5})(?:-(\d{1,5}))?", re.DOTALL)
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "picture"), (0, b"\xff\xd8\xff", "picture"), (0, b"GIF8", "picture"), (8, b"WEBP", "picture"),
    (0, b"BM", "picture"), (0, b"II*\0", "picture"), (0, b"MM\0*", "picture"), (0, b"%PDF-", "pdf"), (4, b"ftypheic", "heic"),
    (4, b"ftypheix", "heic"), (4, b"ftypmif1", "heic"), (4, b"ftypavif", "heic"), (4, b"ftyp", "film"),
    (0, b"\x1a\x45\xdf\xa3", "film"), (8, b"AVI ", "film"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is to be shown; of a PDF the pages from `first` to `last`, (0, 0) where none were named."""

    path: Path
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture on its way: its file's bytes, what is said of it, and how large it may be."""

    data: bytes
    told: str
    pixels: int = picture.PIXELS


class Unseen(UsageError):
    """A picture that cannot be shown: why, and what would help."""


def wanted(word: str, folder: Path) -> Wanted:
    """`FILE`, or `FILE#2` and `FILE#2-4` for pages. A file of that very name goes first."""
    path = _inside(folder, word)
    if not path.exists() and (pages := _PAGES.fullmatch(word)):
        first, last = int(pages[2]), int(pages[3] or pages[2])
        return Wanted(_inside(folder, pages[1]), first, max(first, last))
    return Wanted(path)


def kind(path: Path) -> str:
    """`picture`, `pdf`, `film`, `heic`, or "" for anything else and what cannot be read: by the first bytes."""
    try:
        with open(_opened(path), "rb") as file:
            head = file.read(16)
    except OSError:
        return ""
    return next((found for at, magic, found in _MAGIC if head[at : at + len(magic)] == magic), "")


def refuse(one: Wanted) -> None:
    """Raises `Unseen` for a file that is not there or is nothing that could be shown."""
    found, name = kind(one.path), _name(one.path)
    if found == "heic":
        raise Unseen(f"{name} is a HEIC or AVIF picture, which is not read here.", "Save it as JPEG or PNG.")
    if found:
        return
    if not one.path.exists():
        raise Unseen(f"There is no file {_name(one.path, whole=True)}.", "Check the path.")
    raise Unseen(f"{name} is no picture, PDF or film that can be shown.", "PNG, JPEG, GIF, WebP, BMP and TIFF files can be.")


def _name(path: Path, *, whole: bool = False) -> str:
    """A file's name for a line of text, whatever stands in it."""
    name = str(path) if whole else path.name
    return name if name.isprintable() else ascii(name)


async def take(given: Sequence[Wanted], place: Path, *, before: int = 0) -> tuple[Part, ...]:
    """Each picture with the line that names it, kept in the session's folder `place`; `before` are in the message already.

    Raises `Unseen`, StoreError, and SandboxUnavailable where there is nothing to decode them in.
    """
    parts: list[Part] = []
    for one in given:
        for frame in await _frames(one):
            number = before + sum(isinstance(part, Image) for part in parts) + 1
            if number > MOST:
                raise Unseen(f"{MOST} pictures are the most in one message.", "Give the others with the next one.")
            parts += await _kept(frame, place, number)
    return tuple(parts)


async def take_bytes(data: bytes, name: str, place: Path, *, before: int = 0) -> tuple[Part, ...]:
    """The same for one picture that is no file: from the clipboard or the screen. Raises as `take` does."""
    return await _kept(Frame(data, name), place, before + 1)


async def convert(data: bytes, place: Path, sha256: str) -> bool:
    """Make the file of a tool's picture one that a model can be shown; False where it cannot be."""
    try:
        await converted(data, place, sha256)
    except LocalAgentError:
        return False
    return True


async def converted(data: bytes, place: Path, sha256: str) -> None:
    """The same, saying why it cannot be. Raises as `take` does."""
    await _pixels(Frame(data, "It"), place, sha256)


async def _kept(frame: Frame, place: Path, number: int) -> tuple[Part, ...]:
    name, facts = await _pixels(frame, place)
    return Text(f"\n[picture {number}: {frame.told}, {facts}]"), Image(name)


async def _pixels(frame: Frame, place: Path, original: str = "") -> tuple[str, str]:
    """The name of the kept file, and its size in words."""
    argv = [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, str(_ROOT), str(frame.pixels)]
    output = await _run(argv, launch.Profile(limits=_LIMITS), frame.told, frame.data)
    line, _, body = output.partition(b"\n")
    try:
        head = json.loads(line)
        if error := head.get("error"):
            raise Unseen(f"{frame.told} cannot be shown: {str(error)[:300]}.", "Give it as a PNG or JPEG file.")
        wide, high, (full_wide, full_high) = int(head["wide"]), int(head["high"]), head["of"]
        data = picture.encode(wide, high, body)
        facts = f"{int(full_wide)} x {int(full_high)}"
        moves = int(head["frames"]) > 1
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unseen(f"{frame.told} cannot be shown: the decoder broke off.", "Give it as a PNG or JPEG file.") from None
    facts += f", shown at {wide} x {high}" if facts != f"{wide} x {high}" else ""
    return picture.keep(place, data, original), facts + (", its first frame" if moves else "")


# ---------------------------------------------------------------- what a file holds


async def _frames(one: Wanted) -> list[Frame]:
    refuse(one)
    match kind(one.path):
        case "pdf":
            return await _pages(one)
        case "film":
            return await _film(one.path)
    return [Frame(_bytes(one.path), _name(one.path))]


async def _pages(one: Wanted) -> list[Frame]:
    program, facts = _program("pdftoppm", "poppler-utils"), _program("pdfinfo", "poppler-utils")
    name, seen = _name(one.path), launch.Profile(readable=(str(one.path),), limits=_LIMITS)
    said = (await _run([facts, str(one.path)], seen, name)).decode("utf-8", "replace")
    counted = re.search(r"^Pages:\s+(\d+)", said, re.MULTILINE)
    count = int(counted[1]) if counted else 0
    first, last = one.first or 1, one.last or 1
    if not 0 < first <= last <= count:
        raise Unseen(f"{name} has {count} pages; {first if first == last else f'{first} to {last}'} is not among them.", "")
    if last - first >= MOST:
        raise Unseen(f"{MOST} pages of a PDF are the most in one message.", f"For example {name}#{first}-{first + MOST - 1}.")
    found = []
    for page in range(first, last + 1):
        argv = [program, "-f", str(page), "-l", str(page), "-scale-to", "1448", str(one.path)]
        limits = launch.Limits(wall_s=40, memory_mb=2048, processes=64, file_mb=64, output_kb=8192)
        data = await _run(argv, launch.Profile(readable=(str(one.path),), limits=limits), name)
        found.append(Frame(data, f"{name} page {page} of {count}"))
    return found


async def _film(path: Path) -> list[Frame]:
    program, facts = _program("ffmpeg", "ffmpeg"), _program("ffprobe", "ffmpeg")
    limits = launch.Limits(wall_s=40, memory_mb=3072, processes=64, file_mb=64, output_kb=8192)
    seen = launch.Profile(readable=(str(path),), limits=limits)
    asked = "format=duration:stream=codec_type"
    said = await _run([facts, "-v", "error", "-show_entries", asked, "-of", "json", str(path)], seen, _name(path))
    try:
        read = json.loads(said)
        seconds = float(read["format"]["duration"])
        streams = {str(stream.get("codec_type")) for stream in read["streams"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unseen(f"{_name(path)} cannot be shown: how long it is cannot be read.", "") from None
    if "video" not in streams:
        raise Unseen(f"{_name(path)} has no pictures, only sound, and sound is not heard here.", "")
    count = FRAMES if seconds >= 2 else 1
    lost = f"{count} frame{'s' if count > 1 else ''} of {seconds:.0f} s, no sound"
    found = []
    for number in range(count):
        at = seconds * (number + 0.5) / count
        argv = [program, "-v", "error", "-nostdin", "-ss", f"{at:.2f}", "-i", str(path), "-frames:v", "1", "-vf"]
        argv += ["scale='min(1024,iw)':-2", "-f", "image2pipe", "-c:v", "ppm", "-"]
        data = await _run(argv, seen, _name(path))
        if data:
            found.append(Frame(data, f"{_name(path)} at {_clock(at)} ({lost})", _FRAME_PIXELS))
    if not found:
        raise Unseen(f"{_name(path)} cannot be shown: no frame of it can be read.", "")
    return found


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unseen(f"That needs the program {name}, which is not installed.", f"Install {package}, or give a picture of it.")
    return found


async def _run(argv: Sequence[str], profile: launch.Profile, name: str, given: bytes = b"") -> bytes:
    """What the program wrote. Raises `Unseen` where it failed; a second try where the boundary could not be set up."""
    for left in (True, False):
        try:
            process = await launch.start(argv, profile=profile, cwd="/", stdin=bool(given), merge=False)
            async with process:
                if given:
                    process.write(given)
                    process.close_stdin()
                output = b"".join([chunk async for chunk in process])
                code = await process.wait()
            break
        except SandboxUnavailable:
            if not left:
                raise
    if process.ended:
        why = {"timeout": "it takes too long", "memory": "it needs too much memory", "output": "it is too large"}
        raise Unseen(f"{name} cannot be shown: {why.get(process.ended, 'its decoder was stopped')}.", "Give a smaller one.")
    if code != 0:
        said = process.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unseen(f"{name} cannot be shown: {' '.join((said[-1] if said else f'code {code}').split())[:200]}.", "")
    return output


# ---------------------------------------------------------------- files


def _inside(folder: Path, word: str) -> Path:
    return Path(os.path.normpath(folder / os.path.expanduser(word)))


def _opened(path: Path) -> int:
    """A descriptor of a plain file: a pipe or a device would wait for ever. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no plain file")
    return descriptor


def _bytes(path: Path) -> bytes:
    try:
        with open(_opened(path), "rb") as file:
            data = file.read(_BYTES + 1)
    except OSError as error:
        raise Unseen(f"{_name(path)} cannot be read: {error.strerror or error}.", "Check its permissions.") from None
    if len(data) > _BYTES:
        raise Unseen(f"{_name(path)} is larger than {_BYTES // 1_000_000} MB.", "Give a smaller one.")
    return data
