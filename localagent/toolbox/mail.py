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

_LISTED = 20
_SNIPPET = 100
_TEXT = 12_000
_NEAREST, _SHORT = 5, 2
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
    "Save an attached file of a received message into a folder.",
    {
        "type": "object",
        "properties": {"number": _NUMBER, "name": _STRING, "folder": {"type": "string", "format": "path"}},
        "required": ["number", "name"],
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
        lines = [line(stored) for stored in found[:_LISTED]]
        if len(found) > _LISTED:
            lines.append("… and more; ask for other words.")
        if not exact:
            lines.insert(0, "No message has all of that. The nearest:" if lines else "There are no messages.")
        told = "\n".join(lines)
        return ToolResult(call.id, (Text(f"{told}\n({missed})" if missed else told),))

    def _search(self, words: str, sender: str) -> tuple[Sequence[Stored], bool]:
        """The messages, and whether they are what was asked for: else those with one of the words, else the newest."""
        with self._inbox() as inbox:
            found = inbox.search(words, sender=sender, limit=_LISTED + 1)
            if found:
                return found, True
            single: dict[int, Stored] = {}
            for word in [*words.split(), *sender.split()]:
                if len(word) > _SHORT:
                    single |= {stored.number: stored for stored in inbox.search(word, limit=_NEAREST)}
            near = sorted(single.values(), key=lambda stored: stored.message.at, reverse=True) or inbox.search(limit=_NEAREST)
            return near[:_NEAREST], False

    async def _read(self, call: ToolCall) -> ToolResult:
        stored = await asyncio.to_thread(self._get, call)
        if stored is None:
            return _none(call)
        message = stored.message
        head = [
            f"from: {_who(stored)}",
            *([f"subject: {_flat(message.subject)}"] if message.subject else []),
            f"date: {_when(message.at)}",
            *(f"attached: {_flat(one.name)} ({one.size:,} bytes)" for one in message.attachments),
        ]
        text = message.text if len(message.text) <= _TEXT else f"{message.text[:_TEXT]}\n… cut, {len(message.text):,} characters"
        return ToolResult(call.id, (Text("\n".join([*head, "", text])),))

    async def _save(self, call: ToolCall) -> ToolResult:
        stored = await asyncio.to_thread(self._get, call)
        if stored is None:
            return _none(call)
        wanted = str(call.args.get("name", "")).casefold()
        attached = stored.message.attachments
        found = [one for one in attached if one.name.casefold() == wanted] or [one for one in attached if wanted in one.name.casefold()]
        if len(found) != 1:
            names = ", ".join(one.name for one in attached) or "nothing"
            return ToolResult(call.id, (Text(f"There is no single attached file {call.args.get('name')!r}; attached: {names}."),), "failed")
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


def _none(call: ToolCall) -> ToolResult:
    told = f"There is no message {call.args.get('number')!r}. Find it with find_messages first."
    return ToolResult(call.id, (Text(told),), "failed")


def line(stored: Stored) -> str:
    """One received message in one line."""
    message = stored.message
    files = f" [attached: {', '.join(_flat(one.name) for one in message.attachments)}]" if message.attachments else ""
    about = _flat(message.subject or message.text)
    return f"{stored.number}: {_when(message.at)} from {_who(stored)}: {about[:_SNIPPET]}{files}"


def _who(stored: Stored) -> str:
    message = stored.message
    return _flat(f"{message.name} <{message.sender}>" if message.name else message.sender)


def _flat(text: str) -> str:
    """On one line: a name with a line break in it would make a line of its own."""
    return " ".join(text.split())


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
