"""A stored conversation as a person would tell it: what was asked, said and done, in order. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..events import Compacted, Event, MessageDone, Notice, ToolFinished, TurnEnded, TurnStarted
from ..values import Failure, Receipt, Text, ToolCall, ToolResult
from . import shown

ENDS = {
    "failed": "The run failed.",
    "time": "The time budget was spent.",
    "budget": "The budget of turns, calls or tokens was spent.",
    "denied": "The run needed an approval.",
    "cancelled": "It was interrupted.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The person's own words; `at` is seconds since the epoch, `number` counts from 1."""

    number: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Did:
    """A call and what the model was told of it."""

    call: ToolCall
    result: ToolResult
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Noted:
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a turn ended, where that is more than an answer."""

    status: str
    error: Failure | None = None
    receipts: tuple[Receipt, ...] = ()


Entry = Asked | Said | Did | Noted | Ended



@dataclass(frozen=True, slots=True)
class Head:
    """What stands above a conversation; `begun` is seconds since the epoch."""

    title: str
    session: str
    folder: str = ""
    model: str = ""
    begun: float = 0.0
    origin: str = ""

    def facts(self) -> list[tuple[str, str]]:
        """What is known of the session, each with its name."""
        pairs = [("Session", self.session), ("Folder", self.folder), ("Model", self.model), ("Begun", when(self.begun))]
        return [(name, value) for name, value in [*pairs, ("Forked from", self.origin)] if value]


def head(session: str, events: Sequence[Event], title: str = "", origin: str = "") -> Head:
    """Without a title, the first request is one."""
    turns = [event for event in events if isinstance(event, TurnStarted)]
    if not turns:
        return Head(title or session, session, origin=origin)
    goal = " ".join(_own(turns[0]).split()) or session
    goal = goal if len(goal) <= 80 else goal[:79] + "…"
    return Head(title or goal, session, turns[0].folder, turns[-1].model, turns[0].at, origin)


def told(events: Iterable[Event]) -> Iterator[Entry]:
    """What the host told the model about the place is left out: it is not the person's, and stands in the transcript."""
    number = 0
    for event in events:
        match event:
            case TurnStarted():
                number += 1
                yield Asked(number, _own(event), event.at)
            case MessageDone() if event.message.text.strip() or event.message.thinking.strip():
                yield Said(event.message.text.strip(), event.message.thinking.strip())
            case ToolFinished():
                yield Did(event.call, event.result, event.seconds)
            case Notice():
                yield Noted(event.text)
            case Compacted():
                yield Noted(shown.shortened(event))
            case TurnEnded() if event.error or event.receipts or event.status != "done":
                yield Ended(event.status, event.error, event.receipts)
            case _:
                pass


def _own(event: TurnStarted) -> str:
    first = event.message.parts[:1]
    return first[0].text if first and isinstance(first[0], Text) else ""


def when(at: float) -> str:
    """Local time to the minute, "" where it is not known."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else ""
    except (OverflowError, ValueError, OSError):
        return ""


def receipts(ended: Ended, folder: str) -> str:
    """The host's own account of a turn, "" where nothing was changed, run or sent."""
    return shown.summary(ended.receipts, folder, 1000) if ended.receipts else ""
