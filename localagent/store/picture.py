"""Pictures as we keep them: PNG files of one plain form, which are read without anybody's decoder.

What a person or a tool gives is decoded elsewhere, in a sandbox; what comes out of that are pixels, and they are written
here: 8 bits of red, green and blue, one compressed block, each row as its difference from the one above.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from pathlib import Path

from ..errors import StoreError
from .atomic import write_atomic

PIXELS = 1 << 20
"""At most, of one picture: as many as make 1,024 tokens of a model whose token is 32 points wide and high."""
SIDE = 4096
_MAGIC = b"\x89PNG\r\n\x1a\n"
_ENDING = ".seen.png"
_SHA = re.compile(r"[0-9a-f]{64}")


def encode(wide: int, high: int, pixels: bytes) -> bytes:
    """The file of a picture. ValueError where the pixels are not that many, or too many."""
    import numpy as np

    if not (0 < wide <= SIDE and 0 < high <= SIDE and wide * high <= PIXELS and len(pixels) == wide * high * 3):
        raise ValueError(f"{wide} x {high} is no size for a picture of {len(pixels):,} bytes")
    rows = np.frombuffer(pixels, np.uint8).reshape(high, wide * 3)
    filtered = np.full((high, 1 + wide * 3), 2, np.uint8)
    filtered[0, 1:], filtered[1:, 1:] = rows[0], rows[1:] - rows[:-1]
    head = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return _MAGIC + b"".join(_chunk(kind, body) for kind, body in parts)


def decode(data: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels of such a file. ValueError for any other."""
    import numpy as np

    wide, high = size(data)
    at, packed = 33, b""
    while data[at + 4 : at + 8] == b"IDAT":
        (length,) = struct.unpack(">I", data[at : at + 4])
        packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    whole = high * (1 + wide * 3)
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(packed, whole + 1)
    except zlib.error as error:
        raise ValueError(f"the picture is damaged: {error}") from None
    if len(plain) != whole or not reader.eof:
        raise ValueError("the picture is cut short")
    rows = np.frombuffer(plain, np.uint8).reshape(high, 1 + wide * 3)
    if (rows[:, 0] != 2).any():
        raise ValueError("the picture is not of our own form")
    return wide, high, np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).tobytes()


def size(data: bytes) -> tuple[int, int]:
    """Width and height of such a file. ValueError for any other."""
    if not data.startswith(_MAGIC) or data[12:16] != b"IHDR" or len(data) < 33 or data[24:29] != bytes((8, 2, 0, 0, 0)):
        raise ValueError("the picture is not of our own form")
    wide, high = struct.unpack(">II", data[16:24])
    if not (0 < wide <= SIDE and 0 < high <= SIDE and wide * high <= PIXELS):
        raise ValueError("the picture is too large")
    return wide, high


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def folder(spill: Path) -> Path:
    """Where a session keeps its pictures."""
    return spill / "pictures"


def keep(place: Path, data: bytes, original: str = "") -> str:
    """Write a file of `encode` into a session's folder; its name in a message: its sha256, or that of the `original`.

    Raises StoreError.
    """
    name = original or hashlib.sha256(data).hexdigest()
    path = place / f"{name}{_ENDING}"
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            write_atomic(path, data)
    except OSError as error:
        raise StoreError(f"The picture cannot be kept: {error.strerror}.") from None
    return name


def find(place: str | Path, sha256: str) -> Path | None:
    """The file of a picture that is kept in such a form, None where there is none."""
    if not place or not _SHA.fullmatch(sha256):
        return None
    path = Path(place) / f"{sha256}{_ENDING}"
    return path if path.is_file() else None


def read(place: str | Path, sha256: str) -> bytes:
    """The bytes of the file that `find` names. StoreError where there is none."""
    path = find(place, sha256)
    if path is None:
        raise StoreError("A picture of the conversation is no longer there.", "Give it again.")
    return path.read_bytes()
