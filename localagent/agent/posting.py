"""What the life of a call needs to send: who is meant, the outbox, and the wait for what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import mimetypes
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from ..channels.sender import Sender, me
from ..errors import StoreError, ToolError
from ..store import contacts
from ..store.contacts import Contact
from ..store.outbox import Entry, Outbox, fingerprint
from ..store.pinned import open_real
from ..values import Attachment, Outgoing, Receipt

_MOST_BYTES = 25 * 1024 * 1024
_REPEAT_S = 24 * 3600.0
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Answerable:
    """A received message as an answer to it needs it: where it came from, and what keeps the conversation together.

    `files` are the names of what is attached to it.
    """

    channel: str
    address: str
    subject: str
    id: str
    thread: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """`channels` are (name, kind) of those that can send, the usual one first. `received` finds a received message by its id.

    `hold_s` are the seconds in which a message can still be taken back. `told` gives a few lines about received messages
    that a request seems to be about. `people` are names beside the contact book that a call may use. `attached` finds in a text the name
    of a file that came with a message, and the message's number.
    """

    outbox: Outbox
    sender: Sender
    channels: tuple[tuple[str, str], ...]
    received: Callable[[str], Answerable | None]
    hold_s: float = 10.0
    told: Callable[[str], str] = lambda goal: ""
    people: tuple[str, ...] = ()
    attached: Callable[[str], tuple[str, int] | None] = lambda text: None

    # ------------------------------------------------------------ who is meant

    def resolved(self, wish: Outgoing) -> Outgoing:
        """The message with its channel and address. Raises ToolError that tells the model what would be right."""
        if not self.channels:
            raise ToolError("No channel is set up, so nothing can be sent. Tell the user: `localagent channels add` does it.")
        answered = None
        if wish.reply_to:
            answered = self.received(wish.reply_to)
            if answered is None:
                raise ToolError(f"There is no received message {wish.reply_to!r}. Find it with find_messages first.")
        contact = _meant(wish.name)
        made = self._to_contact(wish, contact, answered) if contact else self._to_address(wish, wish.name, answered)
        if answered is None or made.channel != answered.channel:
            return replace(made, reply_to="")
        if contacts.same(made.address, answered.address):
            made = replace(made, attachments=tuple(one for one in made.attachments if not _theirs(one, answered)))
        subject = made.subject or (answered.subject if answered.subject[:3].casefold() == "re:" else f"Re: {answered.subject}")
        return replace(made, reply_to=answered.id, thread=answered.thread, subject=subject if answered.subject else made.subject)

    def _usable(self, wanted: str, answered: Answerable | None) -> list[tuple[str, str]]:
        if wanted:
            found = [(name, kind) for name, kind in self.channels if wanted.casefold() in (name.casefold(), kind)]
            if not found:
                raise ToolError(f"There is no channel {wanted!r}. There are: {', '.join(name for name, _ in self.channels)}.")
            return found
        if answered is not None:
            return sorted(self.channels, key=lambda known: known[0] != answered.channel)
        return list(self.channels)

    def _to_contact(self, wish: Outgoing, contact: Contact, answered: Answerable | None) -> Outgoing:
        named = wish.name if contact.has(wish.name) else ""
        for name, kind in self._usable(wish.channel, answered):
            address = named if named and any(k == kind and contacts.same(a, named) for k, a in contact.addresses) else contact.at(kind)
            if address:
                return replace(wish, channel=name, address=address, name=contact.name)
        known = ", ".join(dict.fromkeys(kind for kind, _ in contact.addresses)) or "no address at all"
        raise ToolError(f"{contact.name} cannot be reached by a channel that is set up; the contact book has {known}.")

    def _to_address(self, wish: Outgoing, address: str, answered: Answerable | None) -> Outgoing:
        usable = self._usable(wish.channel, answered)
        if answered is not None and contacts.same(address, answered.address):
            return replace(wish, channel=answered.channel, address=answered.address, name="")
        for name, kind in usable:
            if _is_address(kind, address) or wish.channel:
                return replace(wish, channel=name, address=address, name="")
        raise ToolError(f"{address!r} is no contact and no address. The contacts are: {_some_names()}.")

    # ------------------------------------------------------------ on its way

    def repeats(self, messages: Sequence[Outgoing]) -> dict[int, str]:
        """Which of these went out, or may have, in the last day; said for the person."""
        found = {}
        for place, message in enumerate(messages):
            same = self.outbox.same(message, time.time() - _REPEAT_S)
            if same is not None:
                ago = max(1, round((time.time() - same.changed) / 60))
                found[place] = f"the same message to {message.address} is {same.state} since {ago} min"
        return found

    def drafts(self, messages: Sequence[Outgoing], session: str, call: str) -> list[Entry]:
        return [self.outbox.draft(message, f"{session}/{call}/{n}/{fingerprint(message)}", session) for n, message in enumerate(messages)]

    async def deliver(self, agreed: Sequence[Entry]) -> AsyncGenerator[str | list[Entry], None]:
        """Hold, send, wait: lines for the person, then the entries as they stand.

        Where one is not what was agreed to any more, none goes out. However this ends before it is over (interrupted, closed,
        a full disk), what is still held is cancelled.
        """
        try:
            for entry in agreed:
                # Not in a thread: an interruption would leave it behind, and it would hold what was taken back.
                self.outbox.hold(entry.id, self.hold_s, me(), seen=entry)
            if self.hold_s >= 1:
                yield f"goes out in {self.hold_s:.0f} s\n"
            await asyncio.sleep(self.hold_s)
            over = await self.sender.wait_for([entry.id for entry in agreed])
        except BaseException:
            for entry in agreed:
                self._take_back(entry)
            raise
        yield over

    def _take_back(self, agreed: Entry) -> None:
        """Cancel it, unless it is over or somebody has changed it meanwhile."""
        with contextlib.suppress(StoreError):
            now = self.outbox.get(agreed.id)
            ours = now.state == "draft" == agreed.state or (now.state == "held" and now.owner in ("", me()))
            if ours and now.message == agreed.message:
                self.outbox.cancel(agreed.id)


def pinned(messages: Sequence[Outgoing]) -> tuple[list[Outgoing], dict[str, str]]:
    """The messages with the real paths of their files, and for each the path that was asked for.

    What is judged from here on is what `with_files` opens, whatever links are changed meanwhile.
    """
    asked = {one.path: os.path.realpath(one.path) for message in messages for one in message.attachments}
    made = [
        replace(message, attachments=tuple(replace(one, path=asked[one.path]) for one in message.attachments)) for message in messages
    ]
    return made, {real: given for given, real in asked.items()}


def _theirs(attachment: Attachment, answered: Answerable) -> bool:
    """Whether a file is only that of the message which is answered: who wrote it has it, and here it does not exist."""
    return attachment.name in answered.files and not os.path.lexists(attachment.path)


def left_out(wishes: Sequence[Outgoing], messages: Sequence[Outgoing]) -> list[str]:
    """The names of files that were asked for and do not go along."""
    pairs = zip(wishes, messages, strict=True)
    return list(dict.fromkeys(one.name for wish, made in pairs for one in wish.attachments if one not in made.attachments))


def with_files(message: Outgoing) -> Outgoing:
    """The message with what its attachments are now, whose paths are real ones. Raises ToolError."""
    return replace(message, attachments=tuple(_looked_at(one) for one in message.attachments))


def _looked_at(attachment: Attachment) -> Attachment:
    try:
        with open_real(attachment.path) as file:
            facts = os.fstat(file.fileno())
            if facts.st_size > _MOST_BYTES:
                raise ToolError(f"{attachment.name} has {facts.st_size:,} bytes; more than 25 MB cannot be sent.")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        hint = " Unless the user asked for a file, send it again with attachments=[]." if error.errno == errno.ENOENT else ""
        raise ToolError(f"{attachment.name} cannot be read: {error.strerror}.{hint}") from None
    media_type = mimetypes.guess_type(attachment.name)[0] or "application/octet-stream"
    return replace(attachment, media_type=media_type, size=facts.st_size, sha256=digest)


def receipt(entry: Entry) -> Receipt:
    message = entry.message
    to = f"{message.name} <{message.address}>" if message.name else message.address
    facts = {"channel": message.channel, "to": to, "state": entry.state, "id": entry.id}
    return Receipt("sent", facts | {key: value for key, value in (("proof", entry.proof), ("detail", entry.detail)) if value})


def told(entry: Entry) -> str:
    """What the model reads of it."""
    message = entry.message
    to = f"{message.name or message.address} by {message.channel}"
    match entry.state:
        case "sent":
            return f"Sent to {to}."
        case "handed over":
            return f"Handed over for {to}; whether it arrived is not known."
        case "failed":
            return f"NOT sent to {to}: {entry.detail or 'the service refused it'}."
        case "unconfirmed":
            return f"It is not known whether it reached {to} ({entry.detail}). Do not send it again; tell the user."
        case "held":
            until = time.strftime("%H:%M", time.localtime(entry.due))
            return f"Not sent to {to} yet ({entry.detail}); it lies in the outbox and goes out after {until}."
        case "draft":
            return f"Kept as a draft for {to}; nothing was sent."
        case _:
            return f"NOT sent to {to}: it was {entry.state}."


def _meant(wanted: str) -> Contact | None:
    known = contacts.load()
    found = contacts.find(known, wanted)
    if len(found) > 1:
        names = ", ".join(contact.name for contact in found[:8])
        raise ToolError(f"{wanted!r} may be {names}. Give the whole name.")
    return found[0] if found else None


def _some_names() -> str:
    names = [contact.name for contact in contacts.load()]
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "(none yet)"


def _is_address(kind: str, text: str) -> bool:
    """Whether a text could be an address of that kind."""
    if any(char.isspace() for char in text):
        return False
    user, at, domain = text.rpartition("@")
    if kind == "email":
        return bool(at and user and "." in domain.strip(".")) and not text.startswith(("@", "!"))
    if kind == "matrix":
        return text[:1] in ("@", "!", "#") and ":" in text
    if kind == "telegram":
        return text.lstrip("-").isdigit() or (text.startswith("@") and ":" not in text)
    # A topic or a receiver's own word can be anything: a name that is in no contact must not become one.
    return kind == "desktop"
