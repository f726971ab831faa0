"""HTTP as channels speak it: one server, no redirects, bounded answers, and an honest word on what has left.

The secret is added beneath the client, by `sign`: no address, log line or error that the client makes can hold it.
Every request has a connection of its own. On one that was kept open, a server's silent good-bye looks like the loss
of an answer, and a message that never left would have to be called unconfirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ChannelError
from ..store.certificates import certificates

if TYPE_CHECKING:
    import ssl

    import httpx2

    from .outlet import Watched

CONNECT_S = 15.0
READ_S = 60.0
ANSWER_BYTES = 4 << 20
# What a slow line is given for each megabyte beyond the other waits.
_UPLOAD_S_PER_MB = 20.0

Sign = Callable[[str], Awaitable[tuple[str, Mapping[str, str]]]]
"""Path (with its query) -> the path to ask for and headers to add; called for each request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that came in whole. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The object in the body, {} where there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Lost(Exception):
    """No answer, or none that can be used. `whole`: all of the request may have reached the server."""

    def __init__(self, why: str, whole: bool) -> None:
        super().__init__(why)
        self.whole = whole


class TooLarge(Lost):
    """The answer is larger than we take."""


def address(url: str) -> str:
    """A server's address as it may be used, without a slash at its end. ChannelError for one that would carry secrets
    in the clear: https is required unless the server is on this machine."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or parts.fragment or any(c.isspace() for c in url.strip()):
        raise ChannelError("That is no address of a server.", "It has to look like https://example.org")
    if parts.username is not None or parts.password is not None:
        raise ChannelError(f"The address of {host} holds a name or password.", "Give it as the channel's secret instead.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ChannelError(f"{host} would get messages and secrets in the clear.", "Use https://.")
    return url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Wire:
    """One server. `scrub` takes our secret out of what the server says."""

    def __init__(self, base: str, sign: Sign, scrub: Callable[[str], str] = str) -> None:
        self.base = address(base)
        self.host = urlsplit(self.base).hostname or ""
        self.scrub = scrub
        self._sign = sign
        self._tls: ssl.SSLContext | None = None

    async def ask(self, method: str, path: str, *, wait: float = READ_S, limit: int = ANSWER_BYTES, **body: Any) -> Reply:
        """One request and its whole answer. `wait`: seconds for the answer's next bytes; `limit`: its bytes.

        `body` is what the client calls params, json, data, files, content, headers. Lost where there is no answer.
        """
        async with self.open(method, path, wait=wait, whole_s=True, **body) as (reply, chunks):
            parts: list[bytes] = []
            size = 0
            async for chunk in chunks:
                parts.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"{self.host} answered with more than {limit:,} bytes", True)
            return Reply(reply.status, reply.headers, b"".join(parts))

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, path: str, *, wait: float = READ_S, whole_s: bool = False, **body: Any
    ) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        """The answer's head, and its body as it comes; Lost where there is none, also while it is read.

        With `whole_s` the time for all of it is bounded as well.
        """
        import httpx2

        from .outlet import Watched

        headers = {"Accept-Encoding": "identity", "User-Agent": "localagent", "Connection": "close"}
        body["headers"] = headers | dict(body.get("headers") or {})
        timeout = httpx2.Timeout(wait, connect=CONNECT_S)
        try:
            async with httpx2.AsyncClient(transport=self._transport(), timeout=timeout, trust_env=False) as client:
                request = client.build_request(method, self.base + path, **body)
                watched = Watched(request.stream)
                request.stream = watched
                length = int(request.headers.get("Content-Length", 0))
                seconds = CONNECT_S + 2 * wait + length / (1 << 20) * _UPLOAD_S_PER_MB if whole_s else None
                with self._losses(watched, wait):
                    async with asyncio.timeout(seconds):
                        response = await client.send(request, stream=True, follow_redirects=False)
                        try:
                            yield self._head(response), response.aiter_raw()
                        finally:
                            await response.aclose()
        except httpx2.InvalidURL as error:
            raise Lost(f"{self.host} cannot be asked for that", False) from error

    def _head(self, response: httpx2.Response) -> Reply:
        headers = {name.lower(): value for name, value in response.headers.items()}
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise Lost(f"{self.host} packed its answer in a way that was not asked for", True)
        return Reply(response.status_code, headers, b"")

    @contextlib.contextmanager
    def _losses(self, watched: Watched, wait: float) -> Iterator[None]:
        import httpx2

        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise Lost(f"{self.host} cannot be reached ({self._said(error)})", False) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise Lost(f"{self.host} did not answer within {wait:g} s", watched.whole) from None
        except httpx2.RequestError as error:
            raise Lost(f"the connection to {self.host} broke off ({self._said(error)})", watched.whole) from None

    def _said(self, error: Exception) -> str:
        return self.scrub(" ".join(str(error).split())[:200] or type(error).__name__)

    def _transport(self) -> httpx2.AsyncBaseTransport:
        import httpx2

        from .outlet import Door

        if self._tls is None and self.base.startswith("https:"):
            # Reading all certificates takes 20 ms, which is much for each look at what is new.
            self._tls = httpx2.create_ssl_context(verify=certificates())
        limits = httpx2.Limits(max_keepalive_connections=0)
        try:
            # Without a context it is http to this machine, where there is nothing to verify.
            verify = self._tls or False
            inner = httpx2.AsyncHTTPTransport(verify=verify, limits=limits, proxy=_proxy(self.base, self.host))
        except (ImportError, ValueError) as error:
            raise ChannelError(
                "The proxy that the environment names cannot be used.", "Name an http:// proxy in HTTPS_PROXY."
            ) from error
        return Door(inner, self._sign)


def _proxy(base: str, host: str) -> str | None:
    """The proxy of the environment for this server; none for this machine itself."""
    from urllib.request import getproxies, proxy_bypass

    if is_loopback(host) or proxy_bypass(host):
        return None
    named = getproxies()
    return named.get(urlsplit(base).scheme) or named.get("all")


async def paced(asked: float) -> None:
    """Where a server that should let us wait did not, wait here. `asked`: when it was asked, by the monotonic clock."""
    if time.monotonic() - asked < 1:
        await asyncio.sleep(1)


class Backoff:
    """Longer and longer waits with chance in them, so that not all who were cut off come back at once."""

    def __init__(self, first: float = 1.0, most: float = 120.0) -> None:
        self._first, self._most, self._failures = first, most, 0

    def fine(self) -> None:
        self._failures = 0

    async def wait(self, least: float = 0.0) -> None:
        """`least`: seconds that the server asks for."""
        most = min(self._most, self._first * 2 ** min(self._failures, 20))
        self._failures += 1
        await asyncio.sleep(min(least, 3600.0) + random.uniform(most / 2, most))
