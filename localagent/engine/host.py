"""The resident engine: `python -m localagent.engine.host --socket PATH --idle-s N`.

One per user, held by a lock beside the socket. It keeps no conversations; it answers framed
requests (`protocol`) and ends itself when nobody has asked for `idle-s` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import EngineError, LocalAgentError
from . import protocol
from .protocol import Prompted
from .runner import Job, Runner

log = logging.getLogger("localagent.engine")
LOOK_S = 2.0
"""How often an idle host looks whether its socket is still where clients look for it."""
MAX_UNSENT = 16 << 20
"""A client that has this much waiting is not reading; it is dropped."""


class Host:
    """The I/O side: connections, and the runner behind them."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._runner = Runner()
        self._started = time.monotonic()
        self._stopping = asyncio.Event()
        self._clients = 0
        self._open = 0

    async def serve(self, path: Path) -> None:
        server = await asyncio.start_unix_server(self._client, path)
        os.chmod(path, 0o600)
        own = _known(path)
        log.info("listening (process %d)", os.getpid())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        try:
            await self._until_idle(lambda: _known(path) == own)
        finally:
            server.close()
            if _known(path) == own:
                path.unlink(missing_ok=True)
            ended = await loop.run_in_executor(None, self._runner.close)
            await asyncio.sleep(0.05)
            log.info("ended")
            if not ended:
                # Tearing the process down around a thread that computes would crash it.
                os._exit(0)

    async def _until_idle(self, reachable: Callable[[], bool]) -> None:
        """Return when asked to stop, idle for long, or idle where nobody can reach it any more."""
        while not self._stopping.is_set():
            idle_s = self._runner.idle_for()
            left = self._idle_s - idle_s
            if left <= 0:
                return
            if idle_s > 0 and not reachable():
                log.info("the socket is gone")
                return
            try:
                await asyncio.wait_for(self._stopping.wait(), max(0.05, min(left, LOOK_S)))
            except TimeoutError:
                continue

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        self._open += 1
        connection = Connection(self, self._clients, writer)
        try:
            if _same_user(writer):
                await connection.talk(reader)
        except ConnectionError:
            log.info("a client went away")
        except asyncio.CancelledError:
            log.info("the engine ends while a client is there")
        finally:
            self._open -= 1
            connection.abandon()
            self._runner.forget(connection.number)
            writer.close()

    @property
    def runner(self) -> Runner:
        return self._runner

    def stop(self) -> None:
        self._stopping.set()

    def status(self) -> dict[str, Any]:
        return {
            "event": "status",
            "pid": os.getpid(),
            "version": protocol.VERSION,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "idle_s": round(self._runner.idle_for(), 1),
            "idle_limit_s": self._idle_s,
            "memory_bytes": _resident_bytes(),
            "clients": self._open,
            **self._runner.status(),
        }


class Connection:
    """One client and the jobs it has running."""

    def __init__(self, host: Host, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._host = host
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[Any, Job] = {}

    async def talk(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                frame = await protocol.read(reader)
                if frame is None:
                    return
                self._handle(frame)
            except protocol.BadRequest as error:
                self._refuse(None, str(error))
            except protocol.FrameError as error:
                self._refuse(None, str(error))
                await self._writer.drain()
                return

    def abandon(self) -> None:
        """Nobody listens any more: free the engine."""
        for job in list(self._jobs.values()):
            self._host.runner.cancel(job)

    def _handle(self, frame: Mapping[str, Any]) -> None:
        name, id_ = frame.get("op"), frame.get("id")
        if not isinstance(id_, (int, str)):
            self._refuse(None, "the request has no id")
            return
        try:
            match name:
                case "generate":
                    self._submit(id_, frame, protocol.request_from_json)
                case "score":
                    self._submit(id_, frame, protocol.score_from_json)
                case "prepare":
                    self._submit(id_, frame, protocol.prepare_from_json)
                case "count":
                    self._submit(id_, frame, protocol.count_from_json)
                case "cancel":
                    if job := self._jobs.get(id_):
                        self._host.runner.cancel(job)
                case "status":
                    self._send({"id": id_, **self._host.status()})
                case "stop":
                    self._send({"id": id_, "event": "ok"})
                    self._host.stop()
                case _:
                    self._refuse(id_, f"there is no operation {str(name)[:40]!r}")
        except protocol.BadRequest as error:
            self._refuse(id_, str(error))

    def _submit(self, id_: int | str, frame: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Prompted]) -> None:
        if frame.get("version") != protocol.VERSION:
            error = EngineError("The running engine is of another version.", "Run `localagent engine stop`.")
            self._send({"id": id_, **protocol.error_to_json(error), "kind": "version", "host": protocol.VERSION})
            return
        if id_ in self._jobs:
            raise protocol.BadRequest("this id is already in use")
        request = read(frame)

        def emit(event: dict[str, Any]) -> None:
            self._loop.call_soon_threadsafe(self._event, id_, event)

        job = Job(request, self.number, emit)
        self._jobs[id_] = job
        before = self._host.runner.submit(job)
        if before:
            self._send({"id": id_, "event": "queued", "before": before})

    def _event(self, id_: int | str, event: dict[str, Any]) -> None:
        if event["event"] in ("done", "error"):
            self._jobs.pop(id_, None)
        self._send({"id": id_, **event})

    def _refuse(self, id_: int | str | None, reason: str) -> None:
        error = EngineError(f"The engine did not understand the request: {reason}.", "Update localagent.")
        self._send({"id": id_, **protocol.error_to_json(error)})

    def _send(self, event: dict[str, Any]) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(protocol.pack(event))
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("a client does not read; dropped")
            self._writer.transport.abort()


def _same_user(writer: asyncio.StreamWriter) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", raw)[1] == os.getuid())


def _known(path: Path) -> tuple[int, int]:
    """What tells this file from a later one at the same place; (0, 0) where there is none."""
    try:
        facts = path.lstat()
    except OSError:
        return 0, 0
    return facts.st_ino, facts.st_mtime_ns


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _lock(path: Path) -> int | None:
    """Hold the lock beside the socket; None where a running engine holds it. Waits for one that is ending."""
    import fcntl

    handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 10.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if _listens(path) or time.monotonic() > deadline:
                os.close(handle)
                return None
            time.sleep(0.05)
            continue
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        return handle


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="localagent.engine.host")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--idle-s", type=float, default=600.0)
    given = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ["GGML_NO_BACKTRACE"] = "1"
    os.umask(0o077)
    lock = _lock(given.socket)
    if lock is None:
        log.info("another engine is running")
        return 0
    given.socket.unlink(missing_ok=True)
    try:
        asyncio.run(_serve(given.socket, given.idle_s))
    except LocalAgentError as error:
        log.error("%s", error)
        return 1
    finally:
        os.close(lock)
    return 0


async def _serve(path: Path, idle_s: float) -> None:
    await Host(idle_s).serve(path)


if __name__ == "__main__":
    raise SystemExit(main())
