"""One message as the bytes that are handed to a server: exactly the agreed text, subject, address and files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from email import policy
from email.message import EmailMessage
from email.utils import formatdate

from ...values import Attachment, Outgoing
from .account import Account
from .address import checked
from .words import line

MOST_BYTES = 100 * 1024 * 1024
_MESSAGE_ID = re.compile(r"<[^\s<>@\"\\]{1,200}@[^\s<>@\"\\]{1,200}>", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_WHOLE = ("message", "multipart")
_MOST_REFERENCES = 50
# Characters of a line, and bytes of one encoded word in it.
_LINE, _WORD = 76, 42


class Refused(Exception):
    """The message cannot be made as it was agreed to; the text says why."""


def message_id(message: Outgoing, account: Account) -> str:
    """The Message-ID that this message has at every attempt. Raises Refused without a usable id."""
    if not _ID.fullmatch(message.id):
        raise Refused("it has no id of its own")
    return f"<{message.id}@{account.domain}>"


def compose(message: Outgoing, account: Account, at: float | None = None) -> tuple[str, bytes]:
    """(the recipient's address, the whole message with CRLF). Raises Refused."""
    to = _recipient(message.address)
    name = message.name if message.name.casefold() != to.casefold() else ""
    heads = [
        _plain("Date", formatdate(time.time() if at is None else at, localtime=True)),
        _mailbox("From", account.from_name, account.address),
        _mailbox("To", _one_line(name, "the recipient's name"), to),
        _text("Subject", _one_line(message.subject, "the subject")),
        _plain("Message-ID", message_id(message, account)),
        *_thread(message),
    ]
    made = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    try:
        made.set_content(_body(message.text), charset="utf-8", cte=_encoding(message.text))
        _attach(made, message.attachments)
        data = "".join(f"{line}\r\n" for line in heads).encode() + made.as_bytes()
    except ValueError as error:
        raise Refused(f"it cannot be written as a mail: {error}") from None
    if len(data) > MOST_BYTES * 3 // 2:
        raise Refused(f"it is larger than {MOST_BYTES // 1024 // 1024} MB")
    return to, data


def _recipient(address: str) -> str:
    try:
        return checked(address)
    except ValueError as error:
        raise Refused(f"{line(address)!r} is no e-mail address: {error}") from None


def _plain(name: str, *words: str) -> str:
    """A header of ASCII words, each on a line of its own where they are many."""
    return f"{name}: " + "\r\n ".join(words)


def _text(name: str, text: str) -> str:
    """A header of free text. (The library's own folding loses blanks between encoded words.)"""
    if text.isascii() and "=?" not in text and len(name) + len(text) < _LINE:
        return f"{name}: {text}"
    return f"{name}: {_encoded(text)}"


def _mailbox(header: str, name: str, address: str) -> str:
    if not name:
        return f"{header}: {address}"
    if name.isascii() and "=?" not in name and len(name) < _LINE - 12:
        quoted = re.sub(r'(["\\])', r"\\\1", name)
        return f'{header}: "{quoted}"\r\n <{address}>'
    return f"{header}: {_encoded(name)}\r\n <{address}>"


def _encoded(text: str) -> str:
    """As encoded words (RFC 2047), the blanks inside them; none breaks a character."""
    pieces, held = [], b""
    for ch in text:
        data = ch.encode()
        if len(held) + len(data) > _WORD:
            pieces.append(held)
            held = b""
        held += data
    pieces.append(held)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(piece).decode('ascii')}?=" for piece in pieces)


def _one_line(text: str, what: str) -> str:
    """Headers are built from this: a line break in it would begin another header."""
    if any(ord(ch) < 32 or ord(ch) == 127 or ch in "\x85\u2028\u2029" for ch in text):
        raise Refused(f"{what} holds a line break or another control character")
    _encodable(text, what)
    return text.strip()


def _encodable(text: str, what: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(f"{what} holds half a character") from None


def _body(text: str) -> str:
    if "\0" in text:
        raise Refused("the text holds a NUL character")
    _encodable(text, "the text")
    return text


def _encoding(text: str) -> str:
    """Long lines and what is no ASCII are packed; quoted-printable stays readable where most of it is Latin."""
    data = text.encode("utf-8", "replace")
    if text.isascii() and all(len(one) <= 900 for one in text.split("\n")) and not re.search(r"^From ", text, re.MULTILINE):
        return "7bit"
    return "quoted-printable" if sum(byte > 127 for byte in data) * 6 < len(data) else "base64"


def _thread(message: Outgoing) -> list[str]:
    """In-Reply-To and References from what the channel gave with the message that is answered."""
    chain = _MESSAGE_ID.findall(message.thread)
    answered = _MESSAGE_ID.match(message.reply_to)
    parent = answered[0] if answered else chain[-1] if message.reply_to and chain else ""
    if parent and parent not in chain:
        chain.append(parent)
    if len(chain) > _MOST_REFERENCES:
        chain = [chain[0], *chain[1 - _MOST_REFERENCES :]]
    return [_plain(name, *ids) for name, ids in (("In-Reply-To", [parent]), ("References", chain)) if any(ids)]


def _attach(made: EmailMessage, attachments: tuple[Attachment, ...]) -> None:
    total = 0
    for one in attachments:
        total += one.size
        if total > MOST_BYTES:
            raise Refused(f"the files are larger than {MOST_BYTES // 1024 // 1024} MB together")
        data = agreed_bytes(one)
        kind = one.media_type.lower() if _TYPE.fullmatch(one.media_type.lower()) else "application/octet-stream"
        main, _, sub = kind.partition("/")
        if main in _WHOLE:
            main, sub = "application", "octet-stream"
        name = _one_line(os.path.basename(one.name) or "file", "a file's name")
        made.add_attachment(data, maintype=main, subtype=sub, filename=name)


def agreed_bytes(one: Attachment) -> bytes:
    """The file's bytes, which are those that were agreed to. Raises Refused."""
    name = line(one.name)
    try:
        fd = os.open(one.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(fd, "rb") as file:
            data = file.read(one.size + 1)
    except OSError as error:
        raise Refused(f"the file {name!r} cannot be read: {error.strerror}") from None
    if len(data) != one.size or hashlib.sha256(data).hexdigest() != one.sha256:
        raise Refused(f"the file {name!r} has changed since it was agreed to")
    return data
