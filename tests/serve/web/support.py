"""The web face without a network: requests and websockets as ASGI has them, and small programs in the place of the app."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.serve.web.apps import Apps, Program
from localagent.serve.web.doors import Doors
from localagent.serve.web.face import Face

HOST = "127.0.0.1:8412"
TAB = "0123456789abcdef" * 2
# Draws its size, and again when that changes; `q` ends it; anything else is said back.
SCREEN = """
import os, signal, sys, tty
def draw(*_):
    size = os.get_terminal_size(0)
    os.write(1, f"[{size.columns}x{size.lines}]".encode())
signal.signal(signal.SIGWINCH, draw)
tty.setraw(0)
os.write(1, b"\\x1b[?1049h\\x1b[?1006h")
draw()
while True:
    typed = os.read(0, 4096)
    if typed == b"q":
        sys.exit(7)
    os.write(1, b"<" + typed + b">")
"""


def program(code: str = SCREEN) -> Program:
    return Program((sys.executable, "-I", "-S", "-c", code), Path.cwd(), dict(os.environ))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Site:
    """A face and its secrets."""

    def __init__(self, code: str = SCREEN, **limits: Any) -> None:
        self.doors = Doors(8412)
        self.apps = Apps(program(code), **limits)
        self.face = Face(self.doors, self.apps)
        self.cookie = self.doors.cookie.partition(";")[0]

    async def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        path, _, query = path.partition("?")
        given = {"host": HOST} | dict(headers or {})
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()], "http_version": "1.1",
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.face(scope, receive, send)
        got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], got, b"".join(message.get("body", b"") for message in sent[1:]))

    def tab(self, name: str = TAB, **headers: str | None) -> Tab:
        given = {"host": HOST, "origin": f"http://{HOST}", "cookie": self.cookie}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        offered = given.pop("protocols", None) or f"localagent {self.doors.key}"
        scope = {
            "type": "websocket", "path": f"/app/{name}", "query_string": b"", "scheme": "ws",
            "headers": [(name.encode(), value.encode()) for name, value in given.items() if value is not None],
            "subprotocols": offered.split(), "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        return Tab(self.face, scope)


class Tab:
    """A websocket as the page has it. Unless `reads` is False it says what it has drawn."""

    def __init__(self, face: Face, scope: dict[str, Any]) -> None:
        self.reads = True
        self.drawn = b""
        self.told: list[dict[str, Any]] = []
        self.status = 0
        self.closed: int | None = None
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._in.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(face(scope, self._in.get, self._send))

    async def _send(self, message: Any) -> None:
        if self.closed is not None:
            raise OSError
        match message["type"]:
            case "websocket.accept":
                assert message["subprotocol"] == "localagent"
            case "websocket.close":
                self.closed = message["code"]
            case "websocket.http.response.start":
                self.status = message["status"]
            case "websocket.send" if message.get("text") is not None:
                self.told.append(json.loads(message["text"]))
            case "websocket.send":
                self.drawn += message["bytes"]
                if self.reads:
                    self.say(read=len(message["bytes"]))
        self._changed.set()

    def say(self, text: str | None = None, **told: Any) -> None:
        self._in.put_nowait({"type": "websocket.receive", "text": json.dumps(told) if text is None else text})

    def type(self, typed: bytes) -> None:
        self._in.put_nowait({"type": "websocket.receive", "bytes": typed})

    async def leave(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.task, 5)

    async def until(self, met: Callable[[], Any], seconds: float = 10.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not met():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError((self.drawn[-500:], self.told, self.status, self.closed)) from None

    async def shows(self, drawn: bytes) -> None:
        await self.until(lambda: drawn in self.drawn)
