"""The two pieces that stand in the HTTP client's way; loaded when a request is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx2


class Watched(httpx2.AsyncByteStream):
    """A request's body that knows whether its last piece was handed on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held: bytes | None = None
        async for chunk in self._inner:
            if held is not None:
                yield held
            held = chunk
        # Before this last piece no server has a whole request: its length is announced.
        self.whole = True
        if held is not None:
            yield held


class Door(httpx2.AsyncBaseTransport):
    """Gives each request its secret on the way out, where no log and no error of the client looks."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, sign: Callable[[str], Awaitable[tuple[str, Mapping[str, str]]]]
    ) -> None:
        self._inner, self._sign = inner, sign

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path, headers = await self._sign(request.url.raw_path.decode("ascii"))
        signed = httpx2.Request(
            request.method,
            request.url.copy_with(raw_path=path.encode("ascii")),
            headers=dict(request.headers) | dict(headers),
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(signed)

    async def aclose(self) -> None:
        await self._inner.aclose()
