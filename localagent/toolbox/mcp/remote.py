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
from .addresses import checked, is_loopback, may_be_here

_CONNECT_S, _READ_S = 15.0, 300.0
_ANSWER_BYTES = 16 << 20


@asynccontextmanager
async def reached(url: str, headers: Mapping[str, str], auth: httpx2.Auth | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """The streams of the server at this address. Raises ConfigError for an address that would carry secrets in the clear."""
    address = checked(url)
    timeout = httpx2.Timeout(_CONNECT_S, read=_READ_S)
    hooks: dict[str, list[Any]] = {"request": [_only_outside(address)], "response": [_bounded]}
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


async def _bounded(response: httpx2.Response) -> None:
    """An answer that says its length, or one in pieces that is no stream of events, is read to its limit and no further."""
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) > _ANSWER_BYTES:
        await response.aclose()
        raise httpx2.RemoteProtocolError("the answer is larger than is taken", request=response.request)
    if not length and not response.headers.get("content-type", "").startswith("text/event-stream"):
        response.stream = _Counted(response.stream)


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > _ANSWER_BYTES:
                raise httpx2.RemoteProtocolError("the answer is larger than is taken")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
