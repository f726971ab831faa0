"""Pictures that a person gives: what they are, how they come out of the sandbox, and what a bad one costs."""

from __future__ import annotations

import asyncio
import io
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image as Files

from localagent.sandbox import launch
from localagent.store import picture
from localagent.toolbox import intake, lens
from localagent.values import Image, Part, Text

sandboxed = pytest.mark.skipif(launch.probe().name == "none", reason="there is no sandbox here")


def taken(*words: str, folder: Path) -> tuple[Part, ...]:
    wanted = [intake.wanted(word, folder) for word in words]
    return asyncio.run(intake.take(wanted, folder / "kept"))


def told(parts: tuple[Part, ...]) -> list[str]:
    return [part.text.strip() for part in parts if isinstance(part, Text)]


def points(folder: Path, part: Part) -> tuple[int, int, bytes]:
    assert isinstance(part, Image)
    return picture.decode(picture.read(folder / "kept", part.sha256))


def photo(path: Path, turn: int = 6, size: tuple[int, int] = (1200, 900)) -> None:
    """Red at the left and blue at the right, with a note of how the camera was held."""
    made = Files.new("RGB", size, "blue")
    made.paste("red", (0, 0, size[0] // 2, size[1]))
    exif = made.getexif()
    exif[0x0112] = turn
    made.save(path, exif=exif)


@sandboxed
def test_a_photo_is_turned_and_scaled_and_named(tmp_path: Path) -> None:
    photo(tmp_path / "me.jpg", size=(2400, 1800))
    line, image = taken("me.jpg", folder=tmp_path)
    assert told((line,)) == ["[picture 1: me.jpg, 1800 x 2400, shown at 886 x 1182]"]
    wide, high, data = points(tmp_path, image)
    # Turned by a quarter: what was at the left is above.
    assert (wide, high) == (886, 1182) and data[0] > 200 and data[2] < 60 and data[-3] < 60 and data[-1] > 200


@sandboxed
def test_what_is_clear_is_white_and_what_is_small_grows(tmp_path: Path) -> None:
    Files.new("RGBA", (200, 100), (255, 0, 0, 0)).save(tmp_path / "clear.webp")
    Files.new("P", (50, 4), 0).save(tmp_path / "line.gif")
    clear, line = taken("clear.webp", "line.gif", folder=tmp_path)[1::2]
    assert set(points(tmp_path, clear)[2]) == {255}
    assert points(tmp_path, line)[:2] == (800, 64)


def bomb(side: int) -> bytes:
    """A file of some thousand bytes that says it is a picture of `side` x `side` points."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(side * 40))) + chunk(b"IEND", b"")


@sandboxed
@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("cut.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "cannot be shown"),
        ("cut.jpg", b"\xff\xd8\xff" + b"\xff" * 200, "cannot be shown"),
        ("bomb.png", bomb(60_000), "cannot be shown"),
        ("wide.png", bomb(10_900), "cannot be shown"),
        ("text.png", b"hello", "no picture, PDF or film"),
        ("photo.heic", b"\0\0\0\x18ftypheic" + b"\0" * 20, "HEIC"),
        ("none.png", None, "no file"),
    ],
)
def test_a_bad_one_costs_one_sentence(tmp_path: Path, name: str, data: bytes | None, why: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(intake.Unseen, match=why):
        taken(name, folder=tmp_path)
    assert not list(tmp_path.glob("kept/*"))


def test_what_a_file_is_its_bytes_say(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"%PDF-1.7")
    (tmp_path / "b.pdf").write_bytes(b"RIFF____WEBP")
    (tmp_path / "folder.png").mkdir()
    assert [intake.kind(tmp_path / name) for name in ("a.txt", "b.pdf", "folder.png", "none")] == ["pdf", "picture", "", ""]
    assert intake.wanted("a.txt#2-4", tmp_path) == intake.Wanted(tmp_path / "a.txt", 2, 4)
    (tmp_path / "a.txt#2").write_bytes(b"")
    assert intake.wanted("a.txt#2", tmp_path) == intake.Wanted(tmp_path / "a.txt#2")


@sandboxed
def test_more_than_a_message_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST", 1)
    Files.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(intake.Unseen, match="1 pictures are the most"):
        taken(*["a.png"] * 2, folder=tmp_path)


@sandboxed
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="needs pdftoppm")
def test_a_page_of_a_pdf(tmp_path: Path) -> None:
    pages = [Files.new("RGB", (100, 200), colour) for colour in ("red", "blue", "red")]
    pages[0].save(tmp_path / "a.pdf", save_all=True, append_images=pages[1:])
    line, image = taken("a.pdf#2", folder=tmp_path)
    assert told((line,))[0].startswith("[picture 1: a.pdf page 2 of 3, ") and points(tmp_path, image)[2][-1] > 200
    assert len(taken("a.pdf#2-3", folder=tmp_path)) == 4
    with pytest.raises(intake.Unseen, match="has 3 pages"):
        taken("a.pdf#4", folder=tmp_path)


@sandboxed
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_film_is_six_frames_and_says_what_was_lost(tmp_path: Path) -> None:
    done = asyncio.run(
        launch.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=12:size=320x180:rate=2", "film.mp4"],
            profile=None, cwd=tmp_path,
        )
    )  # fmt: skip
    assert done.code == 0, done.output
    lines = told(taken("film.mp4", folder=tmp_path))
    assert len(lines) == 6 and lines[0] == "[picture 1: film.mp4 at 0:01 (6 frames of 12 s, no sound), 320 x 180]"


def test_the_decoder_alone() -> None:
    made = io.BytesIO()
    Files.new("I;16", (300, 100), 40_000).save(made, "PNG")
    head, body = lens.look(made.getvalue(), 10_000)
    assert head == {"wide": 173, "high": 57, "of": [300, 100], "frames": 1} or head["high"] == 64
    assert len(body) == int(str(head["wide"])) * int(str(head["high"])) * 3 and 140 < body[0] < 170
    for size in ((1, 1), (1, 9000), (9000, 1), (4096, 64), (5000, 5000), (64, 64)):
        wide, high = lens._fitting(size, 1 << 20)
        assert min(wide, high) >= 64 and max(wide, high) <= 4096 and wide * high <= 1 << 20, size
