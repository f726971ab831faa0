"""Streamable HTTP: the server's own address, with the user's headers or tokens.

The SDK sends these to that scheme, host and port alone and follows no redirect away from it; nothing is asked in the clear beyond
this machine, what a sign-in asks included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from ...errors import ConfigError
from ...store.certificates import certificates
from . import pipe
from .addresses import checked, is_loopback, may_be_here
from .pipe import Line

_CONNECT_S, _READ_S = 15.0, 300.0
_ANSWER_BYTES = 16 << 20


@asynccontextmanager
async def reached(
    url: str, headers: Mapping[str, str], auth: httpx2.Auth | None = None, line: Line | None = None
) -> AsyncIterator[tuple[Any, Any]]:
    """The streams of the server at this address; `line` counts what comes in them between two calls.

    Raises ConfigError for an address that would carry secrets in the clear.
    """
    address = checked(url)
    timeout = httpx2.Timeout(_CONNECT_S, read=_READ_S)
    hooks: dict[str, list[Any]] = {"request": [_only_outside(address)], "response": [_bounded_by(line or Line())]}
    async with (
        httpx2.AsyncClient(headers=dict(headers), auth=auth, timeout=timeout, verify=certificates(), event_hooks=hooks) as client,
        streamable_http_client(address, http_client=client) as streams,
    ):
        yield streams


def _only_outside(address: str) -> Callable[[httpx2.Request], Awaitable[None]]:
    """What each request has to be: a server elsewhere names the places of a sign-in, and this machine is none of them."""
    here = is_loopback(httpx2.URL(address).host)

    async def look(request: httpx2.Request) -> None:
        if not here and may_be_here(request.url.host):
            told = "The MCP server would have this machine itself be asked, so it is not."
            raise ConfigError(told, "Its sign-in has to be elsewhere.")
        if request.url.scheme != "https" and not is_loopback(request.url.host):
            raise ConfigError(f"{request.url.host} would be asked in the clear, so it is not asked.", "It has to offer https://.")

    return look


def _bounded_by(line: Line) -> Callable[[httpx2.Response], Awaitable[None]]:
    """An answer is read to its limit and no further; a stream of events, which has no end, to that of `line`."""

    async def look(response: httpx2.Response) -> None:
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > _ANSWER_BYTES:
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is larger than is taken", request=response.request)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _Events(response.stream, line)
        elif not length:
            response.stream = _Counted(response.stream)

    return look


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._size = 0

    def _took(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > _ANSWER_BYTES:
            raise httpx2.RemoteProtocolError("the answer is larger than is taken")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._took(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Events(_Counted):
    def __init__(self, stream: Any, line: Line) -> None:
        super().__init__(stream)
        self._line = line

    def _took(self, piece: bytes) -> None:
        self._line.burst += len(piece)
        if self._line.burst > pipe.BURST_BYTES:
            self._line.ends("it wrote more than is allowed")
            raise httpx2.RemoteProtocolError("the server writes without end")
