"""Windows over the conversation: one to choose from a list, one to read a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from . import complete, wording
from .fields import Field
from .words import t

_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One line to choose."""

    id: str
    text: str
    about: str = ""


class Window(ModalScreen):
    """A screen over the conversation that closes once, whatever keys still wait for it."""

    closed = False

    def close(self, result: Any = None) -> None:
        """Give the result; nothing where it was given before, or another window lies above."""
        if not self.closed and self.app.screen is self:
            self.closed = True
            self.dismiss(result)


class Modal(Window):
    """A window; Esc closes it with None."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "close", "Close")]
    AUTO_FOCUS = "#first"

    def action_close(self) -> None:
        self.close()


class Picker(Modal):
    """Type to narrow, Enter to choose; the result is the row's id."""

    def __init__(self, title: str, rows: Sequence[Row]) -> None:
        super().__init__()
        self._title = title
        self._rows = list(rows)

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(self._title), classes="title", markup=False)
            yield Field(placeholder=t("type to narrow"), id="first")
            options = OptionList(id="rows", markup=False)
            # The keys go to the line above; here they would also find no rows on a very low screen.
            options.can_focus = False
            yield options
            yield Static(Content(t("Enter chooses · Esc closes")), classes="about", markup=False)

    def listed(self) -> tuple[str, Sequence[Row]]:
        """Title and rows, for who has no screen."""
        return self._title, self._rows

    def on_mount(self) -> None:
        self._fill("")

    def _fill(self, word: str) -> None:
        texts = {f"{row.text} {row.about} {row.id}": row for row in self._rows}
        found = [texts[text] for text in complete.best(word, list(texts), 200)] if word else self._rows[:200]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_drawn(row), row.id) for row in found])
        if found:
            options.highlighted = 0

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def on_key(self, event: Key) -> None:
        if event.key in ("up", "down"):
            event.stop()
            options = self.query_one(OptionList)
            options.action_cursor_up() if event.key == "up" else options.action_cursor_down()

    def on_input_submitted(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.close(options.get_option_at_index(options.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.close(event.option.id)


def _drawn(row: Row) -> Content:
    return Content.assemble(
        (wording.one_line(row.text, 200), ""), (f"  {wording.one_line(row.about, 200)}", "$text-muted")
    )


class Sheet(VerticalScroll, can_focus=True):
    """A long text in pieces: only what is on the screen costs."""

    class Resized(Message):
        """More or less of it can be seen."""

    def __init__(self, lines: Sequence[Content], id: str) -> None:
        super().__init__(id=id)
        self._lines = lines

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def compose(self) -> ComposeResult:
        yield from self._pieces()

    def _pieces(self) -> Iterator[Static]:
        for at in range(0, len(self._lines), _CHUNK):
            yield Static(Content("\n").join(self._lines[at : at + _CHUNK]), markup=False)

    async def refill(self, lines: Sequence[Content]) -> None:
        """Another text, from its beginning."""
        self._lines = lines
        async with self.batch():
            await self.remove_children()
            await self.mount_all(self._pieces())
        self.scroll_home(animate=False)


def fit(window: Screen) -> None:
    """Let the text, or what is written, have the height that the rest of the window leaves: nothing of that is cut off."""
    long = [one for one in window.query("TextArea, Sheet") if one.display]
    if not long:
        # The window has been closed since.
        return
    grows = long[-1]
    others = [child for child in window.query_one(".window").children if child.display and child is not grows]
    taken = sum(child.outer_size.height for child in others) + grows.styles.margin.height + 2
    around = 0 if window.app.size.height < 24 else 2
    room = max(2, window.app.size.height - taken - around)
    if grows.styles.max_height is None or grows.styles.max_height.value != room:
        grows.styles.max_height = room


class Reader(Modal):
    """A text to read. `keys` are further keys that close it with their own name as the result."""

    def __init__(self, title: str, lines: Sequence[Content], keys: dict[str, str] | None = None) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._keys = keys or {}

    def compose(self) -> ComposeResult:
        told = " · ".join([*(f"{key} {what}" for key, what in self._keys.items()), t("↑ ↓ scroll"), t("Esc closes")])
        with Vertical(classes="window"):
            yield Static(Content(self._title), classes="title", markup=False)
            yield Sheet(self._lines, "first")
            yield Static(Content(told), classes="about", markup=False)

    def told(self) -> tuple[str, Sequence[Content], dict[str, str]]:
        """Title, lines and further keys, for who has no screen."""
        return self._title, self._lines, self._keys

    def on_resize(self) -> None:
        self.call_after_refresh(lambda: fit(self))

    def on_key(self, event: Key) -> None:
        if event.key in self._keys:
            event.stop()
            self.close(event.key)
        elif event.key in ("q", "enter"):
            event.stop()
            self.close()
