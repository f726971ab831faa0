"""The routes, and what stands before all of them."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from contextlib import aclosing
from typing import Any, NoReturn

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import LocalAgentError
from . import fields, replies, requests
from .access import Access
from .answers import Answers
from .models import Model, Shelf
from .refusals import Refused, of_bug, of_failure
from .replies import Chunks, Whole
from .requests import Chat
from .streams import EventStream, Watched

MAX_BODY = 8 << 20
BODY_S = 60.0
"""How long a body may take to arrive."""
OPEN = "/health"
log = logging.getLogger("localagent.serve")


class Face:
    """The application, as ASGI. `stop` breaks off every answer that is being made."""

    def __init__(self, shelf: Shelf, access: Access) -> None:
        self._shelf, self._access = shelf, access
        self._answers, self._watched = Answers(), Watched()
        self._inner = self._routes()

    def stop(self) -> None:
        self._watched.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        try:
            for name in ("origin", "authorization"):
                if len(headers.getlist(name)) > 1:
                    raise Refused(f"There are several {name} headers.")
            self._access.check_origin(headers)
            if scope["method"] == "OPTIONS":
                raise Refused("Web pages may not use this server.", status=403, code="origin_not_allowed")
            if scope["path"] != OPEN:
                self._access.check_key(headers)
        except Refused as refused:
            await _refusal(refused)(scope, receive, send)
            return
        try:
            await self._inner(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            # The client has its answer already; what is left is to say it where somebody can mend it.
            log.exception("a request failed")

    def _routes(self) -> ASGIApp:
        routes = [
            Route(OPEN, _health, methods=["GET"]),
            Route("/v1/models", self._models, methods=["GET"]),
            Route("/v1/models/", self._models, methods=["GET"]),
            Route("/v1/models/{id:path}", self._model, methods=["GET"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        handlers: Any = {kind: _failed for kind in (Refused, LocalAgentError, HTTPException, Exception)}
        made = Starlette(routes=routes, exception_handlers=handlers)
        made.router.redirect_slashes = False
        return made

    async def _models(self, request: Request) -> Response:
        loaded = await self._shelf.loaded()
        found = [replies.listed(model, loaded) for model in await self._shelf.every()]
        return _json({"object": "list", "data": found})

    async def _model(self, request: Request) -> Response:
        model = await self._shelf.find(request.path_params["id"])
        return _json(replies.listed(model, await self._shelf.loaded()))

    async def _chat(self, request: Request) -> Response:
        chat = requests.read(await _body(request), _client(request))
        model = await self._shelf.find(chat.model)
        if chat.pictures:
            from . import seen

            chat = await seen.shown(chat, model)
        if chat.stream:
            logprobs, bare = chat.options.logprobs is not None, chat.options.schema is not None
            chunks = Chunks(model.id, logprobs=logprobs, bare=bare, include_usage=chat.include_usage)
            return EventStream(self._answers.stream(model, chat), chunks, self._watched)
        whole = await self._watched.run(request.receive, self._gather(model, chat))
        return Response(status_code=499) if whole is None else _json(whole.body())

    async def _gather(self, model: Model, chat: Chat) -> Whole:
        whole = Whole(model.id, logprobs=chat.options.logprobs is not None, bare=chat.options.schema is not None)
        async with aclosing(self._answers.stream(model, chat)) as deltas:
            async for delta in deltas:
                whole.feed(delta)
        return whole


async def _health(request: Request) -> Response:
    return _json({"status": "ok"})


def _client(request: Request) -> str:
    """Whose turn it is: programs are told apart by where they are and what they call themselves."""
    where = request.client.host if request.client else ""
    return f"{where} {request.headers.get('user-agent', '')[:200]}"


async def _body(request: Request) -> Any:
    """The request's JSON. Raises `Refused` for what is too large, of another type, or broken."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("The Content-Type must be application/json.", status=415)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY:
        _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    _too_large()
    except TimeoutError:
        raise Refused("The body did not arrive in time.", status=408, code="request_timeout") from None
    try:
        read = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
        if fields.is_deep(read):
            raise RecursionError
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Refused(f"The body is not JSON that can be read: {reason}.", code="invalid_json") from None
    return read


def _too_large() -> NoReturn:
    raise Refused(f"The body is larger than {MAX_BODY >> 20} MiB.", status=413, code="request_too_large")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    """A number that JSON can write again: 1e999 would go on as Infinity."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _json(value: Any, status: int = 200) -> Response:
    return Response(replies.encoded(value), status, media_type="application/json")


def _refusal(refused: Refused) -> Response:
    response = _json(refused.body(), refused.status)
    if refused.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


async def _failed(request: Request, error: Exception) -> Response:
    match error:
        case Refused():
            return _refusal(error)
        case LocalAgentError():
            return _refusal(of_failure(error))
        case HTTPException(status_code=405):
            text = f"{request.method} is not possible at {request.url.path}."
            return _refusal(Refused(text, status=405, code="method_not_allowed"))
        case HTTPException():
            text = f"There is nothing at {request.url.path}."
            return _refusal(Refused(text, status=error.status_code, code="not_found"))
    return _refusal(of_bug())
