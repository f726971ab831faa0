"""Where a person writes: several lines, earlier requests, completion, and pasted text kept out of the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.content import Content
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import Static

from . import complete, wording
from .fields import Area
from .words import mark, n_of, t, translated

_IDLE = mark("What should be done?   / commands   @ files   ! your shell   F1 help")
_CHIP_LINES = 12
_CHIP_CHARS = 1500


class Choices(Static):
    """The completions above the prompt."""

    def __init__(self) -> None:
        super().__init__("", id="choices", markup=False)
        self.choices: list[complete.Choice] = []
        self.at = 0

    def offer(self, choices: list[complete.Choice]) -> None:
        self.choices, self.at = choices, 0
        self._draw()

    def move(self, by: int) -> None:
        self.at = (self.at + by) % len(self.choices)
        self._draw()

    def _draw(self) -> None:
        self.display = bool(self.choices)
        # A window of the list that holds the chosen one.
        first = max(0, min(self.at - complete.SHOWN + 1, len(self.choices) - complete.SHOWN))
        lines = []
        for n, choice in list(enumerate(self.choices))[first : first + complete.SHOWN]:
            style = "reverse" if n == self.at else ""
            about = f"  {choice.about}" if choice.about else ""
            lines.append(Content.assemble((wording.calm(choice.shown), style), (about, "$text-muted")))
        self.update(Content("\n").join(lines))


class Prompt(Area):
    """Posts `Submitted`. While `busy` Tab sends for later; `take_back` gives what was sent and not heard yet, if
    anything; `pasted` takes a paste that is no text."""

    @dataclass
    class Submitted(Message):
        """With `later` as a request of its own, once what runs has ended."""

        text: str
        later: bool = False

    @dataclass
    class Drafted(Message):
        text: str

    @dataclass
    class Scrolled(Message):
        """A key that moves the conversation."""

        key: str

    class PathsWanted(Message):
        """Someone is writing an @path, and the paths may be old."""

    def __init__(self, history: list[str]) -> None:
        super().__init__(
            "",
            id="prompt",
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            compact=True,
            placeholder=Content(translated(_IDLE)),
        )
        self.busy = False
        self.take_back: Callable[[], str] = str
        self.pasted: Callable[[str], bool] = lambda text: False
        self.choices = Choices()
        self.paths: list[str] = []
        self._history = history
        self._at = len(history)
        self._draft = ""
        self._chips: dict[str, str] = {}
        self._closed_at: str | None = None

    def working(self, busy: bool) -> None:
        """Whether the agent is at work: what is written is then told to it."""
        if busy != self.busy:
            self.busy = busy
            self.placeholder = Content(t("Enter tells it now   Tab: the next request   Esc stops") if busy else translated(_IDLE))

    # ------------------------------------------------------------ text

    def set_text(self, text: str) -> None:
        self.text = text
        self.move_cursor(self.document.end)

    def whole(self) -> str:
        """The text with what was pasted in place of its chips."""
        text = self.text
        for chip, pasted in self._chips.items():
            text = text.replace(chip, pasted)
        return text

    def remember(self, text: str) -> None:
        if text.strip() and self._history[-1:] != [text]:
            self._history.append(text)
        self._at, self._draft = len(self._history), ""

    def clear_all(self) -> None:
        self._chips.clear()
        self.set_text("")
        self._at, self._draft = len(self._history), ""

    def on_text_area_changed(self) -> None:
        self.set_class(self.text.startswith("!"), "-own")
        self._offer()
        self.post_message(self.Drafted(self.whole()))

    def _offer(self) -> None:
        before = self._before()
        if before == self._closed_at or self._at != len(self._history):
            self.choices.offer([])
            return
        self._closed_at = None
        if complete.path_word(before) is not None:
            self.post_message(self.PathsWanted())
        self.choices.offer(complete.choices(before, self.paths))

    def paths_known(self, paths: list[str]) -> None:
        if paths == self.paths:
            return
        self.paths = paths
        self._offer()

    def _before(self) -> str:
        row, column = self.cursor_location
        lines = self.text.split("\n")
        return "\n".join([*lines[:row], lines[row][:column]]) if row < len(lines) else self.text

    # ------------------------------------------------------------ keys

    async def _on_key(self, event: Key) -> None:
        handled = self._choosing(event.key) if self.choices.choices else self._plain(event.key)
        if handled:
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)

    def _choosing(self, key: str) -> bool:
        """Keys while completions are offered. Enter takes a command that is not all there yet, and never a path."""
        match key:
            case "up" | "down":
                self.choices.move(1 if key == "down" else -1)
            case "tab":
                self._take()
            case "escape":
                self._closed_at = self._before()
                self.choices.offer([])
            case "enter" if self._unfinished():
                self._take()
            case _:
                return self._plain(key)
        return True

    def _unfinished(self) -> bool:
        choice = self.choices.choices[self.choices.at]
        return self.text.startswith("/") and choice.text.strip() != self.text.strip()

    def _plain(self, key: str) -> bool:
        match key:
            case "enter" if self._before().endswith("\\") and self.cursor_location == self.document.end:
                self.action_delete_left()
                self.insert("\n")
            case "enter":
                self._submit()
            case "tab" if self.busy and self.text.strip():
                self._submit(later=True)
            case "up" if not self.text and (taken := self.take_back()):
                self.set_text(taken)
            case "ctrl+j" | "alt+enter" | "shift+enter":
                self.insert("\n")
            case "up" if self.cursor_location[0] == 0:
                return self._step(-1)
            case "down" if self.cursor_location[0] == self.document.line_count - 1:
                return self._step(1)
            case "pageup" | "pagedown" | "ctrl+home" | "ctrl+end":
                self.post_message(self.Scrolled(key))
            case _:
                return False
        return True

    def _submit(self, later: bool = False) -> None:
        text = self.whole()
        if text.strip():
            self.clear_all()
            self.remember(text)
            self.post_message(self.Submitted(text, later))

    def _step(self, by: int) -> bool:
        """Through the earlier requests; the text in the making waits at the end of them."""
        if not 0 <= self._at + by <= len(self._history):
            return False
        if self._at == len(self._history):
            self._draft = self.text
        self._at += by
        self.set_text(self._history[self._at] if self._at < len(self._history) else self._draft)
        return True

    def _take(self) -> None:
        choice = self.choices.choices[self.choices.at]
        end = self.cursor_location
        start = (end[0], end[1] - choice.replaces)
        self.replace(choice.text, start, end)

    async def _on_paste(self, event: Paste) -> None:
        """A long text stands as a chip; it is sent whole."""
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        if self.pasted(text):
            return
        lines = text.count("\n") + 1
        if lines > _CHIP_LINES or len(text) > _CHIP_CHARS:
            chip = f"[{n_of(lines, 'pasted text {number}: {n} line', 'pasted text {number}: {n} lines', number=len(self._chips) + 1)}]"
            self._chips[chip] = text
            text = chip
        self.replace(text, *self.selection)
