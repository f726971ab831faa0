"""ntfy (ntfy.sh or a server of your own): a topic is published to, and one may be listened to.

Whoever knows a topic can write to it and read it: what comes in vouches for nobody.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ..errors import ChannelError
from ..values import Attachment, Incoming, Outgoing, Sent
from . import files
from .base import Arrival, Health
from .fields import Field, word
from .judging import Ask, Secret, failed, lost, quiet, refused, retry_after, sentence, unsendable
from .text import file_name, split, utf8
from .wire import Backoff, Lost, Reply, Wire

SERVER = "https://ntfy.sh"
TEXT_BYTES = 4096
SEND_BYTES = 15 << 20
FETCH_BYTES = 15 << 20
# The server sends a sign of life every 45 s.
_SILENT_S = 120.0
_LINE_BYTES = 1 << 20
# Messages of one moment may be stored in another order than that of their times.
_OVERLAP_S = 10
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")

FIELDS = (
    Field("server", f"address of the server (else {SERVER})"),
    Field("token", "an access token (tk_...), where the topic needs one", secret=True),
    Field("inbox", "the topic that is listened to, if any"),
)


def make(name: str, config: Mapping[str, Any], secret: Ask) -> Ntfy:
    """ChannelError where the configuration cannot be used. It receives only where it has an inbox."""
    inbox = word(config, "inbox")
    if inbox and not _TOPIC.fullmatch(inbox):
        raise ChannelError(f"'{quiet(inbox, 80)}' cannot be a topic of ntfy.", "Letters, digits, - and _, 64 at most.")
    server = word(config, "server", SERVER)
    return Listening(name, server, secret, inbox) if inbox else Ntfy(name, server, secret, inbox)


class Ntfy:
    """A channel that only sends."""

    kind = "ntfy"
    idempotent = False

    def __init__(self, name: str, server: str, secret: Ask, inbox: str) -> None:
        self.name = name
        self._inbox = inbox
        self._token = Secret(secret, "ntfy token", optional=True)
        self._wire = Wire(server, self._sign, self._token.scrub)

    async def _sign(self, path: str) -> tuple[str, Mapping[str, str]]:
        token = await self._token.get()
        return path, {"Authorization": f"Bearer {token}"} if token else {}

    def parts(self, text: str) -> list[str]:
        """A long text as messages that fit, in their order."""
        return split(text, TEXT_BYTES, utf8)

    async def send(self, message: Outgoing) -> Sent:
        if (no := unsendable(message, files=1, service="ntfy") or self._unfit(message)) is not None:
            return no
        try:
            reply = await self._publish(message)
        except (files.Unfit, ChannelError) as error:
            return failed(str(error))
        except Lost as error:
            return lost(error)
        said = reply.json()
        if not reply.ok:
            return refused(reply, self._wire.host, self._why(said))
        proof = said.get("id")
        if not isinstance(proof, str) or not proof:
            return Sent("unconfirmed", detail="ntfy's answer names no message; whether it arrived is not known")
        return Sent("sent", proof)

    async def _publish(self, message: Outgoing) -> Reply:
        titled = {"title": message.subject} if message.subject else {}
        if not message.attachments:
            about = {"topic": message.address, "message": message.text} | titled
            return await self._wire.ask("POST", "/", json=about)
        attachment = message.attachments[0]
        content = await files.read(attachment, SEND_BYTES)
        asked = {"filename": file_name(attachment.name)} | titled
        asked |= {"message": message.text} if message.text else {}
        headers = {"Content-Type": attachment.media_type}
        return await self._wire.ask(
            "PUT", f"/{message.address}", params=asked, content=content, headers=headers, wait=120
        )

    def _unfit(self, message: Outgoing) -> Sent | None:
        if not _TOPIC.fullmatch(message.address):
            return failed("the address is no topic of ntfy: letters, digits, - and _, 64 at most")
        if message.address == self._inbox:
            return failed("that is the topic this channel listens to: the message would come back as one from outside")
        if utf8(message.text) > TEXT_BYTES:
            return failed(f"the text is too long: {utf8(message.text):,} bytes, and ntfy takes {TEXT_BYTES:,}")
        return None

    def _why(self, said: Mapping[str, Any]) -> str:
        return self._token.scrub(quiet(said.get("error", "")))

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        path = f"/{self._inbox}/auth" if self._inbox else "/v1/health"
        try:
            reply = await self._wire.ask("GET", path, wait=20)
        except (Lost, ChannelError) as error:
            return Health(False, sentence(error))
        receives = True if self._inbox else None
        if reply.ok:
            return Health(True, f"{self._wire.host} answers.", True, receives)
        return Health(False, sentence(f"{self._wire.host} answered {reply.status}: {self._why(reply.json())}"))

    async def aclose(self) -> None: ...


class Listening(Ntfy):
    """A channel that listens to a topic too. `trusts(topic)` says whether files are fetched; nobody vouches for them."""

    trusts: Callable[[str], bool] = staticmethod(lambda topic: False)

    async def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        backoff = Backoff()
        while True:
            try:
                if not cursor:
                    place = await self._begin()
                    cursor = place.written()
                    yield Arrival(None, cursor)
                place = _Place.read(cursor)
                asked = {"since": str(max(0, place.at - _OVERLAP_S))} | ({} if wait else {"poll": "1"})
                async with self._wire.open("GET", f"/{self._inbox}/json", params=asked, wait=_SILENT_S) as (reply, body):
                    if not reply.ok:
                        await self._refuse(reply, body)
                    async for line in _lines(body):
                        backoff.fine()
                        if (event := _event(line)) is None or event["id"] in place.ids:
                            continue
                        message = await self._incoming(event)
                        place = place.after(event["id"], int(event["time"]))
                        cursor = place.written()
                        yield Arrival(message, cursor)
                if not wait:
                    return
            except Lost as error:
                if not wait:
                    raise ChannelError(f"ntfy cannot be asked for messages: {quiet(error)}.") from error
                await backoff.wait(error.seconds if isinstance(error, _Later) else 0)
                continue
            # The server ended the stream in order.
            await backoff.wait()

    async def _refuse(self, reply: Reply, body: AsyncIterator[bytes]) -> None:
        said = b""
        async for chunk in body:
            said += chunk
            if len(said) > 1 << 16:
                break
        why = self._why(Reply(reply.status, reply.headers, said).json()) or f"it answered {reply.status}"
        if reply.status in (401, 403):
            raise ChannelError(f"ntfy does not let us listen to this topic ({why}).", "Check the channel's token.")
        if 400 <= reply.status < 500 and reply.status != 429:
            raise ChannelError(f"ntfy refuses: {why}.")
        raise _Later(f"{self._wire.host} answered {reply.status}: {why}", retry_after(reply.headers) or 0)

    async def _begin(self) -> _Place:
        """Behind all that was published: the server's own time, and what it has of the last seconds."""
        reply = await self._wire.ask("GET", f"/{self._inbox}/json", params={"poll": "1", "since": f"{_OVERLAP_S}s"})
        if not reply.ok:
            await self._refuse(reply, _once(reply.body))
        try:
            now = parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
        except ValueError:
            now = time.time()
        place = _Place(int(now))
        for line in reply.body.splitlines():
            if (event := _event(line)) is not None:
                place = place.after(event["id"], int(event["time"]))
        return place

    async def _incoming(self, event: Mapping[str, Any]) -> Incoming:
        text, title = event.get("message"), event.get("title")
        text = text if isinstance(text, str) else ""
        attachments: list[Attachment] = []
        attachment = event.get("attachment")
        if isinstance(attachment, dict):
            try:
                attachments.append(await self._fetch(attachment))
            except files.Unfit as error:
                text = "\n".join([*([text] if text else []), files.missing(attachment.get("name"), error)])
        return Incoming(
            id=event["id"],
            channel=self.name,
            sender=self._inbox,
            chat=self._inbox,
            text=text,
            at=float(event["time"]),
            subject=title if isinstance(title, str) else "",
            attachments=tuple(attachments),
        )

    async def _fetch(self, attachment: Mapping[str, Any]) -> Attachment:
        url, size = attachment.get("url"), attachment.get("size")
        if not self.trusts(self._inbox):
            raise files.Unfit("as nobody vouches for its sender")
        if isinstance(size, int) and size > FETCH_BYTES:
            raise files.Unfit(f"larger than {files.size(FETCH_BYTES)}")
        # Anyone may publish an address of another server, or of one in this network: those are not asked.
        path = url.removeprefix(self._wire.base) if isinstance(url, str) else ""
        if path == url or not re.fullmatch(r"/file/[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9]{1,16})?", urlsplit(path).path or ""):
            raise files.Unfit("as it lies on another server")
        return await files.fetch(
            self._wire,
            urlsplit(path).path,
            name=attachment.get("name"),
            media_type=attachment.get("type"),
            most=FETCH_BYTES,
        )


class _Later(Lost):
    def __init__(self, why: str, seconds: float) -> None:
        super().__init__(why, False)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Place:
    """The latest time that was seen, and the ids (with their times) from shortly before it on."""

    at: int
    seen: tuple[tuple[str, int], ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.seen)

    def after(self, name: str, at: int) -> _Place:
        # A server that stamps a message far ahead must not hide what comes before that.
        latest = max(self.at, min(at, int(time.time()) + 60))
        kept = tuple((n, t) for n, t in (*self.seen, (name, at)) if t >= latest - 2 * _OVERLAP_S)
        return _Place(latest, kept)

    def written(self) -> str:
        return json.dumps([self.at, dict(self.seen)])

    @classmethod
    def read(cls, cursor: str) -> _Place:
        try:
            at, seen = json.loads(cursor)
            return cls(int(at), tuple((str(n), int(t)) for n, t in seen.items()))
        except (ValueError, TypeError, AttributeError) as error:
            raise ChannelError("The place in ntfy's messages cannot be read.") from error


async def _lines(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in body:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_BYTES:
            raise Lost("ntfy sent a line without an end", False)
        for line in whole:
            yield line
        await asyncio.sleep(0)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _event(line: bytes) -> dict[str, Any] | None:
    """The message in a line of the stream, None for signs of life and what cannot be read."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("event") != "message":
        return None
    at = found.get("time")
    known = isinstance(found.get("id"), str) and isinstance(at, int | float) and not isinstance(at, bool) and at >= 0
    return found if known else None
