"""A file on its way here: `NAME.part` beside its place, hashed as it is written, renamed when it is whole.

Whatever happens (a cut line, a full disk, Ctrl+C, a crash), the `.part` holds a prefix of the
file and the next attempt goes on from there; the name itself only ever holds the whole file.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from ..errors import DownloadError, StoreError
from ..store.atomic import store_error, sync_folder
from . import gguf, reuse
from .entry import Part

_CHUNK = 1 << 22
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Corrupt(DownloadError):
    """All bytes came, and they are not the file's. The `.part` is gone."""


class Partial:
    """The `.part` of one file. `done` bytes of it are here and hashed."""

    def __init__(self, target: Path, part: Part) -> None:
        """Opens what an earlier attempt left. StoreError where the folder cannot be written."""
        self.target, self.part = target, part
        self.path = part_path(target)
        self.done = 0
        self._digest = hashlib.sha256()
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            self._handle = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise store_error(error, self.path) from error
        size = os.fstat(self._handle).st_size
        self.cut(size if size <= part.bytes else 0)

    @property
    def missing(self) -> int:
        return self.part.bytes - self.done

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes and hash them again."""
        try:
            os.ftruncate(self._handle, size)
            os.lseek(self._handle, 0, os.SEEK_SET)
            self._digest, self.done = hashlib.sha256(), 0
            while self.done < size and (chunk := os.read(self._handle, min(_CHUNK, size - self.done))):
                self._digest.update(chunk)
                self.done += len(chunk)
        except OSError as error:
            raise store_error(error, self.path) from error

    def write(self, data: bytes) -> None:
        """Append. DownloadError for too many bytes or a start that is no GGUF; StoreError when the disk is full."""
        if len(data) > self.missing:
            raise DownloadError(f"{self.part.name}: more came than the {self.part.bytes:,} bytes it should have.")
        if not self.done and not data.startswith(gguf.MAGIC[: len(data)]):
            page = data.lstrip()[:1] in (b"<", b"{")
            what = "a web page instead of the model" if page else "something that is not a GGUF file"
            hint = "A login page or a proxy may be in the way."
            raise DownloadError(f"{self.part.name}: the server sent {what}.", hint)
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._handle, view)
            except OSError as error:
                raise self._full(error) from error
            self._digest.update(view[:written])
            self.done += written
            view = view[written:]

    def _full(self, error: OSError) -> StoreError:
        if error.errno not in _FULL:
            return store_error(error, self.path)
        return StoreError(
            f"The disk is full: {self.done:,} of {self.part.bytes:,} bytes of {self.part.name} are here and are kept.",
            f"Free {size_text(self.missing)} more and run it again; it goes on from there.",
        )

    def finish(self) -> Path:
        """Check size, sha256 and header, then give the file its name. Corrupt where the bytes are wrong."""
        if self.missing:
            raise DownloadError(f"{self.part.name} is not whole: {self.missing:,} bytes are missing.")
        if self._digest.hexdigest() != self.part.sha256:
            self.discard()
            raise Corrupt(
                f"{self.part.name} arrived with other content than the catalogue's sha256 says; it was thrown away.",
                "Try again, or another source with --source.",
            )
        try:
            os.fsync(self._handle)
            gguf.read(self.path)
            self.close()
            os.replace(self.path, self.target)
            sync_folder(self.target.parent)
        except OSError as error:
            raise store_error(error, self.target) from error
        reuse.remember(self.target, self.part.sha256)
        return self.target

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if not self.done:
            self.path.unlink(missing_ok=True)


def part_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def size_text(size: float) -> str:
    """`5.3 GB`, for people: powers of ten, as disks and downloads are sold."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}" if size < 100 * step else f"{size / step:.0f} {unit}"
    return f"{size:.0f} bytes"
