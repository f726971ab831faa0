"""Ending with whoever started us: a download that nobody watches any more should not go on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def while_open(wanted: bool) -> Iterator[None]:
    """Inside, the end of standard input is a Ctrl+C to this process, if that is `wanted`."""
    if not wanted:
        yield
        return
    inside = threading.Event()
    inside.set()

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 1024):
                pass
        if inside.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True, name="stdin").start()
    try:
        yield
    finally:
        inside.clear()
