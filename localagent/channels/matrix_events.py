"""Matrix events, read and written: pure functions on untrusted JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..values import Outgoing
from . import files, moments
from .text import file_name

UNREADABLE = "[an encrypted message: end-to-end encryption is not spoken here; write in a room without it]"
# What a person sends and nobody here can read: said, so that nothing is passed over in silence.
_UNREAD = {"m.sticker": "a sticker", "m.poll.start": "a poll", "org.matrix.msc3381.poll.start": "a poll"}
_FILES = {"m.file", "m.image", "m.audio", "m.video"}
_QUOTED = re.compile(r"\A> <@[^\n]*(\n>[^\n]*)*\n\n?")


@dataclass(frozen=True, slots=True)
class File:
    uri: str
    name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Event:
    """One new message in a room."""

    id: str
    room: str
    sender: str
    text: str
    at: float
    reply_to: str = ""
    thread: str = ""
    file: File | None = None


def is_user(address: str) -> bool:
    return len(address) <= 255 and re.fullmatch(r"@[!-9;-~]+:[A-Za-z0-9.\-\[\]:]+", address) is not None


def media_path(uri: str) -> str | None:
    """`server/id` of an mxc:// address, None where it is none."""
    match = re.fullmatch(r"mxc://([A-Za-z0-9.\-\[\]:]{1,255})/([A-Za-z0-9_-]{1,255})", uri)
    return f"{quote(match[1], safe='')}/{match[2]}" if match else None


def asked_wait(said: Mapping[str, Any]) -> float | None:
    """Seconds that the server asks us to wait."""
    wait = said.get("retry_after_ms")
    return min(wait / 1000, 86400.0) if isinstance(wait, int | float) and wait >= 0 else None


def read(room: str, event: Any, me: str) -> Event | None:
    """The message of an event; None for edits, notices of bots, our own and whatever is no message."""
    if not isinstance(event, dict) or not isinstance(event.get("event_id"), str) or "state_key" in event:
        return None
    sender, content = event.get("sender"), event.get("content")
    if not isinstance(sender, str) or sender == me or not is_user(sender) or not isinstance(content, dict):
        return None
    common: dict[str, Any] = {"id": event["event_id"], "room": room, "sender": sender}
    common["at"] = moments.seconds(event.get("origin_server_ts"), 1000)
    relates = _object(content, "m.relates_to")
    if relates.get("rel_type") == "m.replace":
        return None
    if event.get("type") == "m.room.encrypted":
        return Event(**common, text=UNREADABLE)
    body, kind = content.get("body"), content.get("msgtype")
    if event.get("type") in _UNREAD:
        return Event(**common, text=files.unread(_UNREAD[event["type"]]))
    if event.get("type") != "m.room.message" or not isinstance(body, str):
        return None
    reply_to = _object(relates, "m.in_reply_to").get("event_id")
    thread = relates.get("event_id") if relates.get("rel_type") == "m.thread" else ""
    common["thread"] = thread if isinstance(thread, str) else ""
    if isinstance(reply_to, str) and not (common["thread"] and relates.get("is_falling_back") is True):
        common["reply_to"] = reply_to
    if kind in _FILES:
        return _with_file(content, body, common)
    if kind == "m.location":
        return Event(**common, text=files.unread("a location"))
    if kind not in ("m.text", "m.emote"):
        return None
    text = _QUOTED.sub("", body, count=1) if common.get("reply_to") else body
    return Event(**common, text=text) if text.strip() else None


def _with_file(content: Mapping[str, Any], body: str, common: Mapping[str, Any]) -> Event:
    info = _object(content, "info")
    named, uri, size = content.get("filename"), content.get("url"), info.get("size")
    file = File(
        uri if isinstance(uri, str) else "",
        named if isinstance(named, str) and named else body,
        str(info.get("mimetype") or ""),
        size if isinstance(size, int) and size > 0 else 0,
    )
    # Beside a name of its own, the body is what was written to the file.
    return Event(**common, text=body if isinstance(named, str) and named not in ("", body) else "", file=file)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def texts(value: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list in an answer."""
    found = value.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def contents(message: Outgoing, text: str, uris: list[str]) -> Iterator[dict[str, Any]]:
    """The events of a message in their order. A text beside one file goes with it, beside several before them."""
    relation = _relation(message)
    alone = len(uris) == 1
    if not alone and text.strip():
        yield {"msgtype": "m.text", "body": text} | relation
        relation = {k: v for k, v in relation.items() if message.thread}
    for attachment, uri in zip(message.attachments, uris, strict=True):
        name = file_name(attachment.name)
        top = attachment.media_type.partition("/")[0]
        content: dict[str, Any] = {
            "msgtype": f"m.{top}" if top in ("image", "audio", "video") else "m.file",
            "body": text if alone and text.strip() else name,
            "filename": name,
            "url": uri,
            "info": {"mimetype": attachment.media_type, "size": attachment.size},
        }
        yield content | relation


def _relation(message: Outgoing) -> dict[str, Any]:
    reply = {"m.in_reply_to": {"event_id": message.reply_to}} if message.reply_to else {}
    if message.thread:
        fallback = reply or {"m.in_reply_to": {"event_id": message.thread}}
        about = {"rel_type": "m.thread", "event_id": message.thread, "is_falling_back": not reply}
        return {"m.relates_to": about | fallback}
    return {"m.relates_to": reply} if reply else {}
