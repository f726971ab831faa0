"""One file as it was before a step, put over whatever is there now; that is a step of its own.

`Journal.undo` takes a step back exactly and stops where somebody changed the file since. This
is for the person who has seen that and wants the earlier content all the same.
"""

from __future__ import annotations

import os
import stat

from ..errors import StoreError
from ..values import Change
from .apply import where
from .copying import sha256
from .fingerprint import fingerprint
from .journal import Journal, reach
from .steps import Op, Record, Step, Steps


def restore(journal: Journal, path: str | os.PathLike[str], number: int | None = None, *, session: str = "") -> Step:
    """Have the file at `path` as it was before step `number` (None: the latest step that changed it).

    What is there now is kept by the journal like anything that is replaced, so the new step can be undone.
    Raises StoreError where the earlier content is gone, was no file, or is there already; Conflict where
    the file changes in this very moment. Nothing is changed then.
    """
    plain = os.path.abspath(path)
    place = os.path.join(os.path.realpath(os.path.dirname(plain)), os.path.basename(plain))
    record, op = _found(Steps(journal.folder), place, number)
    change = _change(op, place, record)
    label = f"{os.path.basename(place)} as it was before step {record.step.number}"
    roots = reach((change,), os.path.dirname(place))
    return journal.commit((change,), roots, session=session, call="restore", label=label)


def _found(steps: Steps, place: str, number: int | None) -> tuple[Record, Op]:
    records = (record for record in steps.records() if record.state == "done") if number is None else (steps.load(number),)
    for record in records:
        op = next((op for op in record.ops if not op.skipped and op.kind in ("put", "take") and where(op) == place), None)
        if op is not None:
            if record.state != "done":
                raise StoreError(f"Step {record.step.number} is {record.state}.", "List them with: localagent changes")
            return record, op
    told = "No step" if number is None else f"Step {number} has not written or deleted {place} itself; no step"
    raise StoreError(f"{told} can give back {place} alone.", f"List them with: localagent changes --file {place}")


def _change(op: Op, place: str, record: Record) -> Change:
    number = record.step.number
    if op.before is None:
        now = fingerprint(place)
        if now is None:
            raise StoreError(f"{place} was not there before step {number}, and is not there now.")
        return Change("trash", place, before=now)
    if op.before.kind != "file":
        raise StoreError(f"{place} was no plain file before step {number}.", f"Use: localagent undo --step {number}")
    try:
        info = os.lstat(op.kept)
    except OSError:
        raise StoreError(f"What {place} held before step {number} is not kept any more.") from None
    if not stat.S_ISREG(info.st_mode):
        raise StoreError(f"What is kept of {place} is no plain file.")
    after, now = sha256(op.kept), _now(place)
    # The trash is open to everybody: what lies there need not be what was put there.
    facts = (op.before.size, op.before.mtime_ns)
    same = after == op.before.sha256 if op.before.sha256 else facts == (info.st_size, info.st_mtime_ns)
    if not same:
        raise StoreError(f"What is kept of {place} is not what it held before step {number}.")
    if now == after:
        raise StoreError(f"{place} already holds what it held before step {number}.")
    mode, size = stat.S_IMODE(info.st_mode), info.st_size
    return Change("write", place, content=op.kept, before=now, after=after, size=size, mode=mode, mtime_ns=info.st_mtime_ns)


def _now(place: str) -> str:
    if os.path.islink(place) or os.path.isdir(place):
        raise StoreError(f"{place} is a {'link' if os.path.islink(place) else 'folder'} now.", "Move it away first.")
    return fingerprint(place) or ""
