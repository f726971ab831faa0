"""Files that hold a model's state: checked when read, renamed when whole, and forgotten in time.

    magic (8 bytes) | length and crc32 of the header (2 x u32) | header (JSON) | sections

The header carries what the writer says of the file and, of each section, its length and crc32.
Such a file only saves work: whatever is wrong with one, it is to be dropped and made again.
Nothing is synced to the disk; what a power cut leaves behind does not pass the check.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from . import paths
from .prune import sweep

SUFFIX = ".snap"
DAYS = 14.0
"""How long a file that nobody uses is kept."""
_MAGIC = b"LASNAP1\n"
_FRONT = struct.Struct("<8sII")
_CHUNK = 1 << 20
_MAX_HEADER = 1 << 20
_STALE_DAYS = 600.0 / 86_400.0


class Damaged(Exception):
    """The file is not what it should be; the text says in what way."""


@dataclass(frozen=True, slots=True)
class Section:
    """Where one part of a file lies, in bytes."""

    start: int
    length: int
    crc: int


@dataclass(frozen=True, slots=True)
class Header:
    about: dict[str, Any]
    sections: tuple[Section, ...]


def folder(name: str) -> Path:
    """The place of all files with one key. StoreError where it cannot be made."""
    made = paths.cache_dir() / "snapshots" / name
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def write(path: Path, about: Mapping[str, Any], sections: Sequence[Any]) -> Iterator[None]:
    """Write the file step by step, a few MiB a step; it is there when the last step is done.

    `sections` are buffers of bytes. Raises OSError; then, or when closed before its end, nothing is left behind.
    """
    views = [memoryview(section) for section in sections]
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb", buffering=0) as file:
            sums = [0] * len(views)
            file.write(_front(about, views, sums))
            for number, view in enumerate(views):
                for at in range(0, len(view), _CHUNK):
                    chunk = view[at : at + _CHUNK]
                    _write_all(file, chunk)
                    sums[number] = zlib.crc32(chunk, sums[number])
                    yield
            file.seek(0)
            file.write(_front(about, views, sums))
        os.replace(temp, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temp)


def _front(about: Mapping[str, Any], views: Sequence[memoryview], sums: Sequence[int]) -> bytes:
    """Magic and header; as long whatever the sums are."""
    told = [[len(view), f"{crc:08x}"] for view, crc in zip(views, sums, strict=True)]
    body = json.dumps({"about": dict(about), "sections": told}, separators=(",", ":")).encode()
    return _FRONT.pack(_MAGIC, len(body), zlib.crc32(body)) + body


def _write_all(file: Any, chunk: memoryview) -> None:
    while len(chunk):
        chunk = chunk[file.write(chunk) :]


def read_header(file: BinaryIO) -> Header:
    """Raises `Damaged` or OSError."""
    front = file.read(_FRONT.size)
    if len(front) != _FRONT.size:
        raise Damaged("it is too short")
    magic, length, crc = _FRONT.unpack(front)
    if magic != _MAGIC:
        raise Damaged("it is of another kind or version")
    body = file.read(length) if length <= _MAX_HEADER else b""
    if len(body) != length or zlib.crc32(body) != crc:
        raise Damaged("its header does not match its checksum")
    told, start = json.loads(body), _FRONT.size + length
    sections = []
    for size, digits in told["sections"]:
        sections.append(Section(start, size, int(digits, 16)))
        start += size
    if os.fstat(file.fileno()).st_size != start:
        raise Damaged("it does not have its full length")
    return Header(told["about"], tuple(sections))


def read_section(file: BinaryIO, section: Section, into: Any) -> None:
    """Fill the buffer `into`, which has the section's length. Raises `Damaged` or OSError."""
    view, crc, at = memoryview(into), 0, 0
    file.seek(section.start)
    while at < section.length:
        count = file.readinto(view[at : at + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise Damaged("it ends too early")
        crc = zlib.crc32(view[at : at + count], crc)
        at += count
    if crc != section.crc:
        raise Damaged("a section does not match its checksum")


def used(path: Path) -> None:
    """Note that the file served just now."""
    with contextlib.suppress(OSError):
        os.utime(path)


def prune(limit: int) -> tuple[int, int]:
    """Drop what was not used for `DAYS`, then the least recently used above `limit` bytes in all.

    Returns how many files stay, and their bytes. Those named `fixed-` go last. What cannot be looked at stays.
    """
    top = paths.cache_dir() / "snapshots"
    sweep(top, "*/.*.tmp", _STALE_DAYS)
    found = sorted(_files(top), key=lambda one: (one[0].name.startswith("fixed-"), one[1]))
    total, left, before = sum(size for _, _, size in found), len(found), time.time() - DAYS * 86_400
    for path, at, size in found:
        if total > limit or at < before:
            with contextlib.suppress(OSError):
                path.unlink()
                total, left = total - size, left - 1
    for place in _folders(top):
        with contextlib.suppress(OSError):
            place.rmdir()
    return left, total


def _folders(top: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(top) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(top: Path) -> Iterator[tuple[Path, float, int]]:
    """Path, time of last use and bytes of each file."""
    for place in _folders(top):
        with contextlib.suppress(OSError):
            for entry in os.scandir(place):
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    facts = entry.stat(follow_symlinks=False)
                    yield Path(entry.path), facts.st_mtime, facts.st_size
