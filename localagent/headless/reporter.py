"""What `do` tells on stderr while it works."""

from __future__ import annotations

import sys

from ..agent import shown
from ..agent.checklist import UNMET
from ..events import (
    ChangesCommitted,
    EngineProgress,
    Event,
    MessageDone,
    Notice,
    Nudged,
    PlanUpdated,
    PrefillProgress,
    Supplied,
    ToolFinished,
    ToolOutput,
    ToolsOffered,
    ToolStarted,
    TurnEnded,
)
from ..toolbox import planning
from .styled import style_for


class Reporter:
    """Draws the events of a run on stderr."""

    def __init__(self, folder: str, quiet: bool = False) -> None:
        self._folder = folder
        self._quiet = quiet
        self._style = style_for(sys.stderr)
        self._live = sys.stderr.isatty()
        self._progress = False

    def __call__(self, event: Event) -> None:
        if self._quiet:
            return
        match event:
            case EngineProgress() if self._live:
                self._passing(_waiting(event))
            case PrefillProgress() if self._live and event.total - event.cached > 256:
                self._passing(f"reading {event.done}/{event.total} tokens")
            case MessageDone() if event.message.calls and event.message.text.strip():
                self._line("2", shown.visible(event.message.text.strip()))
            case PlanUpdated():
                self._line("36", "\n".join(f"  {line}" for line in shown.plan_lines(event.items)))
            case Notice() | Nudged() | ToolsOffered() | Supplied():
                self._told(event)
            case TurnEnded():
                self._clear()
            case _:
                self._of_a_call(event)

    def _of_a_call(self, event: Event) -> None:
        match event:
            case ToolStarted() if event.call.name != planning.PLAN.name:
                self._line("36", "→ " + shown.call_line(event.call))
            case ToolOutput():
                self._line("2", shown.visible(event.text.rstrip("\n")))
            case ChangesCommitted():
                for line in shown.change_lines(event.changes, self._folder, limit=10):
                    self._line("32", f"  ✓ {line} (step {event.step})")
            case ToolFinished() if event.result.requests and event.result.status == "ok":
                for line in shown.change_lines(event.result.requests, self._folder):
                    self._line("33", f"  would {line}")
            case ToolFinished() if event.result.status != "ok":
                self._line("33", f"  {event.result.status}: {shown.first_line(event.result)}")

    def _told(self, event: Notice | Nudged | ToolsOffered | Supplied) -> None:
        if isinstance(event, Notice):
            self._line("33", shown.visible(event.text))
        elif isinstance(event, ToolsOffered | Supplied):
            self._line("2", shown.supplied(event))
        elif event.files:
            names = ", ".join(shown.relative(path, self._folder) for path in event.files)
            self._line("33", f"  changed by others since it was read: {names}; the model is told")
        elif event.text.startswith(UNMET):
            for line in event.text.splitlines():
                if line.startswith("- "):
                    self._line("33", f"  a check fails, and the model is told: {shown.visible(line[2:], lines=False)}")

    def _passing(self, text: str) -> None:
        """A line that the next one takes the place of."""
        self._progress = True
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def _line(self, code: str, text: str) -> None:
        self._clear()
        print(self._style(code, text), file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._progress:
            sys.stderr.write("\r\x1b[K")
            self._progress = False


def _waiting(event: EngineProgress) -> str:
    match event.what:
        case "loading":
            return f"loading the model: {event.fraction:.0%}"
        case "queued":
            return f"waiting for {event.before} other {'answer' if event.before == 1 else 'answers'}"
        case "waiting":
            return "waiting: the memory is taken by a model that is still answering"
