"""As much of a Matrix homeserver as fits a page, with failures: one account (@bot:h), rooms as dictionaries."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.channels.web import Answer, Asked, Drop

ME, ADA, EVE, TOKEN = "@bot:h", "@ada:h", "@eve:h", "syt_token_1"


class Home:
    """`next` are answers in place of the usual ones for requests whose path holds the word beside them."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, Any]] = {}
        self.direct: dict[str, list[str]] = {}
        self.done: dict[str, str] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.batches: list[dict[str, Any]] = []
        self.pages: list[dict[str, Any]] = []
        self.media: dict[str, bytes] = {}
        self.next: list[tuple[str, Any]] = []
        self.calls: list[str] = []
        self.tokens = {TOKEN}
        self.answered: dict[str, Any] = {}

    def room(self, name: str, *people: str, encrypted: bool = False) -> None:
        self.rooms[name] = {"people": {ME, *people}, "encrypted": encrypted}

    def batch(self, join: dict[str, Any] | None = None, invite: dict[str, Any] | None = None) -> None:
        self.batches.append({"rooms": {"join": join or {}, "invite": invite or {}}})

    async def __call__(self, asked: Asked) -> Any:
        path = asked.path.removeprefix("/_matrix/client/v3").removeprefix("/_matrix/")
        self.calls.append(f"{asked.method} {path}")
        if self.next and self.next[0][0] in path:
            answer = self.next.pop(0)[1]
            if isinstance(answer, Drop) and "/send/" in path:
                self._send(path, asked)
            return answer
        if path == "/login":
            return self._login(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return Answer({"errcode": "M_UNKNOWN_TOKEN", "error": "who?"}, 401)
        return await self._answer(path, asked)

    def _login(self, asked: Asked) -> Any:
        if asked.json["password"] != "right one":
            return Answer({"errcode": "M_FORBIDDEN", "error": "no"}, 403)
        self.tokens = {f"syt_{len(self.calls)}"}
        return {"access_token": next(iter(self.tokens)), "user_id": ME}

    async def _answer(self, path: str, asked: Asked) -> Any:
        parts = path.split("/")
        if path == "/account/whoami":
            return {"user_id": ME}
        if path == "/joined_rooms":
            return {"joined_rooms": list(self.rooms)}
        if path.endswith("/m.direct"):
            if asked.method == "PUT":
                self.direct = asked.json
                return {}
            return self.direct or Answer({"errcode": "M_NOT_FOUND"}, 404)
        if path == "/createRoom":
            name = f"!made{len(self.rooms)}"
            self.room(name, *asked.json["invite"])
            return {"room_id": name}
        if path == "/sync":
            return await self._sync(asked)
        if "/send/" in path:
            return self._send(path, asked)
        if path.startswith("media/v3/upload"):
            name = f"m{len(self.media)}"
            self.media[f"h/{name}"] = asked.body
            return {"content_uri": f"mxc://h/{name}"}
        if "media/download" in path or "media/v3/download" in path:
            name = "/".join(parts[-2:])
            return Answer(self.media[name]) if name in self.media else Answer({"errcode": "M_NOT_FOUND"}, 404)
        return self._room(parts[2], "/".join(parts[3:]))

    def _room(self, name: str, what: str) -> Any:
        room = self.rooms.get(name)
        if what == "messages":
            return self.pages.pop(0) if self.pages else {"chunk": []}
        if what in ("join", "leave"):
            return {}
        if room is None:
            return Answer({"errcode": "M_FORBIDDEN", "error": "not in it"}, 403)
        if what == "members":
            return {"chunk": [{"state_key": p, "content": {"membership": "join"}} for p in room["people"]]}
        assert what == "state/m.room.encryption/"
        return {"algorithm": "x"} if room["encrypted"] else Answer({"errcode": "M_NOT_FOUND"}, 404)

    def _send(self, path: str, asked: Asked) -> Any:
        room, transaction = path.split("/")[2], path.rpartition("/")[2]
        if transaction not in self.done:
            self.done[transaction] = f"$event{len(self.done)}"
            self.events.append((room, asked.json))
        return {"event_id": self.done[transaction]}

    async def _sync(self, asked: Asked) -> Any:
        # As Synapse does for two minutes: who asks the very same again gets the very same.
        question = json.dumps(dict(asked.query), sort_keys=True)
        if question not in self.answered:
            self.answered[question] = await self._news(asked)
        return self.answered[question]

    async def _news(self, asked: Asked) -> Any:
        since = asked.query.get("since")
        if since is None:
            return {"next_batch": "s0", "rooms": {"join": {"!old": timeline(said("$old", "old"))}}}
        number = int(since[1:])
        for _ in range(int(asked.query["timeout"]) // 10):
            if number < len(self.batches):
                break
            await asyncio.sleep(0.01)
        if number >= len(self.batches):
            return {"next_batch": since}
        return json.loads(json.dumps(self.batches[number])) | {"next_batch": f"s{number + 1}"}


def said(name: str, text: str, sender: str = ADA, **content: Any) -> dict[str, Any]:
    about = {"msgtype": "m.text", "body": text} | content
    return {"event_id": name, "type": "m.room.message", "sender": sender, "origin_server_ts": 5000, "content": about}


def member(person: str, membership: str, sender: str = ADA, before: str = "leave") -> dict[str, Any]:
    about = {"event_id": f"${membership}", "type": "m.room.member", "state_key": person, "sender": sender}
    return about | {"content": {"membership": membership}, "unsigned": {"prev_content": {"membership": before}}}


def timeline(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"timeline": {"events": list(events)} | more}





def invited(sender: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {"invite_state": {"events": [member(ME, "invite", sender), *more]}}
