"""The server as a process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from ..errors import UsageError
from .access import ENV, Access, Key, is_loopback
from .app import Face
from .listening import Uvicorn, bound, config
from .models import Shelf


class Server:
    """Holds its address from the start: whoever has one knows that the port was free."""

    def __init__(self, shelf: Shelf, key: Key, host: str, port: int) -> None:
        """`port` 0 takes any free one. Raises UsageError for a host it cannot be, LocalAgentError for a taken port."""
        if key.path and not is_loopback(host):
            hint = f"Give one with --api-key, or in {ENV}."
            raise UsageError(f"Other machines could reach {host}, so the server needs a key of your choice.", hint)
        self.key = key
        self.open_to_others = not is_loopback(host)
        self._shelf, self._host = shelf, host
        self._socket = bound(host, port)
        self._port = int(self._socket.getsockname()[1])
        self._face = Face(shelf, Access(key.value, host, self._port))
        self._uvicorn: Uvicorn | None = None

    @property
    def address(self) -> str:
        """The base URL that clients are given."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}/v1"

    @property
    def model(self) -> str:
        """The model that answers where a request names none."""
        return self._shelf.default.id

    def run(self, ready: Callable[[], None]) -> None:
        """Serves until SIGTERM. Ctrl+C raises KeyboardInterrupt; both break off what is being answered."""
        interrupted = False

        def end(number: int) -> None:
            nonlocal interrupted
            interrupted = interrupted or number == signal.SIGINT
            self.stop()

        async def whole() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, end, number)
            await self.serve(ready)

        asyncio.run(whole())
        if interrupted:
            raise KeyboardInterrupt

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serves until `stop`; `ready` is called when it listens."""
        self._uvicorn = Uvicorn(config(self._face), ready)
        await self._uvicorn.serve(sockets=[self._socket])

    def close(self) -> None:
        """Gives the address up; for a server that never served."""
        self._socket.close()

    def stop(self) -> None:
        """Ends `serve` soon. Call it in the loop that serves."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
            self._face.stop()
