"""What a turn has cost and done so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..events import (
    ApprovalAsked,
    ChangesCommitted,
    Compacted,
    Event,
    MessageDone,
    TakenBack,
    ToolFinished,
    TurnEnded,
    TurnStatus,
)
from ..values import Change, Checked, Failure, Receipt, Timings, Usage


def receipt(change: Change) -> Receipt:
    """What is said of a change once it is committed."""
    data = {"op": change.kind, "path": change.path}
    return Receipt("changed", data if change.dest is None else {**data, "dest": change.dest})


@dataclass(slots=True)
class Tally:
    """`denied` holds the rules that were missing; `broken` says that the last deed failed; `followed` are the skills that were shown.
    `by` are the models other than the session's own that have answered.
    """

    turns: int = 0
    calls: int = 0
    questions: int = 0
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    receipts: list[Receipt] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)
    final: str = ""
    conclude: bool = False
    broken: bool = False
    followed: set[str] = field(default_factory=set)
    by: dict[str, None] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything on the disk has changed."""
        return any(receipt.kind in ("changed", "remembered") for receipt in self.receipts)

    @property
    def did(self) -> bool:
        """Whether anything was changed, run or sent."""
        return any(receipt.kind not in ("reached", "undone") for receipt in self.receipts)

    def note(self, event: Event) -> None:
        match event:
            case MessageDone():
                self.turns += 1
                self.usage += event.usage
                self.timings += event.timings
                self.by |= {event.by: None} if event.by else {}
            case Compacted():
                self.usage += event.usage
                self.timings += event.timings
            case ApprovalAsked():
                self.questions += 1
            case ChangesCommitted():
                self.receipts.extend(receipt(change) for change in event.changes)
            case ToolFinished():
                self.receipts.extend(r for r in event.result.receipts if r.kind != "changed")
            case TakenBack():
                data = {"step": event.step, "files": event.files, "again": event.again}
                self.receipts.append(Receipt("undone", data))
            case _:
                pass

    def ended(self, status: TurnStatus, error: Failure | None = None) -> TurnEnded:
        return TurnEnded(
            status,
            self.final,
            error,
            tuple(self.receipts),
            tuple(dict.fromkeys(self.denied)),
            self.usage,
            self.timings,
            self.turns,
            self.questions,
            tuple(self.checks),
            tuple(self.by),
        )
