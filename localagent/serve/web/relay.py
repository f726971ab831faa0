"""One browser tab: what its websocket says reaches the app, and what the app draws reaches it.

Bytes are what is typed and what is drawn. Texts are small JSON objects: `{"size": [columns, rows]}` and
`{"read": bytes}` from the browser, `{"begin": true}`, `{"ended": status}`, `{"stopped": true}`,
`{"taken": true}` and `{"refused": why}` to it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ...errors import LocalAgentError
from .apps import Apps, Running
from .doors import PROTOCOL
from .flow import Flow

MESSAGE = 64 << 10
"""The largest message taken from a browser, in bytes."""
_HELLO_S = 10.0
_PAUSE_S = 0.1
_NO_SUCH = 1003


class Wrong(Exception):
    """The browser said what no page of ours says."""


class Relay:
    """A viewer of one app at the end of a websocket."""

    def __init__(self, socket: WebSocket, apps: Apps) -> None:
        self._socket, self._apps = socket, apps
        self._flow = Flow()
        self._said: list[dict[str, Any]] = []
        self._last: dict[str, Any] | None = None
        self._more = asyncio.Event()
        self._app: Running | None = None

    # ------------------------------------------------------------ the app says

    def show(self, data: bytes) -> None:
        self._flow.offer(data)
        self._more.set()

    def begin(self, modes: bytes) -> None:
        # What waits was drawn before, and is drawn again.
        self._flow.forget()
        self._said.append({"begin": True})
        self._more.set()
        if modes:
            self.show(modes)

    def ended(self, status: int) -> None:
        self._last = {"stopped": True} if self._apps.closing else {"ended": status}
        self._more.set()

    def replaced(self) -> None:
        self._flow.forget()
        self._last = {"taken": True}
        self._more.set()

    # ------------------------------------------------------------ both directions

    async def run(self, tab: str) -> None:
        """From the first message until one side goes."""
        await self._socket.accept(subprotocol=PROTOCOL)
        try:
            size = await asyncio.wait_for(self._hello(), _HELLO_S)
            await self._look(tab, size)
        except (Wrong, TimeoutError):
            await self._close(_NO_SUCH)
        except WebSocketDisconnect:
            return
        finally:
            if self._app is not None:
                self._app.leave(self, self._apps.grace_s)
        await self._close(1000)

    async def _look(self, tab: str, size: tuple[int, int]) -> None:
        try:
            self._app = self._apps.open(tab, size)
        except LocalAgentError as error:
            await self._say({"refused": str(error)})
            return
        self._app.look(self, size)
        tasks = [asyncio.ensure_future(self._listen(self._app)), asyncio.ensure_future(self._tell(self._app))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _close(self, code: int) -> None:
        states = (self._socket.application_state, self._socket.client_state)
        if WebSocketState.DISCONNECTED not in states:
            await self._socket.close(code)

    async def _hello(self) -> tuple[int, int]:
        typed, told = await self._receive()
        if typed or "size" not in told:
            raise Wrong
        return _size(told)

    async def _listen(self, app: Running) -> None:
        while True:
            typed, told = await self._receive()
            if typed:
                app.terminal.write(typed)
                # No next message is read before; so the browser waits, and nothing piles up here.
                await app.terminal.room()
            elif "size" in told:
                app.resize(_size(told))
            else:
                self._flow.read(_count(told))
                self._more.set()

    async def _receive(self) -> tuple[bytes, dict[str, Any]]:
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect(message.get("code", 1005))
        if message.get("bytes") is not None:
            return message["bytes"] or b"", {"read": 0}
        try:
            told = json.loads(message["text"])
        except (ValueError, RecursionError):
            raise Wrong from None
        if not isinstance(told, dict):
            raise Wrong
        return b"", told

    async def _tell(self, app: Running) -> None:
        """A new beginning comes before what is drawn after it, and the last word after everything drawn."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._said or self._flow.waiting:
                if self._said:
                    await self._say(self._said.pop(0))
                else:
                    await self._socket.send_bytes(self._flow.waiting.popleft())
            if self._last is not None:
                await self._say(self._last)
                return
            if self._flow.caught_up():
                # Who writes more than can be drawn goes on doing so.
                await asyncio.sleep(_PAUSE_S)
                app.redraw()

    async def _say(self, what: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(what))


def _size(told: dict[str, Any]) -> tuple[int, int]:
    match told:
        case {"size": [int(columns), int(rows)]}:
            return columns, rows
    raise Wrong


def _count(told: dict[str, Any]) -> int:
    count = told.get("read")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise Wrong
    return count
