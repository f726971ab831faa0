"""The files of one step, each with what it held before and right after it, as far as that is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .apply import where
from .steps import Op, Record, Steps

Kind = Literal["created", "changed", "deleted", "moved", "folder", "permissions"]


@dataclass(frozen=True, slots=True)
class StepFile:
    """`before` and `after` are files to read, None where there was none, or where it is not kept (`lost`).

    `later` are the numbers of later steps that touched it too; `dest` is where a moved one went.
    """

    path: str
    kind: Kind
    before: str | None = None
    after: str | None = None
    lost: bool = False
    later: tuple[int, ...] = ()
    dest: str = ""

    @property
    def text(self) -> bool:
        """Whether there may be a text to show."""
        return self.kind in ("created", "changed", "deleted") and not self.lost


def files(journal: Path, number: int) -> list[StepFile]:
    """Raises StoreError where there is no such step, or its record is damaged."""
    steps = Steps(journal)
    record = steps.load(number)
    wanted = {where(op) for op in record.ops}
    later = _later(steps, number, wanted)
    return [_file(op, record, later.get(where(op), [])) for op in record.ops if not op.skipped]


def _later(steps: Steps, number: int, wanted: set[str]) -> dict[str, list[tuple[int, Op]]]:
    """What later steps that stand did at the same paths, earliest first."""
    found: dict[str, list[tuple[int, Op]]] = {}
    for record in steps.records():
        if record.step.number <= number:
            break
        if record.state == "done":
            for op in record.ops:
                if not op.skipped and where(op) in wanted:
                    found.setdefault(where(op), []).insert(0, (record.step.number, op))
    return found


def _file(op: Op, record: Record, later: list[tuple[int, Op]]) -> StepFile:
    path, undone = where(op), record.state == "undone"
    numbers = tuple(number for number, _ in later)
    # What the next step found there is what this one left behind.
    left = next((other.kept for _, other in later if other.kind in ("put", "take")), path)
    match op.kind:
        case "put":
            had = op.before is not None
            before = _here(path if undone else op.kept) if had else None
            after = _here(op.undone if undone else left)
            lost = (had and before is None) or after is None
            return StepFile(path, "changed" if had else "created", before, after, lost, numbers)
        case "take":
            before = _here(path if undone else op.kept)
            return StepFile(path, "deleted", before, None, before is None, numbers)
        case "move":
            return StepFile(path, "moved", later=numbers, dest=os.path.join(op.dest_root, op.dest))
        case "mkdir":
            return StepFile(path, "folder", later=numbers)
        case _:
            return StepFile(path, "permissions", later=numbers)


def _here(path: str) -> str | None:
    return path if os.path.isfile(path) and not os.path.islink(path) else None
