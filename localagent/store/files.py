"""File operations beneath one folder that no symbolic link can lead out of it.

A path is resolved by the kernel in one step (openat2, beneath the folder's descriptor),
not checked first and opened afterwards; where the kernel cannot, component by component
without following links. The last component itself is never followed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator

from ..errors import StoreError
from .copying import copy_entry

_OPENAT2 = 437
_BENEATH, _NO_MAGICLINKS = 0x08, 0x02
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_syscall = None


def _openat2(folder: int, path: str, flags: int, mode: int = 0) -> int:
    global _syscall
    if _syscall is None:
        _syscall = ctypes.CDLL(None, use_errno=True).syscall
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _BENEATH | _NO_MAGICLINKS)
    while True:
        fd = _syscall(_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        # The kernel asks to try again when something was renamed on the way.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)


def open_unlinked(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` relative to the descriptor `folder`, following no link on the way. Raises OSError."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    here = os.dup(folder)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, _DIRECTORY | _NOFOLLOW, dir_fd=here)
            os.close(here)
            here = deeper
        return os.open(parts[-1] if parts else ".", flags | _NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=here)
    finally:
        os.close(here)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def rename_new(one: int, name: str, two: int, new: str) -> None:
    """Rename that never replaces; the check is the kernel's where it can be (RENAME_NOREPLACE)."""
    with contextlib.suppress(AttributeError, TypeError):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        if renameat2(one, os.fsencode(name), two, os.fsencode(new), 1) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number), new)
    if _exists(two, new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    os.rename(name, new, src_dir_fd=one, dst_dir_fd=two)


def by_descriptor(path: str, folder: int, name: str) -> str:
    """A path to `name` in an open folder that no renaming above it can lead astray."""
    if os.path.isdir("/proc/self/fd"):
        return f"/proc/self/fd/{folder}/{name}"
    import fcntl

    get_path = getattr(fcntl, "F_GETPATH", None)
    if get_path is not None:
        real = fcntl.fcntl(folder, get_path, b"\0" * 1024).rstrip(b"\0")
        return os.path.join(os.fsdecode(real), name)
    return os.path.join(path, name)


def mount_key(fd: int) -> tuple[int, int]:
    """Equal for two descriptors between whose folders a rename can work: one file system, one mount."""
    device = os.fstat(fd).st_dev
    with contextlib.suppress(OSError, StopIteration), open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return device, next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))
    return device, 0


_have_openat2: bool | None = None


def open_beneath(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` relative to the descriptor `folder`, never leaving it. Raises OSError: EXDEV for
    a path that leads out, ELOOP for a link where none is followed."""
    global _have_openat2
    if _have_openat2 is not False:
        try:
            fd = _openat2(folder, path, flags, mode)
        except OSError as error:
            if error.errno != errno.ENOSYS and (_have_openat2 or error.errno != errno.EPERM):
                raise
            _have_openat2 = False
        except (AttributeError, TypeError):
            _have_openat2 = False
        else:
            _have_openat2 = True
            return fd
    return open_unlinked(folder, path, flags, mode)


class Root:
    """An open folder; every path given to it is relative and stays beneath it.

    Use as a context manager. Operations raise OSError as their system calls do; `open` and
    `parent` raise StoreError for a path that leads out of the folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, _DIRECTORY)

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        """A descriptor of a regular file or folder; links, pipes and devices are refused."""
        fd = self._checked(path, flags | _NOFOLLOW | os.O_NONBLOCK, mode if flags & os.O_CREAT else 0)
        kind = os.fstat(fd).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            os.close(fd)
            raise StoreError(f"{os.path.join(self.path, path)} is not a regular file.")
        return fd

    def _checked(self, path: str, flags: int, mode: int = 0) -> int:
        try:
            return open_beneath(self.fd, path or ".", flags, mode)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise StoreError(f"{os.path.join(self.path, path)} leads out of {self.path}.") from error
            raise

    @contextlib.contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """(descriptor of the folder that holds `path`, its last name)."""
        folder, name = os.path.split(path.rstrip("/"))
        if name in ("", ".", ".."):
            raise StoreError(f"{os.path.join(self.path, path)} names no file in {self.path}.")
        fd = self._checked(folder, _DIRECTORY)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def mount_key(self, folder: str) -> tuple[int, int]:
        """`mount_key` of a folder of ours."""
        fd = self._checked(folder, _DIRECTORY)
        try:
            return mount_key(fd)
        finally:
            os.close(fd)

    def stat(self, path: str) -> os.stat_result | None:
        """What is there itself, a link not followed; None where there is nothing."""
        if not path:
            return os.fstat(self.fd)
        try:
            with self.parent(path) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        with self.parent(path) as (folder, name):
            os.mkdir(name, mode, dir_fd=folder)

    def rmdir(self, path: str) -> None:
        with self.parent(path) as (folder, name):
            os.rmdir(name, dir_fd=folder)

    def unlink(self, path: str) -> None:
        with self.parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def symlink(self, target: str, path: str) -> None:
        with self.parent(path) as (folder, name):
            os.symlink(target, name, dir_fd=folder)

    def readlink(self, path: str) -> str:
        with self.parent(path) as (folder, name):
            return os.readlink(name, dir_fd=folder)

    def chmod(self, path: str, mode: int) -> None:
        fd = self.open(path, os.O_RDONLY) if not hasattr(os, "O_PATH") else self._checked(path, os.O_PATH | _NOFOLLOW)
        try:
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                return
            os.chmod(f"/proc/self/fd/{fd}" if hasattr(os, "O_PATH") else fd, mode)
        finally:
            os.close(fd)

    def utime(self, path: str, mtime_ns: int) -> None:
        """Set the modification time; the access time becomes the same."""
        if not path:
            os.utime(self.fd, ns=(mtime_ns, mtime_ns))
            return
        with self.parent(path) as (folder, name):
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)

    def rename(self, path: str, other: Root, dest: str, *, replace: bool = False) -> None:
        """Rename within one file system, also into another root. FileExistsError unless `replace`."""
        with self.parent(path) as (one, name), other.parent(dest) as (two, new):
            if replace:
                os.rename(name, new, src_dir_fd=one, dst_dir_fd=two)
            else:
                rename_new(one, name, two, new)

    def move_out(self, path: str, outside: str) -> None:
        """Bring something of ours to an absolute path that does not exist, whatever its file system."""
        try:
            with self.parent(path) as (folder, name):
                os.rename(name, outside, src_dir_fd=folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.copy_out(path, outside)
            self.remove(path)

    def move_in(self, outside: str, path: str, *, replace: bool = False) -> None:
        """Bring what is at an absolute path here. The place holds the old or the new, never a part."""
        with self.parent(path) as (folder, name):
            if not replace and _exists(folder, name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.path.join(self.path, path))
            try:
                os.rename(outside, name, dst_dir_fd=folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                temp = f".localagent-{secrets.token_hex(6)}.tmp"
                self._copy_into(outside, folder, temp)
                os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
                remove_tree(outside)

    @contextlib.contextmanager
    def at(self, path: str) -> Iterator[str]:
        """An absolute path to something of ours that holds, within the block, whatever is renamed above it."""
        with self.parent(path) as (folder, name):
            yield by_descriptor(self.path, folder, name)

    def copy_in(self, outside: str, path: str, *, sync: bool = True) -> None:
        """Copy a file, link or tree from an absolute path to a place of ours that is free; durable
        unless the caller is not done with it."""
        with self.parent(path) as (folder, name):
            self._copy_into(outside, folder, name, sync)

    def _copy_into(self, outside: str, folder: int, name: str, sync: bool = True) -> None:
        target = by_descriptor(self.path, folder, name)
        try:
            copy_entry(outside, target, sync=sync)
        except BaseException:
            remove_tree(target)
            raise

    def copy_out(self, path: str, outside: str, *, alone: bool = False) -> None:
        """Copy something of ours, durably, to an absolute path that does not exist; with `alone` a folder
        without what is in it."""
        part = f"{outside}.part"
        remove_tree(part)
        with self.parent(path) as (folder, name):
            try:
                copy_entry(by_descriptor(self.path, folder, name), part, sync=True, alone=alone)
                os.rename(part, outside)
            except BaseException:
                remove_tree(part)
                raise

    def keep(self, path: str, outside: str) -> None:
        """Have a file or link also at an absolute path: a second name for it, else a copy."""
        remove_tree(outside)
        try:
            with self.parent(path) as (folder, name):
                os.link(name, outside, src_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES):
                raise
            self.copy_out(path, outside)

    def remove(self, path: str) -> None:
        """Delete a file, link or tree of ours; nothing there is fine."""
        info = self.stat(path)
        if info is None:
            return
        with self.parent(path) as (folder, name):
            if stat.S_ISDIR(info.st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)

    def sync(self, path: str) -> None:
        """Make the entries of a folder durable."""
        fd = self._checked(path, _DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def remove_tree(path: str) -> None:
    """Delete a file, link or tree at an absolute path that is ours alone; nothing there is fine."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        os.chmod(path, 0o700)
        fd = os.open(path, _DIRECTORY | _NOFOLLOW)
        try:
            while _flatten(fd):
                pass
        finally:
            os.close(fd)
        os.rmdir(path)


def _flatten(folder: int) -> bool:
    """Delete what lies in a folder, bringing deeper folders up: no depth is too much. False once it is empty."""
    names = os.listdir(folder)
    for name in names:
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
            continue
        os.chmod(name, 0o700, dir_fd=folder)
        deeper = os.open(name, _DIRECTORY | _NOFOLLOW, dir_fd=folder)
        try:
            for inner in os.listdir(deeper):
                if stat.S_ISDIR(os.stat(inner, dir_fd=deeper, follow_symlinks=False).st_mode):
                    # A folder can only be renamed away by who may write in it.
                    os.chmod(inner, 0o700, dir_fd=deeper)
                    os.rename(inner, secrets.token_hex(12), src_dir_fd=deeper, dst_dir_fd=folder)
                else:
                    os.unlink(inner, dir_fd=deeper)
        finally:
            os.close(deeper)
        os.rmdir(name, dir_fd=folder)
    return bool(names)
