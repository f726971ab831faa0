"""What a Telegram update says, as far as it is a message: a pure reading of untrusted JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import moments
from .files import unread

# (field, name where the service gives none, media type where it gives none)
_KINDS = (
    ("document", "file", ""),
    ("voice", "voice.ogg", "audio/ogg"),
    ("audio", "audio.mp3", "audio/mpeg"),
    ("video", "video.mp4", "video/mp4"),
    ("video_note", "video.mp4", "video/mp4"),
)
# What a person sends and nobody here can read: said, so that nothing is passed over in silence.
_UNREAD = ("sticker", "location", "venue", "contact", "poll", "dice", "game", "story", "paid_media", "checklist", "invoice")
# What is forwarded, or written by another bot, also by one in a person's name: the words are not the sender's, and are marked as
# quoted.
_OTHERS = ("forward_origin", "forward_date", "forward_from", "forward_from_chat", "forward_sender_name", "via_bot", "sender_business_bot")
_MOST_QUOTES = 100
_QUOTES = ("blockquote", "expandable_blockquote")


@dataclass(frozen=True, slots=True)
class File:
    """A file that the service holds; `size` 0 where it does not say."""

    id: str
    name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Update:
    """One new message. `number` is unique in its chat only."""

    number: int
    chat: str
    sender: str
    name: str
    text: str
    at: float
    reply_to: str
    thread: str
    authentic: bool
    files: tuple[File, ...]


def read(update: Mapping[str, Any]) -> Update | None:
    """The message of an update; None for edits, joins and whatever else holds neither words nor a file."""
    message = update.get("message")
    if not isinstance(message, dict) or not isinstance(message.get("message_id"), int):
        return None
    chat = chat_of(message)
    # Who writes in the name of a group or channel is not known as a person.
    behalf = _object(message, "sender_chat")
    sender = behalf or _object(message, "from")
    text = _quoted(message, "text", "entities") or _quoted(message, "caption", "caption_entities")
    if any(message.get(sign) for sign in _OTHERS):
        text = "\n".join(f"> {line}" for line in text.splitlines())
    found = _files(message)
    if not text and not found:
        text = next((unread(f"a {kind.replace('_', ' ')}") for kind in _UNREAD if isinstance(message.get(kind), dict)), "")
    if not chat or not _number(sender, "id") or not (text or found):
        return None
    topic = _number(message, "message_thread_id") if message.get("is_topic_message") is True else ""
    return Update(
        number=message["message_id"],
        chat=chat,
        sender=_number(sender, "id"),
        name=_name(sender),
        text=text,
        at=moments.seconds(message.get("date")),
        reply_to=_number(_object(message, "reply_to_message"), "message_id"),
        thread=topic,
        authentic=not behalf,
        files=found,
    )


def chat_of(message: Mapping[str, Any]) -> str:
    """The number of the chat that a message is in, "" where it says none."""
    return _number(_object(message, "chat"), "id")


def _quoted(message: Mapping[str, Any], field: str, entities: str) -> str:
    """A text with what its sender has marked as a quotation in lines that begin with ">"."""
    text, marks = _text(message, field), message.get(entities)
    found = [one for one in marks if isinstance(one, dict) and one.get("type") in _QUOTES] if isinstance(marks, list) else []
    # Places are counted in UTF-16 units, in order and never one within another.
    raw, made, at = text.encode("utf-16-le", "surrogatepass"), "", 0
    for one in found[:_MOST_QUOTES]:
        begin, end = 2 * _count(one, "offset"), 2 * (_count(one, "offset") + _count(one, "length"))
        if at <= begin < end <= len(raw):
            before, quote = (piece.decode("utf-16-le", "replace") for piece in (raw[at:begin], raw[begin:end]))
            made += before + ("\n" if (made + before) and not (made + before).endswith("\n") else "")
            made += "\n".join(f"> {line}" for line in quote.splitlines())
            at = end
            made += "\n" if raw[at:] and not raw[at:].startswith(b"\n\0") else ""
    return made + raw[at:].decode("utf-16-le", "replace") if at else text


def _files(message: Mapping[str, Any]) -> tuple[File, ...]:
    found = []
    photos = message.get("photo")
    if isinstance(photos, list):
        sizes = [p for p in photos if isinstance(p, dict)]
        largest = max(sizes, key=lambda p: _count(p, "width") * _count(p, "height"), default={})
        if _text(largest, "file_id"):
            found.append(File(_text(largest, "file_id"), "photo.jpg", "image/jpeg", _count(largest, "file_size")))
    for field, name, media_type in _KINDS:
        file = _object(message, field)
        if _text(file, "file_id"):
            found.append(
                File(
                    _text(file, "file_id"),
                    _text(file, "file_name") or name,
                    _text(file, "mime_type") or media_type,
                    _count(file, "file_size"),
                )
            )
    return tuple(found)


def _name(sender: Mapping[str, Any]) -> str:
    name = " ".join(filter(None, (_text(sender, "first_name"), _text(sender, "last_name")))) or _text(sender, "title")
    account = _text(sender, "username")
    return f"{name} (@{account})" if name and account else name or (f"@{account}" if account else "")


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _number(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def _count(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
