"""Who may use the app in a browser: a token for the first visit, then a cookie and a key; no other site, no other name.

Cookies do not know of ports: every server on 127.0.0.1 is sent ours. So the cookie alone opens the pages, which hold
nothing, and the app itself also wants a key, which the browser keeps for our address and port only.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

PROTOCOL = "localagent"
_BYTES = 32
_TRIES = 10
_TRY_AGAIN_S = 6.0
_COOKIE_S = 30 * 86400
_HOW = "Open the address that `localagent web` printed when it was started."


class Refused(Exception):
    """The request gets this status and sentence, and nothing else."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(slots=True)
class Tries:
    """How often something wrong may be said: ten times at once, then once in six seconds."""

    clock: Callable[[], float] = time.monotonic
    left: float = _TRIES
    _at: float | None = None

    def spent(self) -> bool:
        """Whether what is said now must not even be looked at."""
        now = self.clock()
        if self._at is not None:
            self.left = min(_TRIES, self.left + (now - self._at) / _TRY_AGAIN_S)
        self._at = now
        return self.left < 1

    def wrong(self) -> None:
        self.left -= 1


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    """The cookies of a header. Other servers of this machine have some here too, of whatever form."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        yield name, value


def _secret() -> str:
    return secrets.token_urlsafe(_BYTES)


class Doors:
    """The secrets of one server, made anew at each start and kept in memory only."""

    def __init__(self, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.token, self.key, self._cookie = _secret(), _secret(), _secret()
        # A cookie of an earlier server has another name, and is not taken for a wrong one.
        self._names = f"localagent-{port}-"
        self.name = f"{self._names}{secrets.token_hex(4)}"
        plain = f":{port}" if port != 80 else ""
        self._hosts = frozenset(f"{name}{plain}" for name in ("127.0.0.1", "[::1]", "localhost"))
        self._tokens, self._cookies, self._keys = Tries(clock), Tries(clock), Tries(clock)

    @property
    def cookie(self) -> str:
        """The header that sets the cookie."""
        return f"{self.name}={self._cookie}; Path=/; Max-Age={_COOKIE_S}; HttpOnly; SameSite=Strict"

    def stale(self, header: str) -> list[str]:
        """Headers that remove the cookies of earlier servers on this port, of those in the Cookie header."""
        names = {name for name, _ in _pairs(header) if re.fullmatch(re.escape(self._names) + "[0-9a-f]{8}", name)}
        return [f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict" for name in sorted(names - {self.name})]

    def check_place(self, headers: Mapping[str, str], method: str) -> None:
        """Our own name, and no other page behind the request. Raises Refused."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            # A page that gave its own name our address says its own name here.
            raise Refused(403, "The Host header names another server.")
        if origin is not None and origin != f"http://{host}":
            raise Refused(403, "Other pages may not use this server.")
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        visit = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if foreign and not visit:
            raise Refused(403, "Other pages may not use this server.")
        if method != "GET":
            raise Refused(403, "Only GET is answered here.")

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """A websocket says where its page is from. Raises Refused."""
        if headers.get("origin") != f"http://{headers.get('host', '')}":
            raise Refused(403, "Other pages may not use this server.")

    def check_token(self, given: str) -> None:
        """Raises Refused."""
        self._check(given, self.token, self._tokens)

    def check_cookie(self, header: str) -> None:
        """The Cookie header. Raises Refused."""
        given = next((value for name, value in _pairs(header) if name == self.name), None)
        if given is None:
            raise Refused(403, _HOW)
        self._check(given, self._cookie, self._cookies)

    def check_key(self, offered: list[str]) -> None:
        """The subprotocols of a websocket: ours, then the key. Raises Refused."""
        if len(offered) != 2 or offered[0] != PROTOCOL:
            raise Refused(403, "This is no page of ours.")
        self._check(offered[1], self.key, self._keys)

    @staticmethod
    def _check(given: str, right: str, tries: Tries) -> None:
        if tries.spent():
            raise Refused(429, "Too many wrong tries. Wait a minute.")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), right.encode()):
            tries.wrong()
            raise Refused(403, _HOW)
