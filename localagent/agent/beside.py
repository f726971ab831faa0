"""What a session tells the model beside a request: the instructions that count, and what is remembered and fits.

Both stand behind the person's words and not in the beginning that all sessions share, and are told once: a session knows from its
history what it has told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import LocalAgentError
from ..events import Event, Notice, Supplied
from ..store.memory import Book
from . import guidance

_REQUEST = 500


@dataclass(slots=True)
class Beside:
    """`workspace` None tells nothing at all. `own`: the user's own instructions count too; `books` are searched, () for none.

    `present` is False where it is not the user who reads what the session tells.
    """

    workspace: Path | None = None
    own: bool = True
    books: Sequence[Book] = ()
    mask: Callable[[str], str] = str
    present: bool = True
    _told: list[tuple[int, Supplied]] = field(default_factory=list)

    async def opening(self, words: str) -> list[Event]:
        """The events for a request in these words."""
        return await asyncio.to_thread(self._look, self.workspace, words) if self.workspace is not None else []

    def note(self, event: Event, place: int) -> None:
        """It was told, as the message of the history at that place."""
        if isinstance(event, Supplied):
            self._told.append((place, event))

    def cut(self, place: int) -> None:
        """The history has lost its messages from this one on."""
        self._told = [one for one in self._told if one[0] < place]

    def _look(self, workspace: Path, words: str) -> list[Event]:
        events: list[Event] = []
        for look in (self._instructions, self._remembered):
            try:
                events += look(workspace, words)
            except LocalAgentError as error:
                events.append(Notice(str(error), "warning"))
        made = [self._masked(event) if isinstance(event, Supplied) else event for event in events]
        last = next((event for event in reversed(made) if isinstance(event, Supplied)), None)
        # A small model answers what it has read last.
        return [replace(event, text=f"{event.text}\n{_again(words)}") if event is last else event for event in made]

    def _instructions(self, workspace: Path, _: str) -> list[Event]:
        last = next((event for _, event in reversed(self._told) if event.kind == "instructions"), None)
        return guidance.told(workspace, self.own, last.items if last is not None else {}, self.present)

    def _remembered(self, _: Path, words: str) -> list[Event]:
        if not any(book.path.exists() for book in self.books):
            return []
        # A database and the words of many languages: not for who has nothing remembered.
        from . import remembered

        known = {id for _, event in self._told if event.kind == "remembered" for id in event.items}
        return remembered.told(words, self.books, known)

    def _masked(self, event: Supplied) -> Supplied:
        items = {name: self.mask(text) for name, text in event.items.items()}
        return replace(event, text=self.mask(event.text), items=items)


def _again(words: str) -> str:
    return f"The request: {words}" if len(words) <= _REQUEST else "The request stands above."
