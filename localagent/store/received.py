"""Files that come in with messages, piece by piece: kept by their sha256 in the state folder, for their owner alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreError
from ..values import Attachment
from . import attachments
from .atomic import store_error

# What a file that came in leaves free on the disk.
_SPARE = 512 << 20


class Coming:
    """One file as it comes in. `write` its bytes, then `keep` it; what is not kept is gone."""

    def __init__(self, handle: int, path: Path, most: int) -> None:
        self._file = os.fdopen(handle, "wb")
        self._path, self._most = path, most
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> bool:
        """False, and nothing written, where the file would be larger than was allowed. StoreError where the disk fails."""
        if self.size + len(data) > self._most:
            return False
        try:
            self._file.write(data)
        except OSError as error:
            raise store_error(error, self._path) from error
        self._hash.update(data)
        self.size += len(data)
        return True

    def keep(self, name: str, media_type: str) -> Attachment:
        """Put it where it stays: by its content, once however often it comes."""
        sha256 = self._hash.hexdigest()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            target = self._path.parent / sha256
            os.replace(self._path, target)
        except OSError as error:
            raise store_error(error, self._path) from error
        return Attachment(str(target), name, media_type, self.size, sha256)

    def close(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def coming(most: int) -> Iterator[Coming]:
    """Take in a file of at most `most` bytes. StoreError where there is no room for it."""
    folder = attachments.folder()
    try:
        free = shutil.disk_usage(folder).free
        if free < most + _SPARE:
            raise StoreError("The disk is too full to take in files.", "Free some space.")
        handle, path = tempfile.mkstemp(prefix=".coming-", dir=folder)
    except OSError as error:
        raise store_error(error, folder) from error
    file = Coming(handle, Path(path), most)
    try:
        yield file
    finally:
        file.close()
