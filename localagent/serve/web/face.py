"""The pages and the websocket as one ASGI application, with its doors before everything."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from . import pages
from .apps import Apps
from .doors import Doors, Refused
from .relay import Relay

_TAB = re.compile(r"/app/([0-9a-f]{32})")
_SINGLE = ("host", "origin", "cookie", "sec-websocket-protocol", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")


class Face:
    """`doors` says who may come in, `apps` what runs behind them."""

    def __init__(self, doors: Doors, apps: Apps) -> None:
        self._doors, self._apps = doors, apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            if any(len(headers.getlist(name)) > 1 for name in _SINGLE):
                raise Refused(403, "A header stands there twice.")
            if scope["type"] == "websocket":
                await self._socket(scope, receive, send, headers)
            elif scope["type"] == "http":
                response = self._page(scope, headers)
                response.headers.update(pages.headers(headers["host"]))
                await response(scope, receive, send)
        except Refused as refused:
            await _refusal(refused, scope, receive, send)

    def _page(self, scope: Scope, headers: Headers) -> Response:
        self._doors.check_place(headers, scope["method"])
        tokens = parse_qs(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True).get("token")
        if tokens is not None and scope["path"] == "/":
            self._doors.check_token(tokens[0])
            page = pages.enter(self._doors.key)
            response = Response(page.body, media_type=page.kind)
            for cookie in [*self._doors.stale(headers.get("cookie", "")), self._doors.cookie]:
                response.headers.append("set-cookie", cookie)
            return response
        self._doors.check_cookie(headers.get("cookie", ""))
        found = pages.find(scope["path"])
        if found is None:
            return Response("There is nothing here.\n", 404, media_type="text/plain; charset=utf-8")
        return Response(found.body, media_type=found.kind)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self._doors.check_place(headers, "GET")
        self._doors.check_origin(headers)
        self._doors.check_cookie(headers.get("cookie", ""))
        self._doors.check_key(list(scope.get("subprotocols", ())))
        tab = _TAB.fullmatch(scope["path"])
        if tab is None:
            raise Refused(404, "There is nothing here.")
        await Relay(WebSocket(scope, receive, send), self._apps).run(tab[1])


async def _refusal(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(f"{refused.message}\n", refused.status, media_type="text/plain; charset=utf-8")
    response.headers.update(pages.headers())
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
