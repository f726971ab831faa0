"""Opening exactly the file that was judged: no link that was put on the way since is followed."""

from __future__ import annotations

import errno
import os
import stat
from typing import IO

# Enough to go through a folder, also where it may not be listed.
_THROUGH = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_real(path: str) -> IO[bytes]:
    """The plain file at this absolute path in which nothing is a link. OSError where there is one (ELOOP), or no plain file (EINVAL)."""
    if os.name == "nt":
        return _plain(os.open(path, _READ), path)
    *folders, name = [part for part in path.split("/") if part] or ["."]
    here = os.open("/", _THROUGH)
    try:
        for folder in folders:
            deeper = os.open(folder, _THROUGH | _NOFOLLOW, dir_fd=here)
            os.close(here)
            here = deeper
        handle = os.open(name, _READ | _NOFOLLOW, dir_fd=here)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(here)
    return _plain(handle, path)


def _plain(handle: int, path: str) -> IO[bytes]:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no plain file", path)
    return os.fdopen(handle, "rb")
