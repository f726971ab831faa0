"""A program behind a pseudo-terminal: bytes in, bytes out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """`python -m tests.tui.child HOW` at the head of a session of its own."""

    def __init__(self, how: str, term: str = "xterm-256color", folder: Path | None = None, **environment: str) -> None:
        self._here, there = pty.openpty()
        self.resize(100, 30, tell=False)
        self.seen, self._at = "", 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.child", how],
            stdin=there,
            stdout=there,
            stderr=there,
            cwd=folder,
            env=os.environ | {"TERM": term, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"} | environment,
            preexec_fn=lambda: _own_terminal(there),
        )
        os.close(there)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        if self._here >= 0:
            os.close(self._here)

    def until(self, text: str, seconds: float = 30.0) -> str:
        """Read until the text comes, behind what was waited for before; gives what came with it."""
        end, begin = time.monotonic() + seconds, self._at
        while (found := self.plain().find(text, self._at)) < 0:
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{text!r} never came; the end of what did:\n{self.plain()[-3000:]}")
        self._at = found + len(text)
        return self.plain()[begin : self._at]

    def skip(self) -> None:
        """What was written so far is not waited for any more."""
        self._at = len(self.plain())

    def plain(self) -> str:
        return _ESCAPES.sub("", self.seen)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._here], [], [], min(seconds, 0.5))[0]:
            return self.process.poll() is None or seconds > 0.5
        try:
            self.seen += os.read(self._here, 1 << 16).decode("utf-8", "replace")
        except OSError:
            return False
        return True

    def read_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def resize(self, columns: int, rows: int, tell: bool = True) -> None:
        fcntl.ioctl(self._here, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """What an SSH connection that drops does: the terminal is gone, and the kernel tells its session."""
        os.close(self._here)
        self._here = -1

    def ends(self, seconds: float = 20.0) -> int:
        """The exit code, with everything that was still written read."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if self._here >= 0:
                self._read(0.2)
            else:
                time.sleep(0.02)
        if self._here >= 0:
            self._read(0.1)
        return self.process.wait(0.1)


def _own_terminal(fd: int) -> None:
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
