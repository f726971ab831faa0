"""The bytes of a mail as an `Incoming`: robust against everything that stands in them.

The text is what a person would see; what they must know besides stands in square brackets above it. Files go where
`keep` puts them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

from ...errors import StoreError
from ...values import Attachment, Incoming
from . import address, authentic, html, meant, untouched, words
from .account import Account
from .bounds import bounded
from .names import file_name

Keep = Callable[[bytes, str, str], Attachment]
"""Stores (bytes, name, media type) as a file of ours."""

MOST_TEXT = 400_000
MOST_FILES, FILE_BYTES, ALL_BYTES = 50, 25 * 1024 * 1024, 50 * 1024 * 1024
_MOST_PARTS = 500
_DEEPEST = 40
_MESSAGE_ID = re.compile(r"<[^\s<>]{1,250}>", re.ASCII)
_MOST_REFERENCES = 50
_HEADER_BYTES = 256 * 1024
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")


@dataclass(slots=True)
class _Found:
    """What the parts of a mail hold, in their order."""

    plain: list[str] = field(default_factory=list)
    files: list[Attachment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: int = 0
    bytes: int = 0


def incoming(raw: bytes, account: Account, channel: str, at: float, keep: Keep, *, cut: bool = False) -> Incoming:
    """Never raises for what the mail holds. `cut`: the mail is longer than these bytes."""
    try:
        return _incoming(raw, account, channel, at, keep, cut)
    except (OSError, StoreError):
        # The disk's trouble: the mail is to be read again when that is over.
        raise
    except Exception as error:  # noqa: BLE001 - a mail nobody has foreseen must not stop those behind it
        note = f"[This mail could not be read ({type(error).__name__}); look at it in your mail program.]"
        return Incoming(_id(raw, ""), channel, "", "", note, at)


def _incoming(raw: bytes, account: Account, channel: str, at: float, keep: Keep, cut: bool) -> Incoming:
    read = bounded(raw)
    mail = message_from_bytes(read)
    cut = cut or len(read) < len(raw)
    sender = address.sender(_all(mail, "From"))
    found = _Found()
    _walk(mail, found, keep, 0)
    text = _cut("\n\n".join(piece for piece in found.plain if piece))
    notes = [*_notes(mail, sender, cut), *found.notes]
    own = _first_id(mail, "Message-ID")
    chain = _chain(mail, own)
    return Incoming(
        id=_id(raw, own),
        channel=channel,
        sender=sender.address,
        chat=sender.address,
        text="\n".join([*(f"[{note}]" for note in notes), *([""] if notes and text else []), text]).strip("\n"),
        at=at,
        subject=words.line(words.decoded(words.unfolded(_one(mail, "Subject"))))[:1000],
        name=sender.name,
        attachments=tuple(found.files),
        reply_to=_first_id(mail, "In-Reply-To"),
        thread=" ".join(chain),
        authentic=_authentic(raw, mail, account, sender.address, at),
    )


def _authentic(raw: bytes, mail: Message, account: Account, sender: str, at: float) -> bool | None:
    results = _all(mail, "Authentication-Results")
    said = authentic.verdict(results, account.authserv, sender)
    if said and not _untouched(raw, mail, results, account, sender):
        return None
    to, date = [*_all(mail, "To"), *_all(mail, "Cc")], _all(mail, "Date")
    if said and not meant.here_and_now(to, date, _all(mail, "DKIM-Signature"), account, at):
        return None
    return said


def _untouched(raw: bytes, mail: Message, results: list[str], account: Account, sender: str) -> bool:
    def values(name: str) -> list[str]:
        return _all(mail, name)

    direct = authentic.delivered_by(results, account.authserv, sender)
    whole = direct or untouched.signed(values, sender.rpartition("@")[2].lower())
    return whole and untouched.plain(raw) and untouched.once(values) and _first_id(mail, "Message-ID") != ""


def _id(raw: bytes, message_id: str) -> str:
    """The Message-ID, which anybody can repeat, with what makes it one: the headers that the servers on its way have written."""
    head = re.split(rb"\r?\n\r?\n", raw[:_HEADER_BYTES], maxsplit=1)[0]
    return f"{message_id}#{hashlib.sha256(head).hexdigest()[:16]}"


def _all(mail: Message, name: str) -> list[str]:
    return [str(value) for key, value in mail.raw_items() if key.lower() == name.lower()]


def _one(mail: Message, name: str) -> str:
    return next(iter(_all(mail, name)), "")


def _first_id(mail: Message, name: str) -> str:
    match = _MESSAGE_ID.search(words.unfolded(_one(mail, name))[:4000])
    return match[0] if match else ""


def _chain(mail: Message, own: str) -> list[str]:
    """The conversation up to this mail, oldest first."""
    known = _MESSAGE_ID.findall(words.unfolded(_one(mail, "References"))[:20_000]) or [_first_id(mail, "In-Reply-To")]
    found = [one for one in dict.fromkeys([*known, own]) if one]
    if own:
        # The last one is what an answer answers.
        found = [*(one for one in found if one != own), own]
    return found if len(found) <= _MOST_REFERENCES else [found[0], *found[1 - _MOST_REFERENCES :]]


def _notes(mail: Message, sender: address.Sender, cut: bool) -> list[str]:
    found = []
    if not sender.address:
        shown = words.line(words.decoded(words.unfolded(" / ".join(_all(mail, "From")))))[:200]
        found.append(f"The sender cannot be told, so it cannot be answered; the mail says: {shown or 'nothing'}")
    elif not sender.name and (shown := words.line(words.decoded(words.unfolded(_one(mail, "From"))))) and "<" in shown:
        name = shown.rpartition("<")[0].strip(" \"'")
        if name and address.looks_like_another(name, sender.address):
            found.append(f"The sender, {sender.address}, calls itself {name.replace('@', ' (at) ')[:100]}")
    wished = [one for header in _all(mail, "Reply-To") for one in address.addresses(header)]
    if others := [one for one in dict.fromkeys(wished) if one.casefold() != sender.address.casefold()]:
        found.append(f"The mail wants answers to go to {', '.join(others[:5])}, which is not its sender")
    if _one(mail, "Auto-Submitted").strip().lower() not in ("", "no") or _one(mail, "Precedence").strip().lower() in (
        "auto_reply",
        "bulk",
        "junk",
    ):
        found.append("Sent by a program")
    if cut:
        found.append("The mail is very long; only its beginning was read, and files in it may be missing")
    return found


def _walk(part: Message, found: _Found, keep: Keep, depth: int) -> None:
    found.seen += 1
    if found.seen > _MOST_PARTS or depth > _DEEPEST:
        _too_many(found)
        return
    kind = part.get_content_type()
    if kind == "message/rfc822" or (depth > 0 and kind.startswith("message/")):
        _file(part, kind, found, keep)
    elif part.is_multipart():
        inner = [one for one in part.get_payload() if isinstance(one, Message)]
        if kind == "multipart/alternative":
            _best(inner, found, keep, depth)
        else:
            for one in inner:
                _walk(one, found, keep, depth + 1)
    elif _is_text(part, kind):
        shown = _text(part, kind)
        if shown:
            found.plain.append(shown)
    else:
        _file(part, kind, found, keep)


def _too_many(found: _Found) -> None:
    if not any("parts" in note for note in found.notes):
        found.notes.append("The mail has more parts than are read")


def _best(inner: list[Message], found: _Found, keep: Keep, depth: int) -> None:
    """One of the forms of the same: the plain text, the HTML where that is empty; files in any of them are files."""
    if len(inner) > _MOST_PARTS:
        _too_many(found)
    before, inner = len(found.plain), inner[:_MOST_PARTS]
    texts = [one for one in inner if _is_text(one, one.get_content_type())]
    for one in sorted(texts, key=lambda part: part.get_content_type() != "text/plain"):
        if len(found.plain) == before:
            _walk(one, found, keep, depth + 1)
    shown = {id(one) for one in texts}
    for one in inner:
        if id(one) in shown:
            continue
        if one.is_multipart() and len(found.plain) > before:
            # multipart/related: the HTML of it is the same text again, its pictures are files.
            beside = _Found(seen=found.seen, bytes=found.bytes, files=found.files, notes=found.notes)
            _walk(one, beside, keep, depth + 1)
            found.seen, found.bytes = beside.seen, beside.bytes
        else:
            _walk(one, found, keep, depth + 1)


def _is_text(part: Message, kind: str) -> bool:
    if kind not in ("text/plain", "text/html") or part.is_multipart():
        return False
    disposition = str(part.get("Content-Disposition", "")).strip().lower()
    return not disposition.startswith("attachment") and not ("filename" in disposition and kind == "text/html")


def _text(part: Message, kind: str) -> str:
    text = words.text_of(_payload(part), part.get_content_charset())
    shown = html.to_text(text) if kind == "text/html" else words.block(text[: MOST_TEXT * 2])
    return "\n".join(line.rstrip() for line in shown.split("\n")).strip("\n")


def _payload(part: Message) -> bytes:
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        data = None
    if isinstance(data, bytes):
        return data
    plain = part.get_payload()
    return plain.encode("utf-8", "surrogateescape") if isinstance(plain, str) else b""


def _file(part: Message, kind: str, found: _Found, keep: Keep) -> None:
    data = _whole(part) if kind.startswith("message/") else _payload(part)
    media = kind if _TYPE.fullmatch(kind) else "application/octet-stream"
    name = file_name(_given_name(part), media, len(found.files) + 1)
    if len(found.files) >= MOST_FILES:
        if found.notes[-1:] != ["More files than are kept were left out"]:
            found.notes.append("More files than are kept were left out")
    elif len(data) > FILE_BYTES or found.bytes + len(data) > ALL_BYTES:
        found.notes.append(f"The file {name} was left out: it has {len(data):,} bytes")
    else:
        found.bytes += len(data)
        found.files.append(keep(data, name, media))


def _whole(part: Message) -> bytes:
    """A mail in a mail, as a file."""
    inner = part.get_payload()
    if isinstance(inner, list):
        pieces: Iterator[bytes] = (one.as_bytes() for one in inner if isinstance(one, Message))
        try:
            return b"\n".join(pieces)
        except (ValueError, LookupError, KeyError, UnicodeError):
            return b""
    return inner.encode("utf-8", "surrogateescape") if isinstance(inner, str) else b""


def _given_name(part: Message) -> str:
    try:
        given = part.get_filename()
    except (ValueError, LookupError, TypeError, UnicodeError):
        given = None
    return words.decoded(words.unfolded(str(given))) if given else ""


def _cut(text: str) -> str:
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]}\n[… {len(text) - MOST_TEXT:,} more characters]"
