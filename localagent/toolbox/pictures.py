"""Pictures that a tool gave back: checked by their bytes, kept in the session's folder, and told in a line of text.

The line is for everybody: the person finds the file by it. A model that cannot see is told so where the picture would stand.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from ..store.atomic import write_atomic
from ..values import Image, Part, Text

MOST = 4
BYTES = 8_000_000
"""Of one picture."""

_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))


def kind(data: bytes) -> str:
    """`png`, `jpeg`, `gif` or `webp` by the first bytes, "" for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in _KINDS if data.startswith(magic)), "")


def folder(spill: Path) -> Path:
    """Where a session keeps them: `SHA256.png` and so on."""
    return spill / "pictures"


def keep(paths: Sequence[object], room: Path, spill: Path) -> tuple[Part, ...]:
    """The pictures that lie in the call's own folder `room`, each with its line. Raises ValueError, StoreError."""
    if len(paths) > MOST:
        raise ValueError(f"{len(paths)} pictures in one result are too many; {MOST} are the most")
    parts: list[Part] = []
    for number, path in enumerate(paths, 1):
        data = _read(path, room)
        found = kind(data)
        if not found:
            raise ValueError("a picture is no PNG, JPEG, GIF or WebP file")
        image = stored(data, spill)
        place = folder(spill) / f"{image.sha256}.{found}"
        facts = f"{found.upper()}{_size(data, found)}, {len(data):,} bytes"
        told = f"\n[picture {number}: {facts}, in {place}]"
        parts += [Text(told), image]
    return tuple(parts)


def stored(data: bytes, spill: Path) -> Image:
    """Keep the bytes of a picture whose `kind` is known, under their sha256. Raises StoreError, OSError."""
    sha256, found = hashlib.sha256(data).hexdigest(), kind(data)
    place = folder(spill) / f"{sha256}.{found}"
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not place.exists():
        write_atomic(place, data)
    return Image(sha256, f"image/{found}")


def _read(path: object, room: Path) -> bytes:
    """A plain file of the call's own folder: a link would let a plugin read through the host."""
    if not isinstance(path, str) or Path(path).parent != room:
        raise ValueError("a picture lies outside the call's own folder")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("a picture is no plain file")
        data = file.read(BYTES + 1)
    if len(data) > BYTES:
        raise ValueError(f"a picture is larger than {BYTES:,} bytes")
    return data


def _size(data: bytes, found: str) -> str:
    """`, 640 x 480`, as the file itself says it; "" where it does not at once."""
    try:
        if found == "png":
            wide, high = struct.unpack(">II", data[16:24])
        elif found == "gif":
            wide, high = struct.unpack("<HH", data[6:10])
        elif found == "jpeg":
            wide, high = _jpeg(data)
        else:
            return ""
    except (struct.error, IndexError):
        return ""
    return f", {wide} x {high}"


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack(">HH", data[at + 5 : at + 9])
            return wide, high
        at += 2 + length
