"""One account on one Matrix server: who it is, its token, and the few things asked of it in several places."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..errors import ChannelError
from .judging import Ask, Secret, quiet
from .matrix_events import asked_wait
from .wire import Lost, Reply, Wire


class Refused(Exception):
    """The server said no to this one thing."""

    def __init__(self, reply: Reply, why: str, wait: float | None) -> None:
        super().__init__(why or f"it answered {reply.status}")
        self.reply, self.why, self.wait = reply, why, wait


class Busy(Exception):
    """The server cannot be asked now. `wait`: the seconds it wants."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait


class User:
    """`password` True: the secret is one, and a token is made of it when it is first needed."""

    def __init__(self, server: str, channel: str, user: str, password: bool, secret: Ask) -> None:
        self._secret = Secret(secret, "Matrix password" if password else "Matrix access token", header=not password)
        self._token = ""
        self._user, self._password = user, password
        self._me = ""
        # The server ties transaction ids to the device: the same one after a new start, another on another machine.
        place = f"{platform.node()}\0{server}\0{user}\0{channel}"
        self._device = f"LOCALAGENT{hashlib.sha256(place.encode()).hexdigest()[:10].upper()}"
        self._login = asyncio.Lock()
        self.wire = Wire(server, self._sign, self.scrub)

    def scrub(self, text: str) -> str:
        text = self._secret.scrub(text)
        return text.replace(self._token, "[secret]") if self._token else text

    async def _sign(self, path: str) -> tuple[str, Mapping[str, str]]:
        if path.endswith("/login") and self._password:
            return path, {}
        token = self._token if self._password else await self._secret.get()
        return path, {"Authorization": f"Bearer {token}"}

    def why(self, said: Mapping[str, Any]) -> str:
        """The server's own reason, without our secret."""
        parts = [str(said[name]) for name in ("errcode", "error") if isinstance(said.get(name), str)]
        return self.scrub(quiet(": ".join(parts)))

    async def ask(self, method: str, path: str, **asked: Any) -> Reply:
        """One request as this account. ChannelError where the account itself is refused; Busy while logging in; Lost."""
        used = await self._logged_in()
        reply = await self.wire.ask(method, path, **asked)
        if reply.status != 401 and not (reply.status == 403 and reply.json().get("errcode") == "M_UNKNOWN_TOKEN"):
            return reply
        if self._password and "content" not in asked:
            # Another process of ours may have logged in as the same device, which ends this token.
            async with self._login:
                if self._token == used:
                    self._token = ""
            await self._logged_in()
            reply = await self.wire.ask(method, path, **asked)
        if reply.status == 401:
            raise ChannelError(
                f"{self.wire.host} does not accept this account any more ({self.why(reply.json())}).", "Add it again."
            )
        return reply

    async def need(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        """`ask` where only success will do: Refused, or Busy where a later attempt may succeed."""
        reply = await self.ask(method, path, **asked)
        said = reply.json()
        if reply.ok:
            return said
        if reply.status == 429 or reply.status >= 500:
            raise Busy(f"{self.wire.host} answered {reply.status}: {self.why(said)}", asked_wait(said) or 0)
        raise Refused(reply, self.why(said), asked_wait(said))

    async def _logged_in(self) -> str:
        if not self._password:
            return ""
        async with self._login:
            if self._token:
                return self._token
            password = await self._secret.get()
            reply = await self.wire.ask(
                "POST",
                "/_matrix/client/v3/login",
                json={
                    "type": "m.login.password",
                    "identifier": {"type": "m.id.user", "user": self._user},
                    "password": password,
                    "device_id": self._device,
                    "initial_device_display_name": "localagent",
                },
            )
            said = reply.json()
            token = said.get("access_token")
            if reply.ok and isinstance(token, str) and token:
                self._token = token
                return token
            if reply.status == 429 or reply.status >= 500:
                raise Busy(f"{self.wire.host} answered {reply.status}: {self.why(said)}", asked_wait(said) or 0)
            raise ChannelError(f"{self.wire.host} refuses this account's password ({self.why(said)}).")

    async def me(self) -> str:
        """This account's full name, as the server knows it."""
        if not self._me:
            said = await self.need("GET", "/_matrix/client/v3/account/whoami", wait=20)
            me = said.get("user_id")
            if not isinstance(me, str) or not me:
                raise Lost(f"{self.wire.host} does not speak Matrix", False)
            if self._user and me != self._user:
                raise ChannelError(f"The token belongs to {quiet(me, 80)}, not to {self._user}.")
            self._me = me
        return self._me

    async def people(self, room: str) -> set[str]:
        """Who is in a room or invited to it; empty where that is not told."""
        reply = await self.ask("GET", f"/_matrix/client/v3/rooms/{quote(room, safe='')}/members", limit=8 << 20)
        if reply.status == 429 or reply.status >= 500:
            raise Busy(f"{self.wire.host} answered {reply.status}", asked_wait(reply.json()) or 0)
        found: set[str] = set()
        for event in reply.json().get("chunk", ()) if reply.ok else ():
            content = event.get("content") if isinstance(event, dict) else None
            if isinstance(content, dict) and content.get("membership") in ("join", "invite"):
                found.add(str(event.get("state_key")))
        return found

    async def direct(self) -> dict[str, list[str]]:
        """The rooms with one person each, as the account has noted them."""
        path = f"/_matrix/client/v3/user/{quote(await self.me(), safe='')}/account_data/m.direct"
        reply = await self.ask("GET", path)
        if reply.status != 404 and not reply.ok:
            raise Busy(f"{self.wire.host} answered {reply.status}", asked_wait(reply.json()) or 0)
        noted = reply.json() if reply.ok else {}
        return {u: [r for r in rooms if isinstance(r, str)] for u, rooms in noted.items() if isinstance(rooms, list)}

    async def note_direct(self, direct: Mapping[str, list[str]], user: str, room: str) -> None:
        """Note a room with one person, beside those noted. Without it the room is still found by who is in it."""
        path = f"/_matrix/client/v3/user/{quote(await self.me(), safe='')}/account_data/m.direct"
        await self.ask("PUT", path, json={**direct, user: [*direct.get(user, ()), room]})
