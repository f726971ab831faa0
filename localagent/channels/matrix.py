"""Matrix, by the client-server API: plain text and files, out and in, without end-to-end encryption.

An address is a room (`!id`), or a person (`@name:server`): then the room that only the two of us are in, which is
made where there is none. A message's id is its transaction id: the server takes it in once, however often it is sent.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from ..errors import ChannelError
from ..values import Attachment, Incoming, Outgoing, Sent
from . import files, matrix_events
from .base import Arrival, Health
from .fields import Field, word, words
from .judging import Ask, failed, lost, quiet, refused, sentence, unsendable, words_of
from .matrix_sync import Batch, Place, Sync
from .matrix_user import Busy, Refused, User
from .text import file_name, split, utf8
from .wire import Backoff, Lost, paced

# An event may have 64 KiB in all.
TEXT_BYTES = 40_000
FILES = 10
SEND_BYTES = 100 << 20
FETCH_BYTES = 50 << 20
ENCRYPTED = "is end-to-end encrypted, which is not spoken here; use a room without encryption"

FIELDS = (
    Field("server", "address of the homeserver, such as https://matrix.example.org", required=True),
    Field("token", "an access token of the account, or its password with login: password", required=True, secret=True),
    Field("login", "token (as if not set) or password"),
    Field("user", "the account, @name:server; needed with a password"),
    Field("allowed", "people whose invitations are accepted and whose files are fetched, with commas"),
)


def make(name: str, config: Mapping[str, Any], secret: Ask) -> Matrix:
    """ChannelError where the configuration cannot be used."""
    login = word(config, "login", "token")
    if login not in ("token", "password"):
        raise ChannelError("'login' of a Matrix channel is token or password.")
    user = word(config, "user")
    if login == "password" and not matrix_events.is_user(user):
        raise ChannelError("A Matrix channel with a password needs 'user', such as @name:example.org.")
    allowed = words(config, "allowed")
    if odd := [each for each in sorted(allowed) if not matrix_events.is_user(each)]:
        raise ChannelError(f"{odd[0]} in 'allowed' is no Matrix user.", "Write @name:example.org.")
    return Matrix(name, User(word(config, "server"), name, user, login == "password", secret), allowed)


class Matrix:
    """`trusts(sender)` says whose files are fetched; a front end that knows the paired senders sets it."""

    kind = "matrix"
    idempotent = True

    def __init__(self, name: str, user: User, allowed: frozenset[str]) -> None:
        self.name = name
        self.trusts: Callable[[str], bool] = allowed.__contains__
        self._user, self._allowed = user, allowed

    # ---------------------------------------------------------------- out

    def parts(self, text: str) -> list[str]:
        """A long text as messages that fit, in their order."""
        return split(text, TEXT_BYTES, utf8)

    async def send(self, message: Outgoing) -> Sent:
        text = words_of(message)
        if (no := unsendable(message, files=FILES, service="Matrix") or _unfit(message, text)) is not None:
            return no
        events = 0
        try:
            contents = [await files.read(each, SEND_BYTES) for each in message.attachments]
            room = await self._room(message.address)
            if await self._is_encrypted(room):
                return failed(f"the room {ENCRYPTED}")
            uris = [await self._upload(a, c) for a, c in zip(message.attachments, contents, strict=True)]
            proof = ""
            for content in matrix_events.contents(message, text, uris):
                outcome = await self._event(room, f"{message.id}-{events}" if events else message.id, content)
                if outcome.state != "sent":
                    return outcome if not events else _in_part(outcome)
                proof, events = proof or outcome.proof, events + 1
            return Sent("sent", proof)
        except (files.Unfit, ChannelError) as error:
            return failed(str(error)) if not events else _in_part(failed(str(error)))
        except Refused as error:
            return refused(error.reply, self._user.wire.host, error.why, error.wait)
        except Busy as error:
            return failed(str(error), again=True) if not events else _in_part(failed(str(error)))
        except Lost as error:
            # Nothing of the message itself was on its way yet: `_event` has its own word for that.
            return failed(quiet(error), again=True)

    async def _event(self, room: str, transaction: str, content: Mapping[str, Any]) -> Sent:
        path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/{quote(transaction, safe='')}"
        try:
            reply = await self._user.ask("PUT", path, json=content)
        except Lost as error:
            return lost(error)
        said = reply.json()
        if not reply.ok:
            return refused(reply, self._user.wire.host, self._user.why(said), matrix_events.asked_wait(said))
        proof = said.get("event_id")
        if not isinstance(proof, str) or not proof:
            return Sent("unconfirmed", detail="the server's answer names no event; whether it arrived is not known")
        return Sent("sent", proof)

    async def _upload(self, attachment: Attachment, content: bytes) -> str:
        said = await self._user.need(
            "POST",
            "/_matrix/media/v3/upload",
            params={"filename": file_name(attachment.name)},
            content=_pieces(content),
            headers={"Content-Type": attachment.media_type, "Content-Length": str(len(content))},
            wait=120,
        )
        uri = said.get("content_uri")
        if not isinstance(uri, str) or matrix_events.media_path(uri) is None:
            raise files.Unfit(f"{attachment.name} was not taken in by the server")
        return uri

    async def _room(self, address: str) -> str:
        """The room that an address means. Refused, Busy, Lost, Unfit."""
        if address.startswith("!"):
            return address
        me = await self._user.me()
        if address == me:
            raise files.Unfit("that is the account that sends")
        direct = await self._user.direct()
        joined = matrix_events.texts(await self._user.need("GET", "/_matrix/client/v3/joined_rooms"), "joined_rooms")
        known = [room for room in direct.get(address, ()) if room in joined]
        encrypted = False
        # A room may be known and not noted: made by an attempt that was cut off, or by the other side.
        for room in [*known, *sorted(r for r in joined if r not in known)][:200]:
            if await self._user.people(room) == {me, address}:
                if not await self._is_encrypted(room):
                    if room not in known:
                        await self._user.note_direct(direct, address, room)
                    return room
                encrypted = True
        if encrypted:
            # Another room would quietly give up what the two of them have.
            raise files.Unfit(f"the room with {address} {ENCRYPTED}")
        made = await self._user.need(
            "POST",
            "/_matrix/client/v3/createRoom",
            json={"preset": "trusted_private_chat", "is_direct": True, "invite": [address]},
        )
        room = made.get("room_id")
        if not isinstance(room, str):
            raise files.Unfit("the server made no room")
        await self._user.note_direct(direct, address, room)
        return room

    async def _is_encrypted(self, room: str) -> bool:
        reply = await self._user.ask("GET", f"/_matrix/client/v3/rooms/{quote(room, safe='')}/state/m.room.encryption/")
        if reply.status == 404 and reply.json().get("errcode") == "M_NOT_FOUND":
            return False
        if reply.ok:
            return True
        said = reply.json()
        if reply.status == 429 or reply.status >= 500:
            raise Busy(f"{self._user.wire.host} answered {reply.status}", matrix_events.asked_wait(said) or 0)
        raise Refused(reply, self._user.why(said), matrix_events.asked_wait(said))

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        try:
            me = await self._user.me()
        except (Lost, Busy, Refused, ChannelError) as error:
            return Health(False, sentence(error))
        return Health(True, f"{self._user.wire.host} knows this account as {quiet(me, 80)}.", True, True)

    async def aclose(self) -> None: ...

    # ---------------------------------------------------------------- in

    async def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        backoff = Backoff()
        place = Place.read(cursor)
        while True:
            try:
                asked = time.monotonic()
                sync = Sync(self._user, await self._user.me())
                batch = await sync.batch(place, 30 if wait and place.since else 0)
                await self._answer(batch)
            except (Lost, Busy) as error:
                if not wait:
                    raise ChannelError(f"The Matrix server cannot be asked for messages: {quiet(error)}.") from error
                await backoff.wait(error.wait if isinstance(error, Busy) else 0)
                continue
            except Refused as error:
                raise ChannelError(f"The Matrix server refuses: {quiet(error)}.") from error
            backoff.fine()
            first = not place.since
            if not first:
                for event in batch.messages:
                    message = await self._incoming(event)
                    place = place.after(event.id)
                    yield Arrival(message, place.written())
            place = Place(batch.next)
            if first or batch.changed:
                yield Arrival(None, place.written())
            if not batch.changed or first:
                if not wait:
                    return
                await paced(asked)

    async def _answer(self, batch: Batch) -> None:
        """Enter the rooms that people we know invite us to; everyone else gets no answer at all."""
        for invitation in batch.invitations:
            if invitation.sender not in self._allowed:
                continue
            room = quote(invitation.room, safe="")
            if invitation.encrypted:
                reason = {"reason": f"This room {ENCRYPTED}."}
                await self._user.ask("POST", f"/_matrix/client/v3/rooms/{room}/leave", json=reason)
                continue
            reply = await self._user.ask("POST", f"/_matrix/client/v3/rooms/{room}/join", json={})
            # What cannot be entered (gone, withdrawn) is no reason to come to a halt.
            if reply.status == 429 or reply.status >= 500:
                said = reply.json()
                raise Busy(f"the server answered {reply.status}", matrix_events.asked_wait(said) or 0)

    async def _incoming(self, event: matrix_events.Event) -> Incoming:
        attachments: list[Attachment] = []
        text = event.text
        if event.file is not None:
            try:
                attachments.append(await self._fetch(event.file, event.sender))
            except files.Unfit as error:
                text = "\n".join([*([text] if text else []), files.missing(event.file.name, error)])
        return Incoming(
            id=event.id,
            channel=self.name,
            sender=event.sender,
            chat=event.room,
            text=text,
            at=event.at,
            attachments=tuple(attachments),
            reply_to=event.reply_to,
            thread=event.thread,
            authentic=True,
        )

    async def _fetch(self, file: matrix_events.File, sender: str) -> Attachment:
        if not self.trusts(sender):
            raise files.Unfit("as its sender is not one of yours")
        if file.size > FETCH_BYTES:
            raise files.Unfit(f"larger than {files.size(FETCH_BYTES)}")
        path = matrix_events.media_path(file.uri)
        if path is None:
            raise files.Unfit("its address cannot be read")
        await self._user.me()
        asked: dict[str, Any] = {"name": file.name, "media_type": file.media_type, "most": FETCH_BYTES}
        try:
            return await files.fetch(self._user.wire, f"/_matrix/client/v1/media/download/{path}", **asked)
        except files.Unfit as error:
            if "404" not in str(error):
                raise
        # Servers before version 1.11 of the protocol know the old place only.
        return await files.fetch(self._user.wire, f"/_matrix/media/v3/download/{path}", **asked)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1 << 16):
        yield content[start : start + (1 << 16)]
        await asyncio.sleep(0)


def _in_part(outcome: Sent) -> Sent:
    """A part has arrived, so `failed` would be wrong; the same id completes it without doubling anything."""
    return Sent("unconfirmed", detail=quiet(f"only a part arrived; then {outcome.detail}"))


def _unfit(message: Outgoing, text: str) -> Sent | None:
    if not matrix_events.is_user(message.address) and not re.fullmatch(r"![!-~]{1,254}", message.address):
        return failed("the address is no Matrix user (@name:server) and no room's id (!...)")
    if not re.fullmatch(r"[0-9A-Za-z-]{8,64}", message.id):
        return failed("the message has no id yet")
    if utf8(text) > TEXT_BYTES:
        return failed(f"the text is too long: {utf8(text):,} bytes, and Matrix takes {TEXT_BYTES:,}")
    return None
