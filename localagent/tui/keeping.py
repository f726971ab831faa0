"""`/remember` and `/forget`: what is remembered, added and taken out by the person at this screen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.content import Content

from ..agent.shown import visible
from ..store import memory
from ..store.memory import Book, Entry
from .windows import Picker, Reader, Row
from .words import t

if TYPE_CHECKING:
    from .app import LocalAgentApp


class Keeping:
    """What the app does about it. Raises LocalAgentError where a file cannot be read or written."""

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app

    async def remember(self, argument: str) -> None:
        """`/remember TEXT`, with `. TEXT` for this project only; all that is remembered where no text is given."""
        if argument in ("", "."):
            self._app.push_screen(Reader(t("What is remembered"), await asyncio.to_thread(self._lines)))
            return
        here = argument.startswith(". ")
        entry, new = await asyncio.to_thread(self._add, argument[2:] if here else argument, here)
        text = visible(entry.text, lines=False)
        if not new:
            told = t("That is remembered already: {text}", text=text)
        elif here:
            told = t("Remembered for this project: {text}", text=text)
        else:
            told = t("Remembered: {text}", text=text)
        self._app.driver.tell(told)

    async def forget(self, argument: str) -> None:
        """`/forget WHAT`: an id, or words that only that entry has; a list to choose from where nothing is named."""
        if argument:
            await self._gone(*await asyncio.to_thread(memory.chosen, argument, self._books()))
            return
        found = await asyncio.to_thread(self._found)
        if not found:
            self._app.driver.tell(t("Nothing is remembered yet. /remember TEXT does so."))
            return
        rows = [Row(str(at), visible(one.text, lines=False), _about(book, one)) for at, (book, one) in enumerate(found)]
        self._app.push_screen(
            Picker(t("What should be forgotten?"), rows),
            lambda at: self._app.run_worker(self._gone(*found[int(at)])) and None if at is not None else None,
        )

    async def _gone(self, book: Book, entry: Entry) -> None:
        await asyncio.to_thread(memory.forget, book, [entry.id])
        self._app.driver.tell(t("Forgotten: {text}", text=visible(entry.text, lines=False)))

    def _add(self, text: str, here: bool) -> tuple[Entry, bool]:
        from ..agent import remembering

        remembering.refuse_secrets(text)
        return memory.add(memory.book_of(self._app.house.folder) if here else memory.own_book(), text)

    def _books(self) -> tuple[Book, ...]:
        return memory.books(self._app.house.folder)

    def _found(self) -> list[tuple[Book, Entry]]:
        return [(book, one) for book in self._books() for one in memory.entries(book)]

    def _lines(self) -> list[Content]:
        """Each file with its entries: whoever wants to may edit it by hand."""
        lines: list[Content] = []
        for book in self._books():
            folder = visible(str(book.folder), lines=False)
            head = t("In every conversation") if book.folder is None else t("For work in {folder}", folder=folder)
            lines.append(Content.assemble((head, "bold $text-primary"), (f"  {visible(str(book.path), lines=False)}", "$text-muted")))
            found = memory.entries(book)
            for one in found:
                text = visible(one.text, lines=False)
                lines.append(Content.assemble((f"{one.id}  ", "$text-muted"), text, (f"  {_told(one)}", "$text-muted")))
            lines += [*([] if found else [Content(t("Nothing yet."))]), Content("")]
        return lines[:-1]


def _told(one: Entry) -> str:
    if one.source == memory.YOU:
        who = t("you")
    elif not one.source:
        who = t("written by hand")
    else:
        who = visible(one.source, lines=False)
    return ", ".join(filter(None, (one.date, who)))


def _about(book: Book, one: Entry) -> str:
    here = t("for this project") if book.folder is not None else ""
    return " \u00b7 ".join(filter(None, (here, _told(one))))
