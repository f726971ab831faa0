"""Going back to an earlier message: which there are, what was changed since, and the window to choose in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..agent import shown
from . import wording
from .view import Item, requests
from .windows import Modal
from .words import t

if TYPE_CHECKING:
    from ..store.steps import Step

_NAMED = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A request to go back to: `to` requests stand before it. `steps` changed files after it and were not undone, newest first."""

    to: int
    text: str
    steps: tuple[Step, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """What those steps changed, each path once."""
        changes = (change for step in reversed(self.steps) for change in step.changes)
        return tuple(dict.fromkeys(change.dest or change.path for change in changes))


def points(items: Iterable[Item], steps: Sequence[Step], session: str) -> list[Point]:
    """The requests of a conversation, the newest first. `steps` are those of the journal, newest first."""
    own = [step for step in steps if step.session == session and step.state == "done"]
    asked = enumerate(requests(items))
    made = [Point(to, one.text, tuple(step for step in own if step.at >= one.at)) for to, one in asked]
    return made[::-1]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Go back to `point`; `undo` takes back what was changed since."""

    point: Point
    undo: bool


class Rewind(Modal):
    """Enter goes back and leaves the files, u takes their changes back too; the result is a `Chosen` or None."""

    def __init__(self, points: Sequence[Point], folder: str) -> None:
        super().__init__()
        self._points = points
        self._folder = folder

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(t("Go back to an earlier message")), classes="title", markup=False)
            width = max(20, self.app.size.width * 9 // 10 - 12)
            options = [Option(_row(point, width), str(at)) for at, point in enumerate(self._points)]
            yield OptionList(*options, id="first", markup=False)
            yield Static("", id="since", markup=False)
            yield Static("", id="keys", classes="about", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        point = self._points[event.option_index]
        self.query_one("#since", Static).update(Content(since(point, self._folder)))
        self.query_one("#keys", Static).update(Content(_keys(point)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.close(Chosen(self._points[event.option_index], False))

    def on_key(self, event: Key) -> None:
        at = self.query_one(OptionList).highlighted
        if event.key == "u" and at is not None and self._points[at].steps:
            event.stop()
            self.close(Chosen(self._points[at], True))


def since(point: Point, folder: str) -> str:
    """What was changed after the request."""
    if not point.steps:
        return t("Nothing was changed since.")
    steps, files = len(point.steps), len(point.paths)
    if steps == 1:
        told = t("Since then one step changed {files}:", files=_files(files))
    else:
        told = t("Since then {steps} steps changed {files}:", steps=steps, files=_files(files))
    names = [shown.visible(os.path.relpath(path, folder), lines=False) for path in point.paths[:_NAMED]]
    more = " " + t("and {number} more", number=files - _NAMED) if files > _NAMED else ""
    return f"{told} {', '.join(names)}{more}"


def _files(number: int) -> str:
    return t("1 file") if number == 1 else t("{number} files", number=number)


def _keys(point: Point) -> str:
    if not point.steps:
        return t("Enter goes back · Esc closes")
    return t("Enter goes back, the files stay as they are · u goes back and undoes these changes · Esc closes")


def _row(point: Point, width: int) -> Content:
    number = len(point.steps)
    about = "" if not number else t("1 step since") if number == 1 else t("{number} steps since", number=number)
    text = wording.one_line(point.text, width - len(about) - 2)
    return Content.assemble((text, ""), (f"  {about}" if about else "", "$text-muted"))
