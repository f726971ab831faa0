"""The machine on the screen: a panel beside the conversation on wide terminals, a window over it on narrow ones.

It looks once a second while it is open, and not at all when it is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from . import meters
from .meters import Sample
from .speeds import Speeds
from .windows import Modal
from .words import t

WIDE = 110
"""Columns from which on it stands beside the conversation."""
_EVERY_S = 1.0
_KEPT = 120

Look = Callable[[], Awaitable[Sample]]


class Gauges(Static):
    """Draws what `look` finds, once a second, for as long as it is mounted."""

    def __init__(self, look: Look, speeds: Speeds) -> None:
        super().__init__("", id="gauges", markup=False)
        self._look, self._speeds = look, speeds
        self._samples: deque[Sample] = deque(maxlen=_KEPT)

    def on_mount(self) -> None:
        self._draw()
        self.set_interval(_EVERY_S, self._again)
        self._again()

    def on_resize(self) -> None:
        self._draw()

    def _again(self) -> None:
        # A look that takes longer than a second (an engine that does not answer) is waited for.
        if not any(worker.group == "look" and worker.is_running for worker in self.workers):
            self.run_worker(self._sample(), group="look", exit_on_error=False)

    async def _sample(self) -> None:
        self._samples.append(await self._look())
        self._draw()

    def _draw(self) -> None:
        width = self.content_size.width or self.app.size.width - 4
        self.update(Content("\n").join(meters.rows(self._samples, self._speeds, min(width, 60))))


class Panel(Vertical):
    """Beside the conversation; it takes no key."""

    def __init__(self, look: Look, speeds: Speeds) -> None:
        super().__init__(id="monitor")
        self._gauges = Gauges(look, speeds)

    def compose(self) -> ComposeResult:
        yield Static(Content(t("This machine")), classes="title", markup=False)
        yield self._gauges
        yield Static(Content(t("F2 closes")), classes="about", markup=False)


class MonitorWindow(Modal):
    """Over the conversation; F2, Esc and q close it."""

    BINDINGS: ClassVar[list[BindingType]] = [("f2,q,enter", "close", "Close")]
    def __init__(self, look: Look, speeds: Speeds) -> None:
        super().__init__()
        self._gauges = Gauges(look, speeds)

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(t("This machine")), classes="title", markup=False)
            with VerticalScroll(id="first", classes="gauges"):
                yield self._gauges
            yield Static(Content(t("F2 or Esc closes")), classes="about", markup=False)

    def on_resize(self) -> None:
        # The title, the last line and the border stay on a low screen.
        self.query_one("#first").styles.max_height = max(2, self.app.size.height - 4)
