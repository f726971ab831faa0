"""A program of ours in a terminal that somebody else draws: what it writes is handed on, what is typed reaches it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import LocalAgentError, StoreError

_TETHER = str(Path(__file__).with_name("tether.py"))
_CHUNK = 1 << 16
_LAST_S = 1.0
"""How long what the program wrote at its end is waited for."""


class Terminal:
    """One program and its terminal. It belongs to the event loop that made it, and ends with this process."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path,
        env: Mapping[str, str],
        size: tuple[int, int],
        wrote: Callable[[bytes], None],
        ended: Callable[[int], None],
    ) -> None:
        """Starts it. `size` is columns and rows. `wrote` gets its output, `ended` its exit status, once, after all output.

        Raises LocalAgentError where there are no such terminals, StoreError where the program cannot be started.
        """
        if not hasattr(os, "openpty"):
            raise LocalAgentError("Programs cannot be run in a terminal of ours on this system.", "Use Linux, macOS or WSL.")
        self._loop = asyncio.get_running_loop()
        self._wrote, self._ended = wrote, ended
        self._typed = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        self._last: asyncio.TimerHandle | None = None
        self._status: int | None = None
        try:
            self._fd, theirs = os.openpty()
        except OSError as error:
            raise StoreError(f"No terminal could be made: {error.strerror or error}.") from None
        self.resize(*size)
        os.set_blocking(self._fd, False)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), *argv],
                cwd=cwd, env=dict(env), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(self._fd)
            raise StoreError(f"{argv[0]} could not be started: {error.strerror or error}.") from None
        finally:
            os.close(theirs)
        self._loop.add_reader(self._fd, self._read)
        threading.Thread(target=self._wait, daemon=True, name="terminal").start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def open(self) -> bool:
        """Whether it can still be written to."""
        return self._fd >= 0

    # ------------------------------------------------------------ output and input

    def _read(self) -> None:
        """One piece at a time: the loop has others to serve."""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            # Linux says so when nobody has the other side open any more.
            data = b""
        if data:
            self._wrote(data)
        else:
            self._loop.remove_reader(self._fd)
            if self._status is not None:
                self._finish()

    def write(self, data: bytes) -> None:
        """Type. What the program does not take yet is kept; wait for `room` before typing on."""
        if self.open:
            self._typed += data
            self._flush()

    async def room(self) -> None:
        """Returns when the program has taken what was typed, or has ended."""
        await self._room.wait()

    def _flush(self) -> None:
        self._loop.remove_writer(self._fd)
        try:
            while self._typed:
                del self._typed[: os.write(self._fd, self._typed[:_CHUNK])]
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._flush)
            self._room.clear()
            return
        except OSError:
            self._typed.clear()
        self._room.set()

    def resize(self, columns: int, rows: int) -> None:
        """The program is told where it differs from before."""
        import fcntl
        import termios

        if self.open:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # ------------------------------------------------------------ the end

    def end(self) -> None:
        """Ask it to end as it would by itself."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and what stayed in its session, at once."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _wait(self) -> None:
        pid = self._popen.pid
        # There is no shell that could let a program go on which has stopped itself, as Ctrl+Z does.
        while hasattr(os, "waitid"):
            try:
                found = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None or found.si_code not in (os.CLD_STOPPED, os.CLD_TRAPPED):
                break
            with contextlib.suppress(OSError):
                os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
                os.kill(pid, signal.SIGCONT)
        status = self._popen.wait()
        with contextlib.suppress(RuntimeError):
            # The loop may be over already.
            self._loop.call_soon_threadsafe(self._left, status)

    def _left(self, status: int) -> None:
        self._status = status
        # What it started may hold the terminal open; nobody waits for that.
        self._last = self._loop.call_later(_LAST_S, self._finish)
        self._read()

    def _finish(self) -> None:
        if not self.open:
            return
        if self._last is not None:
            self._last.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._typed.clear()
        self._room.set()
        assert self._status is not None
        self._ended(self._status)
