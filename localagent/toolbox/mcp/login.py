"""Signing in to a server (OAuth): the SDK's flow, with the tokens among the user's credentials and the answer on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from ...errors import ConfigError, ToolError
from ...store import credentials
from .addresses import checked, is_loopback

TOKENS, CLIENT = "oauth-tokens", "oauth-client"
_FOR = "localagent_url"
WAIT_S = 300.0
_LINE_BYTES = 16_384
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>localagent</title><p>You can close this window and go back to localagent.</p>"
)


class Kept:
    """The SDK's token storage, in the credentials of the server. Tokens are for the address that they were got for, and no other."""

    def __init__(self, name: str, url: str = "") -> None:
        self._name, self._url = name, url

    async def get_tokens(self) -> OAuthToken | None:
        return await self._load(TOKENS, OAuthToken)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        for secret in (tokens.access_token, tokens.refresh_token):
            credentials.note(secret or "")
        kept = {**tokens.model_dump(mode="json", exclude_none=True), _FOR: self._url}
        await asyncio.to_thread(credentials.store, self._name, TOKENS, json.dumps(kept))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return await self._load(CLIENT, OAuthClientInformationFull)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        credentials.note(client_info.client_secret or "")
        await asyncio.to_thread(credentials.store, self._name, CLIENT, client_info.model_dump_json(exclude_none=True))

    async def _load(self, field: str, kind: Any) -> Any:
        text = await asyncio.to_thread(credentials.load, self._name, field)
        if text is None:
            return None
        try:
            found = kind.model_validate_json(text)
            meant = json.loads(text).get(_FOR, self._url)
        except ValueError:
            return None
        for name in ("access_token", "refresh_token", "client_secret"):
            credentials.note(getattr(found, name, None) or "")
        return found if meant == self._url else None


def auth(name: str, url: str, *, redirect: str = "http://127.0.0.1:1/", ask: Any = None, answer: Any = None) -> OAuthClientProvider:
    """What signs requests to the server. Without `ask` it uses and renews tokens, and fails where a person would have to sign in."""
    metadata = OAuthClientMetadata(
        client_name="localagent",
        redirect_uris=[redirect],  # type: ignore[list-item]
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(url, metadata, Kept(name, url), ask or _nobody, answer or _nobody)


async def _nobody(*_: Any) -> Any:
    raise ToolError("The MCP server wants you to sign in.", "Do so with `localagent mcp login NAME`.")


def signed_in(name: str) -> bool:
    return credentials.load(name, TOKENS) is not None


def sign_out(name: str) -> int:
    return credentials.forget(name, TOKENS, CLIENT)


class Loopback:
    """Waits on this machine alone, on a port of its own, for the one request that the browser makes at the end of a sign-in."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._server: asyncio.Server | None = None
        self._got: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()
        self._state = ""
        self.redirect = ""

    async def __aenter__(self) -> Loopback:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=_LINE_BYTES)
        self.redirect = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/callback"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._got.cancel()

    async def ask(self, url: str) -> None:
        """Show the address to sign in at; it is the server's word, so it is no more than an address of the web."""
        checked(url)
        self._state = parse_qs(urlsplit(url).query).get("state", [""])[0]
        self._show(url)

    async def wait(self) -> AuthorizationCodeResult:
        try:
            async with asyncio.timeout(WAIT_S):
                return await self._got
        except TimeoutError:
            raise ToolError(f"Nobody signed in within {WAIT_S / 60:g} minutes.") from None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            words = head.split(" ", 2)
            parts = urlsplit(words[1]) if len(words) == 3 and words[0] == "GET" else urlsplit("")
            given = {key: values[0] for key, values in parse_qs(parts.query).items()}
            # Any page in the browser can ask here; whoever does not know the state of this sign-in ends nothing.
            told = "code" in given or "state" in given
            ours = not told or hmac.compare_digest(given.get("state", "").encode(), self._state.encode())
            known = parts.path == "/callback" and ("code" in given or "error" in given) and ours
            status, page = ("200 OK", _PAGE) if known else ("404 Not Found", "")
            body = page.encode()
            fields = f"Content-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body)
            await writer.drain()
            if known and not self._got.done():
                self._settle(given)
        writer.close()

    def _settle(self, given: dict[str, str]) -> None:
        if "code" in given:
            self._got.set_result(AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss")))
        else:
            told = " ".join(given.get("error_description", given["error"]).split())[:200]
            self._got.set_exception(ConfigError(f"The sign-in was refused: {told}."))


def may_sign_in(url: str) -> bool:
    """Whether tokens could go there: over https, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
