"""What a file held at a moment, as a short text that is cheap to compare with what it holds now."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time

# Larger files are known by their facts.
_READ_BYTES = 32 * 1024 * 1024
# A file written within the same tick of the clock can keep its size and time: only older facts are believed.
_SETTLED_NS = 50_000_000
_REMEMBERED = 2_000

Facts = tuple[int, int, int, int]


class Sighting:
    """Marks of files: `SIZE:SHA256`, `SIZE:INODE:TIME` of a large one, "" where there is none to be read.

    Links are followed. A file whose facts (device, inode, size, time) stand is not read again.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Facts, str]] = {}
        # Asked from several threads.
        self._lock = threading.Lock()

    def mark(self, path: str) -> str:
        """The mark of what is at `path` now. Never raises; reads up to 32 MB of it."""
        try:
            info = os.stat(path)
            if not stat.S_ISREG(info.st_mode):
                return ""
            facts = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
            with self._lock:
                known = self._known.pop(path, None)
                if known is not None and known[0] == facts:
                    self._known[path] = known
                    return known[1]
            made = _mark(path, info)
        except (OSError, ValueError):
            return ""
        if time.time_ns() - info.st_mtime_ns > _SETTLED_NS:
            with self._lock:
                self._known[path] = (facts, made)
                if len(self._known) > _REMEMBERED:
                    del self._known[next(iter(self._known))]
        return made


def _mark(path: str, info: os.stat_result) -> str:
    if info.st_size > _READ_BYTES:
        return f"{info.st_size}:{info.st_ino}:{info.st_mtime_ns}"
    with open(_opened(path), "rb") as file:
        return f"{info.st_size}:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _opened(path: str) -> int:
    # What is a pipe by now must not be waited for.
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))


def mark_of(size: int, sha256: str) -> str:
    """The mark of a file of that size and those bytes; "" where only its facts would tell."""
    return f"{size}:{sha256}" if size <= _READ_BYTES and sha256 else ""


def grew(path: str, old: str) -> bool:
    """Whether the file holds what it held at the mark `old`, and more behind it: a log that goes on."""
    size, _, digest = old.partition(":")
    if len(digest) != 64 or not size.isdecimal():
        return False
    left, seen = int(size), hashlib.sha256()
    try:
        with open(_opened(path), "rb") as file:
            if os.fstat(file.fileno()).st_size <= left:
                return False
            while left and (data := file.read(min(left, 1 << 20))):
                seen.update(data)
                left -= len(data)
    except OSError:
        return False
    return not left and seen.hexdigest() == digest
