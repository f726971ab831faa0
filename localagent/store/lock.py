"""One process at a time: a lock on a file, free again when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import StoreError
from .atomic import store_error


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None, poll_s: float = 0.1) -> Iterator[bool]:
    """Hold the lock on `path`. Yields whether somebody else had it first.

    `waiting` is called before each new try, and may raise to give up. StoreError where the
    lock file cannot be made.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        waited = False
        while not _try(handle):
            waited = True
            if waiting is not None:
                waiting()
            time.sleep(poll_s)
        yield waited
    finally:
        os.close(handle)


class Busy(StoreError):
    """Another process holds the lock, and did not let go in time."""


def take(fd: int, wait: float, stop: threading.Event | None) -> None:
    """Take the lock on an open file within `wait` seconds. Raises Busy, or StoreError once `stop` is set."""
    try:
        import fcntl
    except ImportError:
        return
    until = time.monotonic() + wait
    while True:
        not_stopped(stop)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() >= until:
                raise Busy("Another localagent is changing files just now.", "Try again when it is done.") from None
            time.sleep(0.02)


def not_stopped(stop: threading.Event | None) -> None:
    """Raises StoreError where `stop` is set."""
    if stop is not None and stop.is_set():
        raise StoreError("Interrupted, nothing was changed.")


def _try(handle: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
