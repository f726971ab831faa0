"""What stands between a port and an application: the socket, and uvicorn set up for strangers."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from ..errors import LocalAgentError, UsageError
from .connections import Connection

_END_S = 1
"""How long an answer that was broken off may take to end."""
_BACKLOG = 128


def config(face: Any, websockets: Any = "none", largest: int = 0) -> uvicorn.Config:
    """How uvicorn is to serve `face`. `largest` is the largest message of a websocket, in bytes."""
    return uvicorn.Config(
        face,
        http=Connection,
        ws=websockets,
        ws_max_size=largest,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_END_S,
    )


class Uvicorn(uvicorn.Server):
    """Leaves the signals to us, and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens. `port` 0 takes any free one. Raises UsageError for no address, LocalAgentError for a taken port."""
    name = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(name).version == 6 else socket.AF_INET
    except ValueError:
        raise UsageError(f"--host must be an address such as 127.0.0.1, and not {host!r}.") from None
    made = socket.socket(family)
    try:
        if os.name != "nt":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((name, port))
        # Two that are bound can both believe in a port; only one can listen.
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        hint = "Choose another with --port N, or any free one with --port 0."
        raise LocalAgentError(f"{name}:{port} cannot be used: {error.strerror or error}.", hint) from None
    return made
