"""One running program: its output as it comes, its limits, and the certain end of its tree."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable

from ..errors import SandboxUnavailable
from .profile import Ended, Limits
from .tree import tasks, usage

_CHUNK = 65536
_STDERR_KEPT = 65536
_HEAD_KEPT = 2048
# How long we go on reading after the program has ended while somebody still holds its output.
_DRAIN_S = 0.5
_GONE_S = 2.0
_ALL_GONE_S = 15.0
"""They are being killed already: only a machine with much else to do takes seconds."""
_WATCH_S = 0.05
_LOOK_EVERY = 8
_NICE = 10


class Process:
    """One started program. Iterate it for its output as it comes, then `await wait()`.

    `ended` says why we stopped it. `stderr` is the tail of standard error where it was
    started with `merge=False`. Cancelling an iteration or `wait` kills the whole tree.
    `held_back` are the files that `after`, called once at the end, has put out of the way.
    `asked` is for a helper that ends everything itself when it is told to. `refused` tells why the
    way to granted hosts refused what it was asked for, each reason once.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        limits: Limits,
        status_fd: int | None,
        after: Callable[[], tuple[str, ...]] = tuple,
        asked: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._popen = popen
        self._limits = limits
        self._begun = time.monotonic()
        self._exited = asyncio.Event()
        self._drained = False
        self._eof = False
        self._iterating = False
        self._read_bytes = 0
        self._head = b""
        self._waiter: asyncio.Future[None] | None = None
        self._outgoing = bytearray()
        self._close_after = False
        self._status_fd = status_fd
        self._status = b""
        self._init_fd: int | None = None
        self._pid_fd: int | None = None
        self._after: Callable[[], tuple[str, ...]] | None = after
        self._asked = asked
        self.held_back: tuple[str, ...] = ()
        self.refused: Callable[[], tuple[str, ...]] = tuple
        self._looks = 0
        self._tasks = tasks()
        self._timers: list[asyncio.TimerHandle] = []
        self.ended: Ended = ""
        self.stderr = b""
        self.seconds = 0.0
        self._begin()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit status (negative: the signal), None while it runs."""
        return self._popen.returncode

    # ------------------------------------------------------------ watching

    def _begin(self) -> None:
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
        if self._popen.stderr is not None:
            self._loop.add_reader(self._popen.stderr.fileno(), self._on_stderr)
        if self._status_fd is not None:
            os.set_blocking(self._status_fd, False)
            self._loop.add_reader(self._status_fd, self._on_status)
        try:
            self._pid_fd = os.pidfd_open(self._popen.pid)
            self._loop.add_reader(self._pid_fd, self._on_exit)
        except (AttributeError, OSError):
            waiting = self._loop.run_in_executor(None, self._popen.wait)
            waiting.add_done_callback(lambda _: self._on_exit())
        if self._limits.wall_s:
            self._timers.append(self._loop.call_later(self._limits.wall_s, self._stop, "timeout"))
        if self._status_fd is not None:
            self._timers.append(self._loop.call_later(_WATCH_S, self._watch))
            # Its share of the processor must never keep us from ending it.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._popen.pid, _NICE)

    def _on_stderr(self) -> None:
        assert self._popen.stderr is not None
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._popen.stderr.fileno(), _CHUNK)
            self.stderr = (self.stderr + data)[-_STDERR_KEPT:]
            if not data:
                self._loop.remove_reader(self._popen.stderr.fileno())

    def _on_status(self) -> None:
        assert self._status_fd is not None
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._status_fd, 4096)
            self._status += data
            if not data:
                self._loop.remove_reader(self._status_fd)
        if self._init_fd is None and (pid := self._reported("child-pid")):
            with contextlib.suppress(OSError):
                self._init_fd = os.pidfd_open(pid)

    def _reported(self, key: str) -> int | None:
        for line in self._status.decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                if isinstance(value := json.loads(line).get(key), int):
                    return value
        return None

    def _on_exit(self) -> None:
        if self._exited.is_set():
            return
        if self._pid_fd is not None:
            self._loop.remove_reader(self._pid_fd)
            # Not reaped yet, so the group's number cannot have become somebody else's.
            with contextlib.suppress(OSError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        if self._status_fd is not None:
            self._on_status()
        self.seconds = time.monotonic() - self._begun
        self._exited.set()
        for timer in self._timers:
            timer.cancel()
        self._timers = [self._loop.call_later(_DRAIN_S, self._stop_draining)]

    def _stop_draining(self) -> None:
        self._drained = True
        self._wake()

    def _watch(self) -> None:
        """Count the tree: the kernel's own limits are per process, and root is exempt from some.

        A fork bomb leaves us little time to run, so a cheap count of everything decides when to look.
        """
        self._looks += 1
        if self._looks % _LOOK_EVERY == 0 or tasks() - self._tasks > self._limits.processes:
            processes, resident = usage(self._popen.pid)
            if processes > self._limits.processes:
                self._stop("processes")
                return
            if resident > self._limits.memory_mb * 3 // 2 * 1024 * 1024:
                self._stop("memory")
                return
        self._timers[-1] = self._loop.call_later(_WATCH_S, self._watch)

    # ------------------------------------------------------------ output

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._iterating = True
        try:
            chunk = await self._read()
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._iterating = False
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _read(self) -> bytes:
        assert self._popen.stdout is not None
        while not self._eof:
            fd = self._popen.stdout.fileno()
            try:
                chunk = os.read(fd, _CHUNK)
            except BlockingIOError:
                if self._drained:
                    break
                self._waiter = self._loop.create_future()
                self._loop.add_reader(fd, self._wake)
                try:
                    await self._waiter
                finally:
                    self._loop.remove_reader(fd)
                    self._waiter = None
                continue
            if not chunk:
                break
            return self._accept(chunk)
        self._eof = True
        return b""

    def _accept(self, chunk: bytes) -> bytes:
        if len(self._head) < _HEAD_KEPT:
            self._head += chunk[:_HEAD_KEPT]
        cap = self._limits.output_kb * 1024
        room = cap - self._read_bytes
        self._read_bytes += len(chunk)
        if cap and len(chunk) > room:
            self._eof = True
            self._stop("output")
            return chunk[:room]
        return chunk

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ------------------------------------------------------------ input

    def write(self, data: bytes) -> None:
        """Queue bytes for standard input; they are dropped once the program stopped reading."""
        if self._popen.stdin is None or self._popen.stdin.closed or self._close_after:
            return
        self._outgoing += data
        self._flush()

    def close_stdin(self) -> None:
        """Close standard input behind everything written so far."""
        self._close_after = True
        self._flush()

    def _flush(self) -> None:
        stdin = self._popen.stdin
        if stdin is None or stdin.closed:
            return
        fd = stdin.fileno()
        self._loop.remove_writer(fd)
        try:
            while self._outgoing:
                del self._outgoing[: os.write(fd, self._outgoing[:_CHUNK])]
        except BlockingIOError:
            self._loop.add_writer(fd, self._flush)
            return
        except OSError:
            self._outgoing.clear()
            self._close_after = True
        if self._close_after:
            stdin.close()

    # ------------------------------------------------------------ the end

    def kill(self) -> None:
        """End the program and all it has started, at once. Safe to call twice."""
        self._stop("killed")

    def _stop(self, why: Ended) -> None:
        if self._exited.is_set():
            return
        self.ended = self.ended or why
        # The starter first, or it might still tell of the other's end as of an ordinary one.
        with contextlib.suppress(OSError):
            os.killpg(self._popen.pid, signal.SIGTERM if self._asked else signal.SIGKILL)
            if self._asked:
                self._timers.insert(0, self._loop.call_later(_GONE_S, self._insist))
        if self._init_fd is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)

    def _insist(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """The exit status, once nothing of the tree is left; unread output is thrown away.

        Raises SandboxUnavailable when the boundary could not be set up, so that the program never ran.
        """
        try:
            if not self._iterating:
                while await self._read():
                    pass
            await self._exited.wait()
            await self._all_gone()
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            if self._exited.is_set() and not self._iterating:
                self._close()
        code = self._popen.returncode
        # One that was killed from outside (code below 0) may have run for long: nobody may start it a second time for that.
        if self._status_fd is not None and code > 0 and not self.ended and self._reported("exit-code") is None:
            said = (self._head or self.stderr).decode(errors="replace").strip()
            raise SandboxUnavailable(f"The sandbox could not be set up: {said or f'bubblewrap ended with {code}'}.")
        return code

    async def _all_gone(self) -> None:
        """A namespace's first process is reaped only after all others in it are."""
        if self._init_fd is None and (self._status_fd or -1) >= 0:
            # It may have ended before anybody looked who it was.
            self._on_status()
        if self._init_fd is None:
            return
        gone = asyncio.Event()
        self._loop.add_reader(self._init_fd, gone.set)
        try:
            await asyncio.wait_for(gone.wait(), _ALL_GONE_S)
        except TimeoutError:
            return
        finally:
            self._loop.remove_reader(self._init_fd)

    def _close(self) -> None:
        if self._after is not None:
            after, self._after = self._after, None
            self.held_back = after()
        for timer in self._timers:
            timer.cancel()
        self._eof = True
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None and not stream.closed:
                self._loop.remove_reader(stream.fileno())
                self._loop.remove_writer(stream.fileno())
                with contextlib.suppress(OSError):
                    stream.close()
        for name in ("_init_fd", "_pid_fd", "_status_fd"):
            fd = getattr(self, name)
            if fd is not None and fd >= 0:
                self._loop.remove_reader(fd)
                os.close(fd)
                setattr(self, name, None if name != "_status_fd" else -1)

    async def __aenter__(self) -> Process:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._exited.is_set():
            self.kill()
        with contextlib.suppress(SandboxUnavailable):
            await self.wait()
