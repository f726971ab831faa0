"""What the app does when it is told to go, or its terminal is gone: it stops what runs and leaves, and never goes on unseen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

_STOP_S = 8.0
"""How long stopping may take. Without its terminal an app can hang in drawing; what is on the disk is whole at any moment."""


def when_told(leave: Callable[[], object]) -> None:
    """Calls `leave` in this loop at SIGTERM and SIGHUP, and ends the process where that does not."""
    loop = asyncio.get_running_loop()
    told = threading.Event()
    # A terminal that has hung up cannot be asked any more whether it is one.
    drawn = [fd for fd in (1, 2) if os.isatty(fd)]

    def insist(number: int) -> None:
        time.sleep(_STOP_S)
        os._exit(128 + number)

    def handler(number: int, _: object) -> None:
        if number == getattr(signal, "SIGHUP", None):
            _draw_nowhere(drawn)
        if not told.is_set():
            told.set()
            threading.Thread(target=insist, args=(number,), daemon=True, name="leaving").start()
            # It is over where the loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(leave)

    # Not by the loop: it may be waiting for a screen that nobody reads any more.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), handler)


def _draw_nowhere(descriptors: list[int]) -> None:
    """What is still drawn goes nowhere: the thread that draws would end at its first failure, and the app wait for it."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in descriptors:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
