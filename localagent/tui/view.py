"""What the screen shows, as a value, and the one function that makes it from events.

Nothing here knows Textual, a clock or a file: `reduce` is pure, so a stored session, a
running one and a test draw the same. What is in `past` never changes again, but for the mark `outdated`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, assert_never

from ..agent.tally import Tally
from ..events import (
    ApprovalAsked,
    ApprovalGiven,
    ChangesCommitted,
    Compacted,
    EngineProgress,
    Event,
    MessageDone,
    Notice,
    Nudged,
    PlanUpdated,
    PrefillProgress,
    Rewound,
    Steered,
    Supplied,
    TakenBack,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolOutput,
    ToolsOffered,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from ..values import BIGGER, Image, Message, Mode, PlanItem, Text, ToolCall, ToolResult
from . import context, offers, outdated
from .items import Asked, Ended, Item, Own, Planned, Said, Told, Tool, ToolState
from .outdated import FilesChanged
from .wording import plain_output

# Of a program's live output the end is kept; the whole of it lies in the session's folder.
OUTPUT_KEPT = 60_000
MODES: tuple[Mode, ...] = ("plan", "ask", "auto")

Phase = Literal[
    "idle", "starting", "loading", "queued", "waiting", "reading", "thinking", "answering", "tool", "asking"
]


@dataclass(frozen=True, slots=True)
class Reading:
    """Prefill: `done` of `total` tokens, of which `first` were there at `since` (seconds)."""

    done: int
    total: int
    first: int
    since: float

    def left(self, now: float) -> float | None:
        """Seconds until it is read, None where that cannot be told yet."""
        read, took = self.done - self.first, now - self.since
        if read <= 0 or took < 0.3:
            return None
        return max(0.0, (self.total - self.first) * took / read - took)


@dataclass(frozen=True, slots=True)
class View:
    """`past` are earlier turns' items, `items` this one's: a token must not cost more where much was said before.

    `used` are the tokens of the context that the last answer took; `speed` its tokens per second. `talk` is another
    number where it is another conversation. `plan` is that of the running turn."""

    talk: int = 0
    past: tuple[Item, ...] = ()
    items: tuple[Item, ...] = ()
    phase: Phase = "idle"
    began: float = 0.0
    loading: float = 0.0
    before: int = 0
    reading: Reading | None = None
    plan: tuple[PlanItem, ...] = ()
    model: str = ""
    used: int = 0
    speed: float = 0.0
    questions: int = 0

    @property
    def all(self) -> tuple[Item, ...]:
        return (*self.past, *self.items) if self.past else self.items

    @property
    def busy(self) -> bool:
        return self.phase != "idle"


@dataclass(frozen=True, slots=True)
class DiffsRead:
    """What a committed step changed, as text; found out after the event that told of it."""

    call_id: str
    diffs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """A command of the person's began (`code` None), said something, or ended."""

    command: str
    output: str = ""
    code: int | None = None
    seconds: float = 0.0


Seen = Event | DiffsRead | OwnCommand | FilesChanged


def reduce(view: View, event: Seen, at: float) -> View:
    """The view after an event that came at `at` (seconds on any clock that only goes forward)."""
    match event:
        case TurnStarted():
            asked = Asked(_words(event.message), event.at, pictures=_pictures(event.message))
            view = replace(view, past=(*view.past, *view.items), items=(asked,), model=event.model, plan=())
            return replace(view, phase="starting", began=at, reading=None)
        case EngineProgress():
            return replace(view, phase=event.what, loading=event.fraction, before=event.before)
        case PrefillProgress():
            return _reading(view, event, at)
        case TextDelta():
            return replace(_saying(view, lambda said: replace(said, text=said.text + event.text)), phase="answering")
        case ThinkingDelta():
            grown = _saying(view, lambda said: replace(said, thinking=said.thinking + event.text))
            return replace(grown, phase="thinking")
        case MessageDone():
            return _message(view, event)
        case ToolStarted() | ToolOutput() | ApprovalAsked() | ApprovalGiven() | ChangesCommitted() | ToolFinished():
            return _tool_event(view, event, at)
        case PlanUpdated() | Steered() | Rewound() | Notice() | Nudged() | TakenBack() | ToolsOffered() | Supplied():
            return _told(view, event)
        case Compacted():
            shortened = replace(view, items=(*view.items, Told(context.told(event))), used=event.after, reading=None)
            return replace(shortened, phase="starting" if view.busy else "idle")
        case TurnEnded():
            return _ended(view, event, at)
        case DiffsRead() | OwnCommand() | FilesChanged():
            return _beside(view, event)
        case _:
            assert_never(event)


def _words(message: Message) -> str:
    """The person's own, without what the host tells after them."""
    first = message.parts[0] if message.parts else None
    return first.text if isinstance(first, Text) else ""


def _pictures(message: Message) -> tuple[str, ...]:
    """What the lines beside a message's pictures say of them."""
    lines = (part.text for part, image in pairwise(message.parts) if isinstance(part, Text) and isinstance(image, Image))
    return tuple(line.strip("\n[]") for line in lines)


def _told(view: View, event: PlanUpdated | Steered | Rewound | Notice | Nudged | TakenBack | ToolsOffered | Supplied) -> View:
    match event:
        case PlanUpdated():
            # The list says all that the card of the call would.
            kept = (item for item in view.items if not (isinstance(item, Tool) and item.call.id == event.call_id))
            return replace(view, items=tuple(kept), plan=event.items)
        case Steered():
            return replace(view, items=(*view.items, Asked(_words(event.message), steer=True)))
        case Rewound():
            return _rewound(view, event.to)
        case Notice():
            return replace(view, items=(*view.items, Told(event.text, event.level)))
        case Nudged() if event.files:
            # What the model is told of the person's own changes, the person is told too.
            return replace(view, items=(*view.items, Told(outdated.told(event))))
        case ToolsOffered():
            return replace(view, items=(*view.items, Told(offers.told(event))))
        case Supplied():
            return replace(view, items=(*view.items, Told(offers.supplied(event))))
        case Nudged() | TakenBack():
            return view


def requests(items: Iterable[Item]) -> list[Asked]:
    """Those that opened a turn, oldest first: what a `Rewound` counts."""
    return [item for item in items if isinstance(item, Asked) and not item.steer]


def _rewound(view: View, to: int) -> View:
    places = [at for at, item in enumerate(view.all) if isinstance(item, Asked) and not item.steer]
    kept = view.all[: places[to]] if 0 <= to < len(places) else view.all
    return replace(view, talk=view.talk + 1, past=kept, items=(), plan=(), used=0)


def _reading(view: View, event: PrefillProgress, at: float) -> View:
    before = view.reading
    goes_on = before is not None and before.total == event.total and event.done >= before.done
    first, since = (before.first, before.since) if goes_on and before is not None else (event.done, at)
    return replace(view, phase="reading", reading=Reading(event.done, event.total, first, since))


def _saying(view: View, grow: Callable[[Said], Said]) -> View:
    last = view.items[-1] if view.items else None
    if isinstance(last, Said) and last.live:
        return replace(view, items=(*view.items[:-1], grow(last)))
    return replace(view, items=(*view.items, grow(Said(live=True))))


def _message(view: View, event: MessageDone) -> View:
    items, message = view.items, event.message
    if items and isinstance(items[-1], Said) and items[-1].live:
        items = items[:-1]
    if message.text.strip() or message.thinking.strip():
        items = (*items, Said(message.text, message.thinking))
    items = tuple(map(_settled, items)) if event.by else items
    used = event.usage.input_tokens + event.usage.output_tokens
    took = event.timings.decode_ms / 1000
    speed = event.usage.output_tokens / took if took > 0 and event.usage.output_tokens > 1 else view.speed
    return replace(view, items=items, used=used or view.used, speed=speed, reading=None, phase="answering")


ToolEvent = ToolStarted | ToolOutput | ApprovalAsked | ApprovalGiven | ChangesCommitted | ToolFinished


def _tool_event(view: View, event: ToolEvent, at: float) -> View:
    match event:
        case ToolStarted():
            running = _with_tool(view, event.call, lambda tool: replace(tool, call=event.call, state="running"), at)
            return replace(running, phase="tool")
        case ToolOutput():
            return _on_tool(view, event.call_id, lambda tool: replace(tool, output=_kept(tool.output + event.text)))
        case ApprovalAsked():
            asking = _with_tool(
                view,
                event.call,
                lambda tool: replace(tool, state="asking", reason=event.decision.reason, changes=event.changes),
                at,
            )
            return replace(asking, phase="asking", questions=view.questions + 1)
        case ApprovalGiven():
            state: ToolState = "running" if event.answer.verdict == "allow" else "denied"
            return replace(_on_tool(view, event.call_id, lambda tool: replace(tool, state=state)), phase="tool")
        case ChangesCommitted():
            return _on_tool(view, event.call_id, lambda tool: replace(tool, step=event.step, changes=event.changes))
        case ToolFinished():
            done = _with_tool(view, event.call, lambda tool: _finished(tool, event), at)
            return replace(done, phase="answering" if done.phase != "idle" else "idle")


def _beside(view: View, event: DiffsRead | OwnCommand | FilesChanged) -> View:
    """What is no event of the session."""
    match event:
        case DiffsRead():
            return _on_tool(view, event.call_id, lambda tool: replace(tool, diffs=event.diffs))
        case OwnCommand():
            return _own(view, event)
        case FilesChanged():
            return replace(view, past=outdated.marked(view.past, event), items=outdated.marked(view.items, event))
        case _:
            assert_never(event)


def _finished(tool: Tool, event: ToolFinished) -> Tool:
    result = event.result
    changes = tool.changes if tool.step else result.requests
    return replace(
        tool,
        call=event.call,
        state=result.status,
        seconds=event.seconds,
        told=plain_output(result.text),
        exit_code=_exit_code(result),
        changes=changes,
        spill=result.spill or "",
    )


def _exit_code(result: ToolResult) -> int | None:
    codes = [receipt.data.get("exit_code") for receipt in result.receipts if receipt.kind == "ran"]
    return codes[-1] if codes and isinstance(codes[-1], int) else None


def _kept(output: str) -> str:
    return output if len(output) <= OUTPUT_KEPT else output[-OUTPUT_KEPT:].partition("\n")[2]


def _with_tool(view: View, call: ToolCall, change: Callable[[Tool], Tool], at: float) -> View:
    """The call's item changed; made first where it has none."""
    if not any(isinstance(item, Tool) and item.call.id == call.id for item in view.items):
        view = replace(view, items=(*view.items, Tool(call, "running", at)))
    return _on_tool(view, call.id, change)


def _on_tool(view: View, call_id: str, change: Callable[[Tool], Tool]) -> View:
    return _changed(view, lambda item: isinstance(item, Tool) and item.call.id == call_id, change)  # type: ignore[arg-type]


def _changed(view: View, wanted: Callable[[Item], bool], change: Callable[[Item], Item]) -> View:
    """The newest item of this turn that is wanted, changed."""
    items = view.items
    for index in range(len(items) - 1, -1, -1):
        if wanted(items[index]):
            return replace(view, items=(*items[:index], change(items[index]), *items[index + 1 :]))
    return view


def _ended(view: View, event: TurnEnded, at: float) -> View:
    items = tuple(map(_closed, view.items))
    error = event.error.message if event.error is not None else ""
    took = at - view.began if view.busy else 0.0
    if view.plan:
        items = (*items, Planned(view.plan))
    items = (*items, Ended(event.status, error, event.receipts, took, event.checks))
    return replace(view, items=items, phase="idle", reading=None, plan=())


def _settled(item: Item) -> Item:
    """Another model has answered: that it was asked is over."""
    over = isinstance(item, Tool) and item.state == "running" and item.call.name == BIGGER
    return replace(item, state="ok") if over else item  # type: ignore[type-var]


def _closed(item: Item) -> Item:
    if isinstance(item, Said) and item.live:
        return replace(item, live=False)
    if isinstance(item, Tool) and item.state in ("asking", "running"):
        return replace(item, state="cancelled")
    return item


def _own(view: View, event: OwnCommand) -> View:
    found = next((item for item in view.items if isinstance(item, Own) and item.code is None), None)
    if found is None:
        begun = Own(event.command, _kept(event.output), event.code, event.seconds)
        return replace(view, items=(*view.items, begun))
    output = _kept(found.output + event.output)
    grown = replace(found, output=output, code=event.code, seconds=event.seconds)
    return _changed(view, lambda item: item is found, lambda _: grown)


def replayed(events: Iterable[Event]) -> View:
    """The view of a stored session: whole messages, nothing in progress."""
    view, earlier, tally = View(), [], Tally()
    for event in events:
        if isinstance(event, TurnStarted):
            # One turn at a time: the cost must not grow with all that came before.
            view = _settled(view, tally)
            earlier += view.items
            view, tally = replace(view, items=()), Tally()
        if isinstance(event, Rewound):
            view = reduce(replace(_settled(view, tally), past=tuple(earlier)), event, 0.0)
            earlier, view = list(view.past), replace(view, past=())
            continue
        tally.note(event)
        view = reduce(view, event, 0.0)
    last = _settled(view, tally)
    return replace(last, past=tuple(earlier))


def _settled(view: View, tally: Tally) -> View:
    """A turn that was cut off: `tally` knows what it had done until then."""
    return _ended(view, tally.ended("cancelled"), 0.0) if view.busy else view
