"""What a session knows of its conversation, made from its events alone: what was said, seen and done, in order."""

from __future__ import annotations

from pathlib import Path

from ..events import (
    ChangesCommitted,
    Compacted,
    Event,
    MessageDone,
    Nudged,
    PlanUpdated,
    Rewound,
    Steered,
    Supplied,
    TakenBack,
    ToolFinished,
    ToolsOffered,
    TurnEnded,
    TurnStarted,
)
from ..policy import marks
from ..policy.marks import Marks
from ..toolbox.registry import Registry
from ..values import Change, Message, PlanItem, Text, ToolResult
from . import context, offering, place, retold
from .beside import Beside
from .compaction import Shortened
from .pace import Pace
from .reads import Reads


class Talk:
    """`history` holds every message there is, `marks` what was seen in it, `reads` the files that it showed.

    `requests` says where in the history each request begins, and which files were known there. `plan` is the last one,
    `changed` what lies where something was changed, the latest last. `short` is what the model is shown of the history.
    """

    def __init__(self, registry: Registry, workspace: Path, beside: Beside) -> None:
        self._registry, self.beside = registry, beside
        self._folder = str(workspace)
        self.history: list[Message] = []
        self.marks = Marks()
        self.reads = Reads()
        self.offering = offering.of(registry)
        self.requests: list[tuple[int, Reads]] = []
        self.calls = 0
        self.plan: tuple[PlanItem, ...] = ()
        self.changed: dict[str, str] = {}
        self.short = Shortened()
        self.pace = Pace()
        # What was told of undoing.
        self._retold: list[Message] = []
        self._words: tuple[int, str, str] = (-1, "", "")

    @property
    def shown(self) -> list[Message]:
        """The history as the model is shown it."""
        return self.short.now.shown(self.history)

    def apply(self, event: Event, replayed: bool = False) -> None:
        before = self.reads.copy() if isinstance(event, TurnStarted) else self.reads
        self.reads.apply(event)
        match event:
            case TurnStarted():
                self.marks |= Marks.of(event.marks)
                if replayed and event.surroundings:
                    self.marks |= place.seen(event.surroundings)
                self.close_open_calls("interrupted")
                self.requests.append((len(self.history), before))
                self.pace.model(event.model)
                self.history.append(context.user_message(event))
            case Steered():
                self.marks |= Marks.of(event.marks) | place.seen(event.surroundings)
                self.history.append(context.user_message(event))
            case TakenBack():
                self._retold.append(retold.taken_back(event, self._folder))
                self.history.append(self._retold[-1])
            case Rewound():
                self._go_back(event)
            case Nudged() | Supplied():
                self.marks |= Marks.of(event.marks)
                self.history.append(Message("host", (Text(event.text),)))
                self.beside.note(event, len(self.history) - 1)
            case ToolsOffered():
                if not event.call_id:
                    self.history.append(context.offered(event))
                self.offering.note(event, len(self.history) - 1)
            case MessageDone():
                self.history.append(event.message)
                self.pace.note(event, len(self.history))
                # Also those of requests that were gone back behind: an id is used once.
                self.calls += len(event.message.calls) if replayed else 0
            case ToolFinished():
                self.marks |= Marks.of(event.marks)
                if replayed and event.result.status in ("ok", "failed"):
                    # What a stored line leaves out is not taken for unseen.
                    self.marks |= marks.of_result(self._registry.spec(event.call.name), event.result.text)
                self.history.append(Message("tool", event.result.parts, result=event.result))
            case TurnEnded():
                self.close_open_calls("interrupted")
            case _:
                self._beside(event)

    def _go_back(self, event: Rewound) -> None:
        """What was told of undoing stays: the steps may be earlier ones."""
        if not 0 <= event.to < len(self.requests):
            return
        begin, self.reads = self.requests[event.to]
        kept = [message for message in self.history[begin:] if any(message is told for told in self._retold)]
        del self.history[begin:], self.requests[event.to :]
        self.offering.cut(begin)
        self.beside.cut(begin)
        self.short.cut(begin)
        self.pace.set(0, 0)
        self.history += kept
        if (stayed := retold.stayed(event, self._folder)) is not None:
            self.history.append(stayed)
        self._words = (-1, "", "")

    def _beside(self, event: Event) -> None:
        """What is no message."""
        match event:
            case PlanUpdated():
                self.plan = event.items
            case ChangesCommitted():
                for change in event.changes:
                    self._changed(change)
            case Compacted():
                self.close_open_calls("interrupted")
                self.short.apply(event, len(self.history))
                self.offering.forget(self.short.now.upto)
                self.beside.forget(self.short.now.upto)
                self.pace.set(event.after, len(self.history))
            case _:
                pass

    def _changed(self, change: Change) -> None:
        self.changed.pop(change.path, None)
        at = change.dest or change.path if change.kind in ("move", "copy") else change.path
        self.changed.pop(at, None)
        self.changed[at] = change.kind

    def close_open_calls(self, why: str) -> None:
        """A call without a result would make the next prompt malformed."""
        at = next((n for n in range(len(self.history) - 1, -1, -1) if self.history[n].role == "assistant"), None)
        # Results stand behind their calls: what came before the last answer is closed, and long.
        answered = {m.result.call_id for m in self.history[at:] if m.result is not None} if at is not None else set()
        for call in self.history[at].calls if at is not None else ():
            if call.id not in answered:
                result = ToolResult(call.id, (Text(f"This call was {why}; it has no result."),), "cancelled")
                self.history.append(Message("tool", result.parts, result=result))

    def spoken(self) -> tuple[str, str]:
        """The user's own words in this session, and the text that others wrote."""
        if self._words[0] != len(self.history):
            spoken = [m for m in self.history if m.role in ("user", "steer")]
            own = [m.parts[0].text for m in spoken if m.parts and isinstance(m.parts[0], Text)]
            told = [part.text for m in spoken for part in m.parts[1:] if isinstance(part, Text)]
            foreign = [context.without_listing(text) for text in told]
            foreign += [m.text for m in self.history if m.role == "tool"]
            self._words = (len(self.history), "\n".join(own), "\n".join(foreign))
        return self._words[1:]

    def new_call_id(self) -> str:
        self.calls += 1
        return f"call_{self.calls}"
