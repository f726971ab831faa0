"""The window of the earlier conversations: type to search in the text of all of them, then go on, rename, fork or export."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ..errors import LocalAgentError
from . import wording
from .fields import Field
from .windows import Modal
from .words import t

Deed = Literal["open", "rename", "fork", "export"]
_PAUSE_S = 0.12


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation as it is offered. `elsewhere` is its folder where that is not this one; `at` seconds since the epoch."""

    id: str
    name: str
    status: str
    at: float
    messages: int
    elsewhere: str = ""
    snippet: str = ""
    open_now: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    deed: Deed
    entry: Entry


class Chooser(Modal):
    """The result is a `Chosen`. `find` gives the entries that hold the words, all of them for ""; it may block."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "do('rename')", "Rename", priority=True),
        Binding("ctrl+f", "do('fork')", "Fork", priority=True),
        Binding("ctrl+e", "do('export')", "Export", priority=True),
    ]

    def __init__(self, find: Callable[[str], Sequence[Entry]], first: Sequence[Entry]) -> None:
        super().__init__()
        self._find = find
        self._entries = list(first)
        self._words = ""
        self._wanted: Deed | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(t("Earlier conversations")), classes="title", markup=False)
            yield Field(placeholder=t("type to search in all that was said"), id="first")
            options = OptionList(id="rows", markup=False)
            options.can_focus = False
            yield options
            told = t("Enter goes on · F2 renames · Ctrl+F forks · Ctrl+E exports · Esc closes")
            yield Static(Content(told), id="told", classes="about", markup=False)

    def listed(self) -> Sequence[Entry]:
        """What is offered, for who has no screen."""
        return self._entries

    def on_mount(self) -> None:
        self._fill(self._entries)

    def _fill(self, entries: Sequence[Entry]) -> None:
        self._entries = list(entries)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(drawn(entry, self.app.size.width - 10)) for entry in self._entries])
        if self._entries:
            options.highlighted = 0
        else:
            options.add_option(Option(Content.styled(t("Nothing was found."), "dim"), disabled=True))

    def on_input_changed(self, event: Input.Changed) -> None:
        self._wanted = None
        self.run_worker(partial(self._search, event.value), group="search", exclusive=True)

    async def _search(self, words: str) -> None:
        await asyncio.sleep(_PAUSE_S)
        try:
            found = await asyncio.to_thread(self._find, words)
            if not self.is_attached:
                return
        except LocalAgentError as error:
            self._wanted = None
            self.query_one("#told", Static).update(Content(wording.calm(str(error))))
            return
        self._fill(found)
        self._words = words
        if (deed := self._wanted) is not None:
            self.action_do(deed)

    def on_key(self, event: Key) -> None:
        if event.key in ("up", "down", "pageup", "pagedown"):
            event.stop()
            options = self.query_one(OptionList)
            moves = {"up": "cursor_up", "down": "cursor_down", "pageup": "page_up", "pagedown": "page_down"}
            getattr(options, f"action_{moves[event.key]}")()

    def on_input_submitted(self) -> None:
        self.action_do("open")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_do("open")

    def action_do(self, deed: Deed) -> None:
        """What was typed counts, also where it is not found yet."""
        self._wanted = deed if self.query_one(Input).value != self._words else None
        if self._wanted is not None:
            return
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._entries):
            self.close(Chosen(deed, self._entries[at]))


class Ask(Modal):
    """One line to write; the result is its text."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def asked(self) -> tuple[str, str]:
        """Title and text so far, for who has no screen."""
        return self._title, self._text

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(self._title), classes="title", markup=False)
            yield Field(self._text, id="first")
            yield Static(Content(t("Enter keeps it · Esc closes")), classes="about", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.close(event.value)


def drawn(entry: Entry, width: int) -> Content:
    """When, the title, and how it ended; beneath it the place that was found."""
    about = [entry.status] if entry.status not in ("", "done") else []
    about += [t("open now")] if entry.open_now else []
    about += [wording.place(entry.elsewhere, 30)] if entry.elsewhere else []
    when = _when(entry.at)
    tail = wording.one_line(" · ".join(about), max(10, width - len(when) - 24))
    name = wording.one_line(entry.name, max(8, width - len(when) - len(tail) - 4))
    tail = f"  {tail}" if tail else ""
    parts = [(f"{when}  ", "dim"), (name, ""), (tail, "dim")]
    if entry.snippet:
        parts.append((f"\n    {wording.one_line(entry.snippet, max(12, width - 6))}", "dim italic"))
    return Content.assemble(*parts)


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if 0 < at < 1e11 else " " * 16
