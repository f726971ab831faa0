"""Tools that look at received messages: find, read, save what is attached.

They run in the host: what came in lies in a file of ours, which no worker sees. All that they give back was written by
others.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

from ..errors import LocalAgentError
from ..store.inbox import Inbox, Stored
from ..values import Attachment, Change, Text, ToolCall, ToolResult, ToolSpec
from . import mail_search

_LISTED = 20
_SNIPPET = 100
_TEXT = 12_000
_NEAREST, _NEWEST = 5, 3
# Characters of the texts that a search shows, of all messages together and of one.
_SHOWN, _SHOWN_OF_ONE = 1_600, 800
_STRING, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1}

FIND = ToolSpec(
    "find_messages",
    "Look into the user's received messages (mail, chat): those with these words, or from this sender, newest first.",
    {
        "type": "object",
        "properties": {"words": _STRING, "sender": _STRING},
        "required": [],
        "additionalProperties": False,
    },
    ("read:mail",),
    "messages",
)
READ = ToolSpec(
    "read_message",
    "Read the received message with this number.",
    {"type": "object", "properties": {"number": _NUMBER}, "required": ["number"], "additionalProperties": False},
    ("read:mail",),
    "messages",
)
SAVE = ToolSpec(
    "save_attachment",
    "Save the file that is attached to a received message into a folder; name says which where there are several.",
    {
        "type": "object",
        "properties": {"number": _NUMBER, "name": _STRING, "folder": {"type": "string", "format": "path"}},
        "required": ["number"],
        "additionalProperties": False,
    },
    ("read:mail", "write:fs"),
    "messages",
)


class Mail:
    """A tool source over the inbox. `fetch` takes in what is new first, and says what could not be reached."""

    def __init__(self, fetch: Callable[[], Awaitable[str]], workspace: Path, inbox: Callable[[], Inbox] = Inbox) -> None:
        self._fetch = fetch
        self._workspace = workspace
        self._inbox = inbox

    def specs(self) -> Sequence[ToolSpec]:
        return (FIND, READ, SAVE)

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        work = {FIND.name: self._find, READ.name: self._read, SAVE.name: self._save}[call.name]
        try:
            yield await work(call)
        except LocalAgentError as error:
            yield ToolResult(call.id, (Text(str(error)),), "failed")

    async def _find(self, call: ToolCall) -> ToolResult:
        missed = await self._fetch()
        words, sender = str(call.args.get("words", "")), str(call.args.get("sender", ""))
        found, exact = await asyncio.to_thread(self._search, words, sender)
        shown = found[:_LISTED]
        lines = [line(stored, min(_SHOWN_OF_ONE, _SHOWN // len(shown))) for stored in shown]
        if len(found) > _LISTED:
            lines.append("… and more; ask for other words.")
        if not exact:
            lines.insert(0, "No message has all of that. The nearest:" if lines else "There are no messages.")
        if shown:
            lines.append(_next(shown))
        told = "\n".join(lines)
        return ToolResult(call.id, (Text(f"{told}\n({missed})" if missed else told),))

    def _search(self, words: str, sender: str) -> tuple[Sequence[Stored], bool]:
        """The messages, and whether they are what was asked for: else the nearest, else the newest."""
        with self._inbox() as inbox:
            return mail_search.search(inbox, words, sender, _LISTED + 1, _NEAREST)

    async def _read(self, call: ToolCall) -> ToolResult:
        stored = await asyncio.to_thread(self._get, call)
        if stored is None:
            return await asyncio.to_thread(self._none, call)
        message = stored.message
        head = [
            f"from: {_who(stored)}",
            *([f"subject: {_flat(message.subject)}"] if message.subject else []),
            f"received: {_when(message.at)}",
            *(f"attached: {_flat(one.name)} ({one.size:,} bytes)" for one in message.attachments),
        ]
        text = message.text if len(message.text) <= _TEXT else f"{message.text[:_TEXT]}\n… cut, {len(message.text):,} characters"
        return ToolResult(call.id, (Text("\n".join([*head, "", text, "", _next([stored])])),))

    async def _save(self, call: ToolCall) -> ToolResult:
        stored = await asyncio.to_thread(self._get, call)
        if stored is None:
            return await asyncio.to_thread(self._none, call)
        wanted = str(call.args.get("name") or "").casefold()
        attached = stored.message.attachments
        found = [one for one in attached if one.name.casefold() == wanted] or [one for one in attached if wanted in one.name.casefold()]
        if len(found) != 1 and len(attached) == 1:
            # There is only this one to be meant, whatever it was called.
            found = list(attached)
        if len(found) != 1:
            names = ", ".join(_flat(one.name) for one in attached) or "nothing"
            told = f"Message {stored.number} has no single attached file {wanted!r}; attached: {names}."
            return ToolResult(call.id, (Text(told),), "failed")
        return await asyncio.to_thread(self._saved, call, found[0])

    def _saved(self, call: ToolCall, attachment: Attachment) -> ToolResult:
        folder = os.path.normpath(os.path.join(self._workspace, os.path.expanduser(str(call.args.get("folder") or "."))))
        target = os.path.join(folder, os.path.basename(attachment.name) or "attachment")
        changes = []
        if not os.path.isdir(folder):
            changes.append(Change("make_folder", folder))
        if os.path.lexists(target):
            told = f"{os.path.relpath(target, self._workspace)} exists already. Move it away first, or choose another folder."
            return ToolResult(call.id, (Text(told),), "failed")
        changes.append(Change("write", target, content=attachment.path, before="", after=attachment.sha256, size=attachment.size))
        told = f"Saved {os.path.relpath(target, self._workspace)} ({attachment.size:,} bytes)."
        return ToolResult(call.id, (Text(told),), requests=tuple(changes))

    def _get(self, call: ToolCall) -> Stored | None:
        number = call.args.get("number")
        with self._inbox() as inbox:
            return inbox.get(number) if isinstance(number, int) else None


    def _none(self, call: ToolCall) -> ToolResult:
        with self._inbox() as inbox:
            newest = [line(stored) for stored in inbox.search(limit=_NEWEST)]
        told = [f"There is no message {call.args.get('number')!r}.", *(["The newest:", *newest] if newest else ["The inbox is empty."])]
        return ToolResult(call.id, (Text("\n".join(told)),), "failed")


def _next(found: Sequence[Stored]) -> str:
    """What can be done with them: a small model goes on with what it is told last."""
    number = str(found[0].number) if len(found) == 1 else "its number"
    told = ["write_file where words of it are to be written down"]
    if any(stored.message.attachments for stored in found):
        # First, or the words take the place of the file.
        told.insert(0, f"save_attachment with number={number} where the attached file is to be saved")
    told.append(f"send_message with reply_to={number} where an answer is to be sent")
    return f"[Nothing is saved, written or sent yet. Next, as the user asked: {', '.join(told)}; else answer the user.]"


def line(stored: Stored, shown: int = _SNIPPET) -> str:
    """One received message in one line, with at most `shown` characters of its text."""
    message = stored.message
    files = f" [attached: {', '.join(_flat(one.name) for one in message.attachments)}]" if message.attachments else ""
    subject, text = _flat(message.subject)[:_SNIPPET], _flat(message.text)
    said = text if len(text) <= shown else f"{text[:shown]}… (read_message gives all)"
    about = f"{subject}: {said}" if subject and said else subject or said
    # The time stands behind the text: before it, models take it for the one that the text is about.
    return f"{stored.number}: from {_who(stored)}: {about}{files} (received {_when(message.at)})"


def _who(stored: Stored) -> str:
    message = stored.message
    return _flat(f"{message.name} <{message.sender}>" if message.name else message.sender)


def _flat(text: str) -> str:
    """On one line: a name with a line break in it would make a line of its own."""
    return " ".join(text.split())


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
