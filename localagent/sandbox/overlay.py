"""A workspace too large to copy, overlaid for one call: only what a program writes takes time and space.

The kernel keeps what was written in a folder of ours (upper). From it and the workspace this
module says which part of the workspace was concerned, as if that part had been copied.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..store.files import remove_tree
from . import overlaid
from .difference import Seen
from .profile import Overlay

_ORIGIN = ("trusted.overlay.origin", "user.overlay.origin")
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_TICK_S = 0.01
_TRY_S = 10.0
# NFS, SMB (three times), FUSE, 9P, Ceph: what changed since is told by times, which these take from elsewhere.
_REMOTE = frozenset((0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x65735546, 0x01021997, 0x00C36400))
# (disk of the folder, disk of its overlay) -> why the kernel does not permit it, "" where it does.
_tried: dict[tuple[int, int], str] = {}


def command(overlay: Overlay) -> list[str]:
    """What a program's own command is put behind, so that it starts with the overlay or not at all."""
    script = str(Path(overlaid.__file__).resolve())
    return [sys.executable, "-I", "-S", script, overlay.folder, overlay.upper, overlay.work]


async def opened(folder: str, place: str) -> tuple[Overlay, int] | str:
    """An overlay of `folder` whose parts lie in `place`, tried once for each disk, and the time (ns) from which a change
    of the folder is somebody else's; or a sentence that says why there can be none."""
    if not sys.platform.startswith("linux"):
        return "There are no overlays on this system."
    if inner := await asyncio.to_thread(_mount_beneath, folder):
        return f"It cannot be overlaid either, for {inner} is another disk."
    if await asyncio.to_thread(overlaid.kind, os.fsencode(folder)) in _REMOTE:
        return "It cannot be overlaid either, for it lies on another machine, whose clock is not ours."
    overlay = Overlay(folder, os.path.join(place, "upper"), os.path.join(place, "work"))
    for path in (overlay.upper, overlay.work):
        os.mkdir(path, 0o700)
    disks = (os.stat(folder).st_dev, os.stat(place).st_dev)
    if disks not in _tried:
        _tried[disks] = await _try(overlay)
    if _tried[disks]:
        remove(overlay)
        return f"It cannot be overlaid either: {_tried[disks]}."
    begun = time.time_ns()
    # File times are coarse: what is written after two ticks is told from what was written before now.
    await asyncio.sleep(2 * _TICK_S)
    return overlay, begun + int(_TICK_S * 1e9)


async def _try(overlay: Overlay) -> str:
    """Why the kernel does not permit it; "" where it does."""
    process = await asyncio.create_subprocess_exec(
        *command(overlay),
        "/bin/true",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _TRY_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        said = b"it takes too long"
    return said.decode(errors="replace").strip()[:200] or "it was refused" if process.returncode else ""


def _mount_beneath(folder: str) -> str:
    """Another file system inside the folder, which an overlay would not show; "" where there is none."""
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            path = line.split(" ")[4].encode("latin-1", "surrogateescape").decode("unicode_escape", "replace")
            if path.startswith(folder.rstrip("/") + "/"):
                return path
    return ""


class Concerned:
    """What of the workspace a call concerned: `original` as it was, `left_out` what is no file, folder or link."""

    def __init__(self, overlay: Overlay, begun: int, closed: Sequence[str]) -> None:
        self._overlay = overlay
        self._begun = begun
        self._settled = False
        self.original: dict[str, Seen] = {}
        self.left_out: list[str] = []
        top = overlay.folder.rstrip("/") + "/"
        self.closed = sorted(path[len(top) :] for path in closed if path.startswith(top))

    def settle(self) -> None:
        """Read the marks in the upper folder, and take them away so that only files are left there. Once."""
        pending = [] if self._settled else [""]
        self._settled = True
        while pending:
            folder = pending.pop()
            real = os.path.join(self._overlay.upper, folder)
            mode = stat.S_IMODE(os.lstat(real).st_mode)
            os.chmod(real, mode | 0o700)
            with os.scandir(real) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            pending += [path for entry in found if (path := self._entry(os.path.join(folder, entry.name), entry))]
            if folder:
                os.chmod(real, mode)

    def _entry(self, path: str, entry: os.DirEntry[str]) -> str:
        """Take note of one entry; a folder's path is returned, to be looked into."""
        info = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            os.unlink(entry.path)
            self._was(path, deep=True)
            return ""
        marks = _marks(entry.path)
        folder = stat.S_ISDIR(info.st_mode)
        self._was(path, deep=folder and any(name in marks for name in _OPAQUE))
        if path not in self.original and any(name in marks for name in _ORIGIN) and self._touched_above(path):
            # It may have been here and been removed meanwhile: nobody may be told that it is new.
            self.original[path] = _changed_since(Seen.of(info))
        for name in marks:
            os.removexattr(entry.path, name, follow_symlinks=False)
        return path if folder else ""

    def _touched_above(self, path: str) -> bool:
        """Whether names came or went since in the workspace's folder that holds this path, or would."""
        while path:
            path = os.path.dirname(path)
            with contextlib.suppress(OSError):
                return os.lstat(os.path.join(self._overlay.folder, path)).st_ctime_ns >= self._begun
        return True

    def _was(self, path: str, *, deep: bool) -> None:
        """Note what the workspace has at `path`, with `deep` also all that is beneath it."""
        pending = [path]
        while pending:
            here = pending.pop()
            real = os.path.join(self._overlay.folder, here)
            try:
                seen = Seen.of(os.lstat(real))
            except OSError:
                continue
            if here in self.closed or not (seen.folder or seen.link or seen.file):
                self.left_out.append(here)
                continue
            self.original[here] = _changed_since(seen) if seen.ctime_ns >= self._begun and not seen.folder else seen
            # A file where now a folder is hides what was beneath it, and the other way round.
            if seen.folder and (deep or not os.path.isdir(os.path.join(self._overlay.upper, here))):
                with contextlib.suppress(OSError), os.scandir(real) as entries:
                    pending += [os.path.join(here, entry.name) for entry in entries]


def _marks(path: str) -> list[str]:
    return [name for name in os.listxattr(path, follow_symlinks=False) if ".overlay." in name]


def _changed_since(seen: Seen) -> Seen:
    """The same, so that no later look can equal it."""
    return Seen(seen.mode, seen.size, 0, seen.mtime_ns, 0)


def remove(overlay: Overlay) -> None:
    for path in (overlay.upper, overlay.work):
        remove_tree(path)
