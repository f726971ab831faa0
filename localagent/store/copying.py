"""Copies of files and trees that are the same file: bytes, holes, mode, times, attributes, links."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator

_FICLONE = 0x40049409
_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def copy_bytes(source: int, target: int) -> None:
    """Make the empty file `target` hold what `source` holds, sharing blocks where the file system can.

    Raises OSError (no space, for one).
    """
    size = os.fstat(source).st_size
    if _clone(source, target):
        return
    for start, end in _data_ranges(source, size):
        _copy_range(source, target, start, end)
    os.ftruncate(target, size)


def _clone(source: int, target: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True


def _data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except (OSError, AttributeError) as error:
            if getattr(error, "errno", None) == errno.ENXIO:
                return
            start, end = position, size
        yield start, end
        position = end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    native = hasattr(os, "copy_file_range")
    while start < end:
        if native:
            try:
                done = os.copy_file_range(source, target, end - start, start, start)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
                    raise
                native = False
                continue
        else:
            os.lseek(source, start, os.SEEK_SET)
            os.lseek(target, start, os.SEEK_SET)
            block = os.read(source, min(_CHUNK, end - start))
            done = len(block)
            while block:
                block = block[os.write(target, block) :]
        if not done:
            return
        start += done


def copy_attributes(source: int | str, target: int | str, *, follow: bool = True) -> None:
    """Extended attributes that we may read and set; others are left out."""
    if not hasattr(os, "listxattr"):
        return
    # An open descriptor is followed by nature, and os refuses to be told.
    how = {} if isinstance(source, int) else {"follow_symlinks": follow}
    with contextlib.suppress(OSError):
        for name in os.listxattr(source, **how):
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name, **how), **how)


def copy_owner(info: os.stat_result, target: int | str) -> None:
    """The owner and group, where we may: only root can give a file away."""
    with contextlib.suppress(OSError, AttributeError):
        if isinstance(target, int):
            os.fchown(target, info.st_uid, info.st_gid)
        else:
            os.lchown(target, info.st_uid, info.st_gid)


def copy_file(source: int, target: int, *, owner: bool = True) -> None:
    """Bytes and everything about them, from descriptor to descriptor."""
    info = os.fstat(source)
    copy_bytes(source, target)
    if owner:
        copy_owner(info, target)
    copy_attributes(source, target)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def copy_entry(
    source: str, target: str, *, sync: bool = False, alone: bool = False, links: dict[tuple[int, int], str] | None = None
) -> None:
    """Copy a file, link or whole tree to a path that does not exist yet; both in folders we trust.

    With `alone` a folder is copied without what is in it. `links` holds where the files with several names
    have been copied to. Raises OSError; sockets, pipes and devices raise it with EINVAL.
    """
    info = os.lstat(source)
    links = {} if links is None else links
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(source), target)
        copy_owner(info, target)
        copy_attributes(source, target, follow=False)
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
    elif stat.S_ISREG(info.st_mode):
        known = links.setdefault((info.st_dev, info.st_ino), target) if info.st_nlink > 1 else target
        if known != target:
            os.link(known, target)
        else:
            _copy_plain(source, target, sync)
    elif stat.S_ISDIR(info.st_mode):
        os.mkdir(target, 0o700)
        with os.scandir(source) as entries:
            for entry in entries if not alone else ():
                copy_entry(entry.path, os.path.join(target, entry.name), sync=sync, links=links)
        copy_owner(info, target)
        copy_attributes(source, target)
        os.chmod(target, stat.S_IMODE(info.st_mode))
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
    else:
        raise OSError(errno.EINVAL, "it is a socket, a pipe or a device", source)


def _copy_plain(source: str, target: str, sync: bool) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_file(reading, writing)
            if sync:
                os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def facts(top: str) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of a file, link or of all in a folder, by relative path: the same for a copy."""
    found: dict[str, tuple[int, int, int]] = {}
    pending = [""]
    while pending:
        path = pending.pop()
        real = os.path.join(top, path) if path else top
        info = os.lstat(real)
        folder = stat.S_ISDIR(info.st_mode)
        found[path] = (info.st_mode, 0, 0) if folder else (info.st_mode, info.st_size, info.st_mtime_ns)
        if folder:
            pending += [os.path.join(path, name) for name in os.listdir(real)]
    return found


def sha256(file: int | str) -> str:
    """The hash of a regular file's bytes, by path or by open descriptor (read from its start)."""
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)) if isinstance(file, str) else file
    try:
        digest = hashlib.sha256()
        position, size = 0, os.fstat(fd).st_size
        for start, end in (*_data_ranges(fd, size), (size, size)):
            # Holes are zeros that need no reading.
            for _ in range(position, start, _CHUNK):
                digest.update(_ZEROS[: min(_CHUNK, start - position)])
                position += min(_CHUNK, start - position)
            while position < end and (block := os.pread(fd, min(_CHUNK, end - position), position)):
                digest.update(block)
                position += len(block)
        return digest.hexdigest()
    finally:
        if isinstance(file, str):
            os.close(fd)
