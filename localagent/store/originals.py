"""Where the text before and after a step can be read, as long as the journal keeps it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .steps import Steps


@dataclass(frozen=True, slots=True)
class Pair:
    """One file that a step wrote: `before` and `after` are files to read, None where there was none.

    After a later change of the file, `after` holds that.
    """

    path: str
    before: str | None
    after: str | None


def pairs(journal: Path, number: int) -> list[Pair]:
    """The files that step `number` wrote. Raises StoreError where there is no such step or its record is damaged."""
    record = Steps(journal).load(number)
    found = []
    for op in record.ops:
        if op.kind != "put" or op.skipped:
            continue
        path = os.path.join(op.root, op.path)
        undone = record.state == "undone"
        before, after = (path if op.before else None, op.undone) if undone else (op.kept if op.before else None, path)
        found.append(Pair(path, _here(before), _here(after)))
    return found


def _here(path: str | None) -> str | None:
    return path if path and os.path.isfile(path) and not os.path.islink(path) else None
