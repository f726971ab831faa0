"""What is new on a Matrix server, whole and in order, from a place that can be written down after each message."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..errors import ChannelError
from .matrix_events import Event, read
from .matrix_user import User

_PAGE = 100
# How far back a room is read where more happened than one answer holds.
_PAGES = 20
_NOTHING = {"not_types": ["*"]}


def _filter(first: bool) -> str:
    """What is told: messages, and who came and went; of the past nothing but where it ends."""
    room = {"timeline": {"limit": 1 if first else _PAGE}, "state": _NOTHING, "ephemeral": _NOTHING}
    return json.dumps({"presence": _NOTHING, "account_data": _NOTHING, "room": room | {"account_data": _NOTHING}})


@dataclass(frozen=True, slots=True)
class Place:
    """`since` is the server's word for a moment, "" for none yet; `seen` the messages behind it that were given out."""

    since: str = ""
    seen: tuple[str, ...] = ()

    @classmethod
    def read(cls, cursor: str) -> Place:
        if not cursor:
            return cls()
        try:
            since, *seen = json.loads(cursor)
        except (ValueError, TypeError) as error:
            raise ChannelError("The place in Matrix's messages cannot be read.") from error
        return cls(str(since), tuple(map(str, seen)))

    def written(self) -> str:
        return json.dumps([self.since, *self.seen])

    def after(self, event: str) -> Place:
        return Place(self.since, (*self.seen, event))


@dataclass(frozen=True, slots=True)
class Invitation:
    room: str
    sender: str
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """One answer: `next` is the moment behind all of it. `changed`: it moves the place though no message is new."""

    next: str
    messages: tuple[Event, ...] = ()
    invitations: tuple[Invitation, ...] = ()
    changed: bool = False


class Sync:
    def __init__(self, user: User, me: str) -> None:
        self._user, self._me = user, me

    async def batch(self, place: Place, seconds: int) -> Batch:
        """What is new behind a place, waiting up to `seconds` for it. Refused, Busy, Lost, ChannelError."""
        # A first look is never waited for. Servers give the same question the same answer for minutes, so it differs;
        # so it does where nobody waits, and what came in between would not be told.
        wait = seconds * 1000 or random.randint(1, 500) if place.since else random.randint(1, 1_000_000)
        asked = {"timeout": str(wait), "filter": _filter(not place.since), "set_presence": "offline"}
        if place.since:
            asked["since"] = place.since
        said = await self._user.need(
            "GET", "/_matrix/client/v3/sync", params=asked, wait=seconds + 60, limit=32 << 20
        )
        rooms = _object(said, "rooms")
        messages: list[Event] = []
        if place.since:
            for room, found in _object(rooms, "join").items():
                if isinstance(found, dict):
                    messages += await self._messages(room, _object(found, "timeline"), place)
        invitations = [_invitation(room, found, self._me) for room, found in _object(rooms, "invite").items()]
        following = said.get("next_batch")
        if not isinstance(following, str) or not following:
            raise ChannelError("The Matrix server's answer cannot be read.")
        changed = bool(_object(rooms, "join") or invitations)
        return Batch(following, tuple(messages), tuple(i for i in invitations if i is not None), changed)

    async def _messages(self, room: str, timeline: Mapping[str, Any], place: Place) -> list[Event]:
        events = [e for e in _list(timeline, "events") if isinstance(e, dict)]
        entered = self._entered(events)
        if entered is not None:
            # We came in with this answer: what stands before the invitation is not meant for us.
            events = events[entered:]
        elif timeline.get("limited") is True and isinstance(timeline.get("prev_batch"), str):
            events = [*await self._between(room, timeline["prev_batch"], place.since), *events]
        seen = set(place.seen)
        found: list[Event] = []
        for event in events:
            message = read(room, event, self._me)
            if message is not None and message.id not in seen:
                seen.add(message.id)
                found.append(message)
        return found

    def _entered(self, events: list[dict[str, Any]]) -> int | None:
        """Where our latest way into the room begins, None where it is not in these events."""
        invited = joined = None
        for index, event in enumerate(events):
            if event.get("type") == "m.room.member" and event.get("state_key") == self._me:
                content = _object(event, "content")
                before = _object(_object(event, "unsigned"), "prev_content").get("membership")
                if content.get("membership") == "invite":
                    invited = index
                elif content.get("membership") == "join" and before != "join":
                    joined = index
        if joined is None:
            return None
        return invited if invited is not None and invited < joined else joined

    async def _between(self, room: str, newest: str, oldest: str) -> list[dict[str, Any]]:
        """The events that an answer left out, the oldest first."""
        found: list[dict[str, Any]] = []
        path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/messages"
        for _ in range(_PAGES):
            asked = {"dir": "b", "from": newest, "to": oldest, "limit": str(_PAGE)}
            said = await self._user.need("GET", path, params=asked, limit=16 << 20)
            page = [e for e in _list(said, "chunk") if isinstance(e, dict)]
            found += page
            further = said.get("end")
            if not page or not isinstance(further, str) or further == newest:
                break
            newest = further
        return found[::-1]


def _invitation(room: str, found: Any, me: str) -> Invitation | None:
    sender, encrypted = "", False
    for event in _list(_object(found, "invite_state"), "events") if isinstance(found, dict) else ():
        if not isinstance(event, dict):
            continue
        if event.get("type") == "m.room.encryption":
            encrypted = True
        ours = event.get("type") == "m.room.member" and event.get("state_key") == me
        if ours and _object(event, "content").get("membership") == "invite":
            sender = str(event.get("sender"))
    return Invitation(room, sender, encrypted) if sender else None


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []
