"""The tool `remember`: the model asks to write something down for later conversations, and a person sees its exact words first."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import LocalAgentError, UsageError
from ..policy import secrets
from ..store import memory, paths
from ..store.journal import Journal
from ..store.memory import Book
from ..toolbox.registry import Completed
from ..values import Change, Receipt, Text, ToolCall, ToolResult, ToolSpec

REMEMBER = ToolSpec(
    "remember",
    "Write down something that the user wants you to know in later conversations.",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "one sentence that is understood alone, in the user's words and language"},
            "project_only": {"type": "boolean", "description": "true only where the user says that it is for this project or folder"},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    ("persist",),
    "memory",
)
# Words for keeping in mind, in the languages that the app speaks and some others. Too much costs some tokens; too little, the tool.
_WISHED = re.compile(
    r"\b(?:remember|memori[sz]e|keep in mind|make a note|note down|take note|don'?t forget|do not forget|for (?:the )?(?:future|next time)|"
    r"from now on)\b|"
    r"\b(?:merk|merke|merkt|vergiss|vergesst) |\bbehalte? |\bin zukunft\b|\bnotier|\bab jetzt\b|"
    r"\b(?:recuerda|acu\u00e9rdate|memoriza|apunta|anota|no olvides|de ahora en adelante)\b|"
    r"\b(?:retiens|souviens-toi|rappelle-toi|n'oublie pas|m\u00e9morise|d\u00e9sormais)\b|"
    r"\b(?:lembra|lembre|memoriza|ricorda|ricordati|onthoud)|"
    "\u0437\u0430\u043f\u043e\u043c\u043d\u0438|\u043d\u0435 \u0437\u0430\u0431\u0443\u0434\u044c|"
    "\u8bb0\u4f4f|\u8a18\u4f4f|\u522b\u5fd8|\u8bf7\u8bb0|\u899a\u3048\u3066|\u5fd8\u308c\u306a\u3044\u3067|\uae30\uc5b5\ud574|"
    "\u0e08\u0e33\u0e44\u0e27\u0e49|\u062a\u0630\u0643\u0631",
    re.IGNORECASE,
)
_SPOKEN = 4000


def refuse_secrets(text: str) -> None:
    """Raises UsageError for a text that holds what looks like a key or a password: it would be shown to models again and again."""
    if found := secrets.find(text):
        told = f"That holds something that looks like a secret ({found[0].kind}), and secrets are not remembered."
        raise UsageError(told, "Keep it in a password manager, and remember where it is.")


class Remembering:
    """A `ToolSource` of this one tool. An entry that it makes is a step of `journal` in the session of that id: undo takes it out."""

    listed = False

    def __init__(self, folder: Path, journal: Journal, session: str, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._journal, self._session, self._clock = folder, journal, session, clock

    def specs(self) -> list[ToolSpec]:
        return [REMEMBER]

    def fits(self, words: str) -> bool:
        """Whether the person wants something kept in mind."""
        return _WISHED.search(words[:_SPOKEN]) is not None

    def completed(self, call: ToolCall) -> Completed:
        """The call with its text as it would be written, and where. Raises UsageError."""
        text, book = self._read(call.args)
        place = f"work in {book.folder}" if book.folder is not None else "every conversation"
        args = {"text": text, **({"project_only": True} if book.folder is not None else {})}
        return Completed(replace(call, args=args), f'for {place}, in these words: "{text}"')

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        # Not left half done: an interruption waits for it.
        work = asyncio.ensure_future(asyncio.to_thread(self._add, call))
        try:
            text, book, step = await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise
        except LocalAgentError as error:
            yield ToolResult(call.id, (Text(f"Nothing was written down: {error}"),), "failed")
            return
        if not step:
            yield ToolResult(call.id, (Text("That is remembered already."),))
            return
        told = f"Remembered: {text}\n`localagent undo` (step {step}) or `localagent memory forget` takes it out."
        data = {"text": text, "file": str(book.path), "step": step}
        yield ToolResult(call.id, (Text(told),), receipts=(Receipt("remembered", data),))

    def _read(self, args: Mapping[str, Any]) -> tuple[str, Book]:
        text = memory.checked(str(args.get("text", "")))
        refuse_secrets(text)
        return text, memory.book_of(self._folder) if args.get("project_only") else memory.own_book()

    def _add(self, call: ToolCall) -> tuple[str, Book, int]:
        """The text, its file, and the number of the step that wrote it, 0 where it stood there already."""
        text, book = self._read(call.args)
        source = f"{memory.AGENT}, session {self._session}, in {self._folder}"
        with memory.alone(book):
            data = memory.data_of(book)
            made, known = memory.added(book, data, text, source, self._clock())
            return text, book, 0 if known is not None else self._keep(book, data, made, text, call)

    def _keep(self, book: Book, before: bytes, data: bytes, text: str, call: ToolCall) -> int:
        with tempfile.NamedTemporaryFile(dir=paths.cache_dir(), prefix="memory-") as file:
            file.write(data)
            file.flush()
            # A user may keep their files elsewhere, behind a link.
            there, real = book.path.exists(), os.path.realpath(book.path)
            change = Change(
                "edit" if there else "write",
                real,
                content=file.name,
                before=hashlib.sha256(before).hexdigest() if there else "",
                after=hashlib.sha256(data).hexdigest(),
                size=len(data),
                mode=None if there else 0o600,
            )
            told = {"session": self._session, "call": call.id, "label": f"remember {text}"[:100], "about": str(self._folder)}
            return self._journal.commit([change], [real], **told).number
