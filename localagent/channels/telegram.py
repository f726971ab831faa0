"""Telegram, by its Bot API: plain text and files out, messages and files in.

A bot writes to chats: a person's number, a group's (negative), or @name of a public channel. The service has no key
that makes a second send harmless, so an attempt without an answer stays unconfirmed.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ..errors import ChannelError
from ..values import Attachment, Incoming, Outgoing, Sent
from . import files, telegram_updates
from .base import Arrival, Health
from .fields import Field, word, words
from .judging import Ask, Secret, failed, lost, quiet, refused, sentence, unsendable, words_of
from .text import file_name, split, utf16
from .wire import Backoff, Lost, Reply, Wire, paced

SERVER = "https://api.telegram.org"
TEXT_UNITS = 4096
CAPTION_UNITS = 1024
FILES = 10
SEND_BYTES = 50 << 20
FETCH_BYTES = 20 << 20
POLL_S = 50
# Update numbers begin anew at any number after a week without one.
_STALE_S = 6 * 86400
_TO_BOT = re.compile(r"/[A-Za-z0-9_]{1,32}@([A-Za-z0-9_]{1,32})\b")

FIELDS = (
    Field("token", "the bot's token, from @BotFather", required=True, secret=True),
    Field("senders", "numbers of the people whose files are fetched, with commas"),
    Field("server", f"address of another Bot API server (else {SERVER})"),
)


def make(name: str, config: Mapping[str, Any], secret: Ask) -> Telegram:
    """ChannelError where the configuration cannot be used."""
    return Telegram(name, word(config, "server", SERVER), secret, words(config, "senders"))


class Telegram:
    """`trusts(sender)` says whose files are fetched; a front end that knows the paired senders sets it."""

    kind = "telegram"
    idempotent = False

    def __init__(self, name: str, server: str, secret: Ask, senders: frozenset[str]) -> None:
        self.name = name
        self.trusts: Callable[[str], bool] = senders.__contains__
        self._token = Secret(secret, "bot's token")
        self._me = ""
        self._wire = Wire(server, self._sign, self._token.scrub)

    async def _sign(self, path: str) -> tuple[str, Mapping[str, str]]:
        """The token is a part of the address: /bot<token>/method, /file/bot<token>/path."""
        token = await self._token.get()
        if not re.fullmatch(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}", token):
            raise ChannelError("The bot's token has another form than Telegram's.", "Copy it again from @BotFather.")
        marker = "/file/" if "/file/" in path else "/call/"
        before, _, after = path.partition(marker)
        return f"{before}{'/file' if marker == '/file/' else ''}/bot{token}/{after}", {}

    async def _call(self, method: str, **asked: Any) -> Reply:
        return await self._wire.ask("POST", f"/call/{method}", **asked)

    # ---------------------------------------------------------------- out

    def parts(self, text: str) -> list[str]:
        """A long text as messages that fit, in their order."""
        return split(text, TEXT_UNITS, utf16)

    async def send(self, message: Outgoing) -> Sent:
        text = words_of(message)
        if (no := unsendable(message, files=FILES, service="Telegram") or _unfit(message, text)) is not None:
            return no
        try:
            contents = [await files.read(each, SEND_BYTES) for each in message.attachments]
            method, asked = _request(message, text, contents)
            reply = await self._call(method, **asked)
        except (files.Unfit, ChannelError) as error:
            return failed(str(error))
        except Lost as error:
            return lost(error)
        return self._judge(reply, message)

    def _judge(self, reply: Reply, message: Outgoing) -> Sent:
        said = reply.json()
        result = said.get("result")
        first = result[0] if isinstance(result, list) and result else result
        if reply.ok and said.get("ok") is True and isinstance(first, dict) and isinstance(first.get("message_id"), int):
            return Sent("sent", f"{telegram_updates.chat_of(first) or message.address}:{first['message_id']}")
        if reply.ok and said.get("ok") is not False:
            return Sent("unconfirmed", detail="Telegram's answer cannot be read; whether the message arrived is not known")
        return refused(_as_told(reply, said), self._wire.host, self._why(said), _asked_wait(said))

    def _why(self, said: Mapping[str, Any]) -> str:
        why = self._token.scrub(str(said.get("description", "")))
        parameters = said.get("parameters")
        moved = parameters.get("migrate_to_chat_id") if isinstance(parameters, dict) else None
        return f"{why} (the group's number is {moved} now)" if isinstance(moved, int) else why

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        try:
            reply = await self._call("getMe", wait=20)
        except (Lost, ChannelError) as error:
            return Health(False, sentence(error))
        said = reply.json()
        me = said.get("result")
        if not reply.ok or not isinstance(me, dict):
            return Health(False, sentence(self._refusal(reply, said)))
        return Health(True, f"Telegram knows this bot as @{quiet(me.get('username', '?'), 40)}.", True, True)

    async def aclose(self) -> None: ...

    # ---------------------------------------------------------------- in

    async def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        backoff = Backoff()
        while True:
            try:
                if not cursor:
                    cursor = await self._begin()
                    yield Arrival(None, cursor)
                asked = time.monotonic()
                updates = await self._updates(_offset(cursor, time.time()), POLL_S if wait else 0)
            except (Lost, _Busy) as error:
                if not wait:
                    raise ChannelError(f"Telegram cannot be asked for messages: {quiet(error)}.") from error
                await backoff.wait(error.wait if isinstance(error, _Busy) else 0)
                continue
            backoff.fine()
            for update in updates:
                message = await self._incoming(update)
                cursor = _cursor(update["update_id"] + 1, time.time())
                yield Arrival(message, cursor)
            if not updates:
                if not wait:
                    return
                await paced(asked)

    async def _begin(self) -> str:
        """The cursor behind everything that waits already."""
        last = await self._updates(-1, 0)
        return _cursor(last[-1]["update_id"] + 1 if last else 0, time.time())

    async def _updates(self, offset: int, seconds: int) -> list[dict[str, Any]]:
        asked = {"offset": offset, "timeout": seconds, "limit": 100, "allowed_updates": ["message"]}
        reply = await self._call("getUpdates", json=asked, wait=seconds + 20, limit=16 << 20)
        said = reply.json()
        result = said.get("result")
        if not reply.ok or not isinstance(result, list):
            raise self._refusal(reply, said)
        return [u for u in result if isinstance(u, dict) and isinstance(u.get("update_id"), int)]

    def _refusal(self, reply: Reply, said: Mapping[str, Any]) -> ChannelError | _Busy:
        status = _as_told(reply, said).status
        why = quiet(self._why(said)) or f"an answer that cannot be read ({status})"
        if status in (401, 404):
            return ChannelError(f"Telegram does not know the bot's token ({why}).", "Get a new one from @BotFather.")
        if status == 409 and "webhook" not in why:
            return _Busy(f"another program receives this bot's messages ({why})", 10)
        if 400 <= status < 500 and status != 429:
            return ChannelError(f"Telegram refuses: {why}.")
        return _Busy(f"Telegram answered {status}: {why}", _asked_wait(said) or 0)

    async def _incoming(self, update: Mapping[str, Any]) -> Incoming | None:
        found = telegram_updates.read(update)
        if found is None or await self._is_for_another(found.text):
            return None
        attachments: list[Attachment] = []
        notes: list[str] = []
        for file in found.files:
            try:
                attachments.append(await self._fetch(file, found.sender))
            except files.Unfit as error:
                notes.append(files.missing(file.name, error))
        return Incoming(
            id=f"{found.chat}:{found.number}",
            channel=self.name,
            sender=found.sender,
            chat=found.chat,
            text="\n".join([*([found.text] if found.text else []), *notes]),
            at=found.at,
            name=found.name,
            attachments=tuple(attachments),
            reply_to=f"{found.chat}:{found.reply_to}" if found.reply_to else "",
            thread=found.thread,
            authentic=found.authentic,
        )

    async def _is_for_another(self, text: str) -> bool:
        """Whether it is a command to another bot of a group. Where that cannot be found out it is taken for ours."""
        named = _TO_BOT.match(text)
        if named is None:
            return False
        if not self._me:
            try:
                me = (await self._call("getMe", wait=20)).json().get("result")
            except (Lost, ChannelError):
                return False
            self._me = str(me.get("username", "")) if isinstance(me, dict) else ""
        return self._me != "" and named[1].casefold() != self._me.casefold()

    async def _fetch(self, file: telegram_updates.File, sender: str) -> Attachment:
        if not self.trusts(sender):
            raise files.Unfit("as its sender is not one of yours")
        if file.size > FETCH_BYTES:
            raise files.Unfit(f"larger than {files.size(FETCH_BYTES)}")
        path = await self._place(file.id)
        return await files.fetch(
            self._wire, f"/file/{path}", name=file.name, media_type=file.media_type, most=FETCH_BYTES
        )

    async def _place(self, file_id: str) -> str:
        backoff = Backoff()
        for left in (2, 1, 0):
            try:
                reply = await self._call("getFile", json={"file_id": file_id})
                if reply.status != 429 and reply.status < 500:
                    break
                why = f"the server answered {reply.status}"
            except Lost as error:
                why = quiet(error)
            if not left:
                raise files.Unfit(why)
            await backoff.wait()
        result = reply.json().get("result")
        path = result.get("file_path") if isinstance(result, dict) else None
        if not isinstance(path, str) or not re.fullmatch(r"(?!.*\.\.)[\w-][\w./-]{0,300}", path, re.ASCII):
            raise files.Unfit(quiet(self._why(reply.json())) or "the server does not give it away")
        return path


class _Busy(Exception):
    """The service cannot be asked now. `wait`: the seconds it wants."""

    def __init__(self, why: str, wait: float) -> None:
        super().__init__(why)
        self.wait = wait


def _as_told(reply: Reply, said: Mapping[str, Any]) -> Reply:
    """The answer with the status that its body tells, where that is a refusal too."""
    code = said.get("error_code")
    return Reply(code, reply.headers, reply.body) if isinstance(code, int) and 400 <= code < 600 else reply


def _asked_wait(said: Mapping[str, Any]) -> float | None:
    parameters = said.get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 1e6 else None


def _cursor(offset: int, now: float) -> str:
    return f"{offset}@{int(now)}"


def _offset(cursor: str, now: float) -> int:
    """The first update to ask for. After days of silence the service may count anew, and what waits is asked for
    from its beginning: all that was given out before has long been confirmed by asking for what comes behind it."""
    match = re.fullmatch(r"(\d{1,12})@(\d{1,12})", cursor)
    if match is None:
        raise ChannelError("The place in Telegram's messages cannot be read.")
    return int(match[1]) if now - int(match[2]) < _STALE_S else 0


def _unfit(message: Outgoing, text: str) -> Sent | None:
    if not re.fullmatch(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}", message.address):
        return failed("the address is no chat of Telegram's: a number, or @name of a public channel")
    most = CAPTION_UNITS if message.attachments else TEXT_UNITS
    if utf16(text) > most:
        beside = " beside files" if message.attachments else ""
        return failed(f"the text is too long: {utf16(text):,} characters, and Telegram takes {most:,}{beside}")
    if sum(each.size for each in message.attachments) > SEND_BYTES:
        return failed(f"the files are too large: Telegram takes {files.size(SEND_BYTES)} from a bot")
    return None


def _request(message: Outgoing, text: str, contents: list[bytes]) -> tuple[str, dict[str, Any]]:
    """The method, and what is asked of it: one call for the whole message, however many files it has."""
    fields: dict[str, Any] = {"chat_id": int(message.address) if message.address[0] != "@" else message.address}
    if (number := message.reply_to.rpartition(":")[2]).isdigit():
        fields["reply_parameters"] = {"message_id": int(number), "allow_sending_without_reply": True}
    if message.thread.isdigit():
        fields["message_thread_id"] = int(message.thread)
    if not contents:
        # A preview would show, and have fetched, what nobody agreed to.
        return "sendMessage", {"json": fields | {"text": text, "link_preview_options": {"is_disabled": True}}}
    caption = {"caption": text} if text else {}
    parts = [(file_name(a.name), io.BytesIO(c), a.media_type) for a, c in zip(message.attachments, contents, strict=True)]
    if len(parts) == 1:
        method, named = "sendDocument", {"document": parts[0]}
        fields |= caption | {"disable_content_type_detection": True}
    else:
        method, named = "sendMediaGroup", {f"file{number}": part for number, part in enumerate(parts)}
        media: list[dict[str, Any]] = [{"type": "document", "media": f"attach://{part}"} for part in named]
        media[-1] |= caption
        fields["media"] = media
    plain = {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in fields.items()}
    return method, {"data": plain, "files": named, "wait": 120}
