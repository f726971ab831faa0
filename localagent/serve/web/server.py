"""The server of the app in a browser: this machine's own addresses, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from ...errors import LocalAgentError
from ..listening import Uvicorn, bound, config
from .apps import GRACE_S, MOST, Apps, Program
from .doors import Doors
from .face import Face
from .relay import MESSAGE

PORT = 8412
_PACKAGE = Path(__file__).resolve().parents[3]
# What they say is about the terminal the server was started in.
_OTHER_TERMINALS = ("LINES", "COLUMNS", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "STY", "KITTY_WINDOW_ID", "VTE_VERSION")


def program(folder: Path) -> Program:
    """The app, as a person in this folder would start it."""
    env = {name: value for name, value in os.environ.items() if name not in _OTHER_TERMINALS}
    env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(_PACKAGE)}
    return Program((sys.executable, "-P", "-m", "localagent"), folder, env)


class Server:
    """Holds its addresses from the start: whoever has one knows that the port was free."""

    def __init__(self, what: Program, port: int | None, *, most: int = MOST, grace_s: float = GRACE_S) -> None:
        """`port` None is the usual one if it is free, 0 any free one. Raises LocalAgentError for a taken port."""
        self._sockets = _sockets(port)
        self.port = int(self._sockets[0].getsockname()[1])
        self._doors = Doors(self.port)
        self._what, self._most, self._grace_s = what, most, grace_s
        self._stopping = asyncio.Event()

    @property
    def address(self) -> str:
        """The address of the first visit. Whoever has it can use the app: it is for the person only."""
        return f"http://127.0.0.1:{self.port}/?token={self._doors.token}"

    def run(self, ready: Callable[[], None], stopping: Callable[[int], None]) -> None:
        """Serves until SIGTERM or Ctrl+C, then raises KeyboardInterrupt for the latter.

        `ready` is called when it listens, `stopping` with the number of apps that are to be ended.
        """
        interrupted = False

        def end(number: int) -> None:
            nonlocal interrupted
            interrupted = interrupted or number == signal.SIGINT
            self._stopping.set()

        async def whole() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # `nohup` means to go on without the terminal.
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    loop.add_signal_handler(number, end, number)
            await self.serve(ready, stopping)

        asyncio.run(whole())
        if interrupted:
            raise KeyboardInterrupt

    async def serve(self, ready: Callable[[], None], stopping: Callable[[int], None]) -> None:
        """Serves until `stop`. Afterwards no app of it is left."""
        from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

        apps = Apps(self._what, self._most, self._grace_s)
        server = Uvicorn(config(Face(self._doors, apps), WSProtocol, MESSAGE), ready)
        serving = asyncio.ensure_future(server.serve(sockets=self._sockets))
        waiting = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
            stopping(len(apps))
        finally:
            waiting.cancel()
            # While the server still runs: who looks at an app is told.
            await apps.close()
            server.should_exit = True
            await serving

    def stop(self) -> None:
        """Ends `serve` soon. Call it in the loop that serves."""
        self._stopping.set()

    def close(self) -> None:
        """Gives the addresses up; for a server that never served."""
        for one in self._sockets:
            one.close()


def _sockets(port: int | None) -> list[socket.socket]:
    """127.0.0.1, and the same port of ::1 where that can be had."""
    if port is None:
        try:
            first = bound("127.0.0.1", PORT)
        except LocalAgentError:
            first = bound("127.0.0.1", 0)
    else:
        first = bound("127.0.0.1", port)
    made = [first]
    with contextlib.suppress(LocalAgentError, OSError):
        made.append(bound("::1", int(first.getsockname()[1])))
    return made
