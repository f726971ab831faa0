"""The connection to an endpoint: one request, its stream, and every trouble as a sentence with the next step."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ...errors import EndpointDown, EngineError, ModelError, PromptTooLong
from ...events import EngineProgress
from ...store.certificates import certificates
from ..entry import Remote
from .form import mapping
from .keys import is_here

if TYPE_CHECKING:
    import httpx2

_CONNECT_S, _SILENCE_S = 15.0, 300.0
_TRIES = 4
_WAIT_S, _MOST_WAIT_S = 1.0, 60.0
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_ANSWER_BYTES = 16 << 20
_SAID, _LOOKED = 400, 20_000
_TOO_LONG = ("context length", "context_length", "maximum context", "too many tokens", "exceed", "too long", "n_ctx")


class Wire:
    """`key` is sent with each request and stands in no error. Made on demand; `close` gives the connections back."""

    def __init__(self, remote: Remote, key: str) -> None:
        self._remote, self._key = remote, key
        self._client: httpx2.AsyncClient | None = None
        self.whole = False
        """Whether the last answer came to the end that the protocol has for it, rather than to that of the connection."""

    async def events(self, body: Mapping[str, Any]) -> AsyncGenerator[EngineProgress | dict[str, Any]]:
        """The events of one answer. A refusal that may pass is tried again, as long as nothing has come."""
        import httpx2

        for left in reversed(range(_TRIES)):
            heard = False
            try:
                async with aclosing(self._ask(body)) as events:
                    async for event in events:
                        heard = True
                        yield event
                return
            except _Passing as trouble:
                if not left or heard:
                    raise trouble.error from None
                yield EngineProgress("queued", 0.0, 1)
                await asyncio.sleep(trouble.wait or min(_WAIT_S * 2 ** (_TRIES - 1 - left) * random.uniform(0.8, 1.2), _MOST_WAIT_S))
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise self._broken(error) from None

    async def models(self) -> list[str]:
        """The names of the models that the endpoint has. Raises EngineError."""
        import httpx2

        try:
            async with self._open().stream("GET", f"{self._remote.base_url}/models", headers=self._headers()) as reply:
                data = await _some(reply)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._broken(error) from None
        if reply.status_code != 200:
            raise self._refused(reply.status_code, data, {}).error
        try:
            listed = mapping(json.loads(data)).get("data")
        except (ValueError, RecursionError):
            listed = None
        return [str(mapping(one).get("id", "")) for one in listed] if isinstance(listed, list) else []

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # ------------------------------------------------------------ within

    async def _ask(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        import httpx2

        address = f"{self._remote.base_url}/chat/completions"
        self.whole = False
        # In ASCII: half a character, as models can make them, has no other form.
        data, headers = json.dumps(dict(body)).encode(), {**self._headers(), "Content-Type": "application/json"}
        async with self._open().stream("POST", address, content=data, headers=headers) as reply:
            if reply.status_code != 200:
                raise self._refused(reply.status_code, await _some(reply), reply.headers)
            if "event-stream" not in reply.headers.get("content-type", ""):
                self.whole = True
                yield self._object(await _some(reply))
                return
            async for event in httpx2.EventSource(reply):
                if event.data.strip() == "[DONE]":
                    self.whole = True
                    return
                made = self._object(event.data.encode())
                if trouble := made.get("error"):
                    raise _Passing(EngineError(f"{self._host} broke off: {self._said(trouble)}", "Run it again."))
                yield made

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            made = json.loads(data)
        except (ValueError, RecursionError):
            told = f"{self._host} answered what is no JSON: {self._without_key(data[:_LOOKED].decode('utf-8', 'replace'))[:80]!r}."
            raise EngineError(told, "Is it an OpenAI-compatible endpoint?") from None
        return made if isinstance(made, dict) else {}

    def _open(self) -> httpx2.AsyncClient:
        import httpx2

        if self._client is None:
            timeout = httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S)
            # A redirect would take the key and the conversation elsewhere.
            # And a proxy of the environment would take what is asked of this machine off it.
            away = not is_here(self._remote)
            self._client = httpx2.AsyncClient(timeout=timeout, verify=certificates(), follow_redirects=False, trust_env=away)
        return self._client

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _said(self, told: Any) -> str:
        """The endpoint's own words, in one line, without the key."""
        while isinstance(told, Mapping):
            told = told.get("error") or told.get("message") or told.get("detail") or ""
        text = self._without_key(str(told)[:_LOOKED])
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_SAID].rstrip(".")

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text

    @property
    def _host(self) -> str:
        from urllib.parse import urlsplit

        return urlsplit(self._remote.base_url).netloc

    def _refused(self, status: int, body: bytes, headers: Mapping[str, str]) -> _Passing | _Final:
        said = self._said(_json(body))
        told = f"{self._host} refuses ({status}){f': {said}' if said else ''}."
        if status in (401, 403):
            how = f"`localagent model key {self._remote.provider or 'PROVIDER'}` sets the key."
            return _Final(ModelError(told, how))
        if status == 404:
            return _Final(ModelError(told, f"Does it have the model {self._remote.model!r}?"))
        if status == 402:
            return _Final(ModelError(told, "The account has no credit, or no right to this model."))
        if status in (400, 413, 422) and any(word in said.lower() for word in _TOO_LONG):
            return _Final(PromptTooLong(told, "Leave out the longest text or file, or begin a new conversation."))
        if status in _AGAIN:
            return _Passing(EndpointDown(told, "Try again later, or use a local model."), _wait(headers.get("retry-after", "")))
        return _Final(EngineError(told, "Use another model, or report it with what it says."))

    def _broken(self, error: Exception) -> EngineError:
        import httpx2

        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return EndpointDown(f"{self._host} cannot be reached.", "Is it running, and is the network on? A local model needs neither.")
        if isinstance(error, httpx2.TimeoutException):
            return EndpointDown(f"{self._host} said nothing for {_SILENCE_S:g} seconds.", "Try again, or use another model.")
        return EndpointDown(f"{self._host} broke off: {type(error).__name__}.", "Try again, or use another model.")


class _Final(Exception):
    """A refusal that another try does not change."""

    def __init__(self, error: EngineError | ModelError) -> None:
        super().__init__(str(error))
        self.error = error


class _Passing(_Final):
    """One that may pass; `wait` is what the endpoint asked for, in seconds, 0 for nothing."""

    def __init__(self, error: EngineError | ModelError, wait: float = 0.0) -> None:
        super().__init__(error)
        self.wait = wait


async def _some(reply: Any) -> bytes:
    parts: list[bytes] = []
    async for part in reply.aiter_bytes():
        parts.append(part)
        if sum(map(len, parts)) > _ANSWER_BYTES:
            break
    return b"".join(parts)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body[:_LOOKED].decode("utf-8", "replace")


def _wait(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        return 0.0
    return min(max(wait, 0.0), _MOST_WAIT_S) if math.isfinite(wait) else 0.0
