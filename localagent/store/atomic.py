"""Writing a file of ours so that a reader or a crash sees the old bytes or the new, never a mixture."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from ..errors import StoreError, UsageError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space and try again."),
    errno.EDQUOT: ("your disk quota is used up", "Free some space and try again."),
    errno.EACCES: ("you may not write there", "Check who owns the folder and its permissions."),
    errno.EPERM: ("you may not write there", "Check who owns the folder and its permissions."),
    errno.EROFS: ("the disk is read-only", "Choose another folder, or mount it writable."),
    errno.ENOENT: ("the folder does not exist", "Make it first."),
    errno.EFBIG: ("the file would be larger than this disk or session allows", "Choose another disk."),
    errno.EIO: ("the disk reports an error", "Check the disk before you go on."),
}


def write_atomic(path: str | Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the file at `path` with `data`, durably. A link is followed, not replaced.

    StoreError where it cannot be written; the old file is then as it was.
    """
    import tempfile

    target = Path(os.path.realpath(path))
    temp = None
    try:
        handle, temp = tempfile.mkstemp(prefix=f".{target.name[:40]}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temp, target)
        temp = None
        sync_folder(target.parent)
    except OSError as error:
        raise store_error(error, target) from error
    finally:
        if temp is not None:
            with contextlib.suppress(OSError):
                os.unlink(temp)


def write_new(path: str | Path, data: bytes, mode: int = 0o600) -> None:
    """The same for a file that is not there yet. UsageError where it is."""
    target = Path(path)
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode))
    except FileExistsError:
        raise UsageError(f"{target} is there already.", "Name another file, or say --force.") from None
    except OSError as error:
        raise store_error(error, target) from error
    try:
        write_atomic(target, data, mode)
    except StoreError:
        target.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the renames in `folder` durable, where the platform can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and fuse file systems cannot sync a folder; the data itself is synced.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def store_error(error: OSError, path: str | Path) -> StoreError:
    """One sentence for a failed write, with the next step."""
    reason, hint = _REASONS.get(error.errno or 0, (error.strerror or str(error), ""))
    return StoreError(f"{path} cannot be written: {reason}.", hint)
