"""A small HTTP server on this machine that can also misbehave, one connection a request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def form(self) -> dict[str, bytes]:
        """The parts of a multipart body, by name."""
        boundary = re.search("boundary=(.+)", self.headers["content-type"])[1].encode()
        found = {}
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            found[re.search(rb'name="([^"]*)"', head)[1].decode()] = value[:-2]
        return found


@dataclass
class Answer:
    """`late`: seconds before it; `cut`: only that many bytes of it, then the line is dropped."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    late: float = 0.0
    cut: int | None = None


class Drop:
    """The connection ends without an answer. `after`: what was read of the body before."""

    def __init__(self, after: str = "all") -> None:
        self.after = after


Handler = Callable[[Asked], Awaitable[Any]]


class Web:
    def __init__(self, handler: Handler) -> None:
        self.asked: list[Asked] = []
        self.handler = handler
        self.url = ""
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        parts = urlsplit(target)
        asked = Asked(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, b"")
        if isinstance(self.handler, Drop) and self.handler.after == "head":
            self.asked.append(asked)
            writer.transport.abort()
            return
        if headers.get("transfer-encoding") == "chunked":
            raise AssertionError("a body without its length")
        asked.body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append(asked)
        answer = self.handler if isinstance(self.handler, Drop) else await self.handler(asked)
        if isinstance(answer, Drop):
            writer.transport.abort()
            return
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        await asyncio.sleep(answer.late)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        said = {"Content-Length": str(len(body)), "Date": "Mon, 30 Nov 2026 12:00:00 GMT"} | answer.headers
        text = f"HTTP/1.1 {answer.status} Said\r\n" + "".join(f"{k}: {v}\r\n" for k, v in said.items()) + "\r\n"
        whole = text.encode() + body
        writer.write(whole if answer.cut is None else whole[: len(text) + answer.cut])
        await writer.drain()


@asynccontextmanager
async def web(handler: Any) -> AsyncIterator[Web]:
    """A server for the block; `handler` gets each request and gives what is answered: JSON, bytes, Answer or Drop."""
    made = Web(handler)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()




def run(work: Coroutine[Any, Any, Any], seconds: float = 20) -> Any:
    return asyncio.run(asyncio.wait_for(work, seconds))


async def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def until(true: Callable[[], object], seconds: float = 15) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for knows nothing of events
            await asyncio.sleep(0.01)
