"""The past-tense verbs of a session: one union, one JSON form.

History is these events; the transcript on disk, `do --output-format stream-json`
and every screen read the same lines. `to_json` leaves out what is not plain
(generated token ids live beside the transcript).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from . import forms
from .values import (
    Answer,
    Change,
    Checked,
    Decision,
    Failure,
    Message,
    PlanItem,
    Proposal,
    Receipt,
    Timings,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The user's message opened a turn. `at` is seconds since the epoch.

    `surroundings` is what the host told the model about the place (folder, what lies in it), `marks` what the
    session has seen with them (see `policy.marks`), `seen` the files of which they show something (see `ToolFinished`).
    """

    session_id: str
    message: Message
    model: str
    mode: str
    folder: str
    at: float
    surroundings: str = ""
    marks: tuple[str, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineProgress:
    """The answer has not begun.

    `what` is `loading` (the model, `fraction` of it is there), `queued` (`before` other answers
    come first) or `waiting` (for the memory of a model that is busy).
    """

    what: Literal["loading", "queued", "waiting"]
    fraction: float = 0.0
    before: int = 0


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """`done` of `total` prompt tokens are in the engine, `cached` of them without work."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str


StopReason = Literal["end", "stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class MessageDone:
    """One whole message of the model. `repairs` says what the parser had to mend; `cut` calls must not run.

    `by` names the model where it was another than the session's own.
    """

    message: Message
    usage: Usage = Usage()
    timings: Timings = Timings()
    stop: StopReason = "end"
    repairs: tuple[str, ...] = ()
    cut: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class PlanUpdated:
    """The model's plan as it is now, by the call `call_id`."""

    items: tuple[PlanItem, ...]
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    call: ToolCall
    decision: Decision


@dataclass(frozen=True, slots=True)
class ToolOutput:
    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    call: ToolCall
    decision: Decision
    changes: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    call_id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class ChangesCommitted:
    """The journal's step `step` now holds these changes; `localagent undo` takes them back."""

    call_id: str
    step: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """`seconds` is without the time that a person took to answer; `marks` what the session has seen with this result
    (see `policy.marks`).

    `seen` names the files that it showed the model: absolute path -> what was there (see `store.sighting`).
    """

    call: ToolCall
    result: ToolResult
    seconds: float = 0.0
    marks: tuple[str, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the person, not for the model."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


TurnStatus = Literal["done", "failed", "time", "budget", "denied", "cancelled"]


@dataclass(frozen=True, slots=True)
class Nudged:
    """The host's own word to the model in the middle of a turn; it stands in the history under role `host`.

    `files` are those it says were changed by others: absolute path -> what is there now (see `agent.reads`). `marks` is what the
    session has seen with it (see `policy.marks`).
    """

    text: str
    files: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolsOffered:
    """Tools that no request begins with were shown to the model, and can be called from now on.

    `tools` are as it was shown them: shorter than they are. `changed` names those of them that were shown otherwise before.
    With a `call_id` they stand in the result of that call, else in a message of their own.
    """

    tools: tuple[ToolSpec, ...]
    changed: tuple[str, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Supplied:
    """The host's word beside a request, in the history under role `host`. `items` are the files of all instructions that count now, each
    with a print, or the entries that are told, by their ids. `marks` is as in `Nudged`.
    """

    kind: Literal["instructions", "remembered"]
    text: str
    items: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steered:
    """The person's own words in the middle of a turn, given to the model before its next answer.

    `message` has role `steer`; `surroundings` and `marks` are as in `TurnStarted`.
    """

    message: Message
    surroundings: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The person has undone a step of the journal, or with `again` put it back; the model is told.

    `paths` are the first of its `files` changed paths, absolute.
    """

    step: int
    paths: tuple[str, ...] = ()
    files: int = 0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Rewound:
    """The conversation goes on behind its first `to` requests; what came after them is no part of it any more.

    `paths` (absolute) are the first of the `files` that were changed after that point and stay so.
    """

    to: int
    paths: tuple[str, ...] = ()
    files: int = 0


@dataclass(frozen=True, slots=True)
class Compacted:
    """What the model is shown of the conversation was shortened to fit; the history itself stays whole.

    Its first `upto` messages are shown as the one `text` (0: no more of them than before), behind which the one numbered `request`
    is repeated (-1: none), and the results of some calls as `results` says: call id -> text. `before` and `after` are the tokens
    of the prompt, of `context`; they are `exact` where the engine can count. `requests` is how many of the person's words are not
    shown any more. `asked`: the person wanted it. `usage` and `timings` are those of the summary, `seconds` what reading the new
    beginning is likely to take (0: not known).
    """

    upto: int = 0
    text: str = ""
    request: int = -1
    results: Mapping[str, str] = field(default_factory=dict)
    before: int = 0
    after: int = 0
    context: int = 0
    exact: bool = True
    requests: int = 0
    asked: bool = False
    usage: Usage = Usage()
    timings: Timings = Timings()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over. `denied` lists what was refused for want of a person, as `--allow` rules; "" where no rule would do.

    `questions` is how often a person was asked, or would have been. `checks` are those of the plan and the user's own, as they were
    found at the end; `by` names the models that have answered beside the session's own.
    """

    status: TurnStatus
    final: str = ""
    error: Failure | None = None
    receipts: tuple[Receipt, ...] = ()
    denied: tuple[str, ...] = ()
    usage: Usage = Usage()
    timings: Timings = Timings()
    turns: int = 0
    questions: int = 0
    checks: tuple[Checked, ...] = ()
    by: tuple[str, ...] = ()


Event = (
    TurnStarted
    | EngineProgress
    | PrefillProgress
    | TextDelta
    | ThinkingDelta
    | MessageDone
    | PlanUpdated
    | ToolStarted
    | ToolOutput
    | ApprovalAsked
    | ApprovalGiven
    | ChangesCommitted
    | ToolFinished
    | Notice
    | Nudged
    | ToolsOffered
    | Supplied
    | Steered
    | TakenBack
    | Rewound
    | Compacted
    | TurnEnded
)

_EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain JSON values, with its kind under `event`."""
    return {"event": type(event).__name__, **forms.plain(event)}


def from_json(line: Mapping[str, Any]) -> Event:
    """The event that `to_json` wrote. Raises ValueError for an unknown kind; unknown fields are dropped."""
    kind = _EVENTS.get(str(line.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {line.get('event')!r}")
    return forms.build(kind, line)


forms.NESTED |= {
    (TurnStarted, "message"): Message,
    (MessageDone, "message"): Message,
    (MessageDone, "usage"): Usage,
    (MessageDone, "timings"): Timings,
    (TurnStarted, "seen"): "texts",
    (PlanUpdated, "items"): (PlanItem,),
    (PlanItem, "checks"): (Checked,),
    (Steered, "message"): Message,
    (ToolStarted, "call"): ToolCall,
    (ToolStarted, "decision"): Decision,
    (ApprovalAsked, "call"): ToolCall,
    (ApprovalAsked, "decision"): Decision,
    (ApprovalAsked, "changes"): "proposals",
    (ApprovalGiven, "answer"): Answer,
    (ChangesCommitted, "changes"): (Change,),
    (ToolFinished, "call"): ToolCall,
    (ToolFinished, "result"): ToolResult,
    (ToolFinished, "seen"): "texts",
    (Nudged, "files"): "texts",
    (Supplied, "items"): "texts",
    (ToolsOffered, "tools"): (ToolSpec,),
    (Compacted, "results"): "texts",
    (Compacted, "usage"): Usage,
    (Compacted, "timings"): Timings,
    (TurnEnded, "error"): Failure,
    (TurnEnded, "receipts"): (Receipt,),
    (TurnEnded, "checks"): (Checked,),
    (TurnEnded, "usage"): Usage,
    (TurnEnded, "timings"): Timings,
}
