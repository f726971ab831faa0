"""Which step `undo` and `redo` mean, and the part of one that is about a single path."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..errors import StoreError
from ..values import Change
from .apply import Roots, conflicts, where
from .files import remove_tree
from .steps import Op, Record, Steps


def choose(steps: Steps, number: int | None, state: str, word: str, within: Path | str | None) -> Record:
    """The step of that number, else the latest in `state` of those that changed something in `within`.

    Raises StoreError where there is none, or none that can be undone (redone: `word`).
    """
    if number is not None:
        record = steps.load(number)
        if record.state == "expired":
            raise StoreError(f"Step {number} is too old to {word}: what it needs was dropped to save space.")
        if record.state != state and not (record.state == "stuck" and word == "undo"):
            raise StoreError(f"There is nothing to {word}: step {number} is {record.state}.")
        return record
    found = [record for record in steps.records() if record.state == state]
    if not found:
        raise StoreError(f"There is nothing to {word}.")
    found.sort(key=lambda r: r.step.number if word == "undo" else r.turned)
    if within is None:
        return found[-1]
    here = [record for record in found if record.step.touches(within)]
    if not here:
        last = found[-1].step
        raise StoreError(
            f"There is nothing to {word} in {within}: the latest step, {last.number} ({last.name}), "
            f"changed {last.folder}.",
            f"Use: localagent {word} --step {last.number}",
        )
    return here[-1]


def about(steps: Steps, path: str, number: int | None, state: str, word: str, force: bool = False) -> Record:
    """The latest step in `state` (or that one) that changed `path`, without what it did elsewhere.

    The two become steps of their own, unless something stands in the way of it (see `conflicts`).
    Raises StoreError where no step changed it, or only together with the folder that holds it.
    """
    plain = os.path.abspath(path)
    real = os.path.join(os.path.realpath(os.path.dirname(plain)), os.path.basename(plain))
    if number is None:
        found = [record for record in steps.records() if record.state == state and record.step.concerns(real)]
        if not found:
            raise StoreError(
                f"There is nothing to {word}: no step has changed {plain}.", "List them: localagent changes"
            )
        found.sort(key=lambda r: r.step.number if word == "undo" else r.turned)
        record = found[-1]
    else:
        record = choose(steps, number, state, word, None)
        if record.state != state or not record.step.concerns(real):
            raise StoreError(f"Step {record.step.number} ({record.step.name}) has not changed {plain}.")
    paths = _together(record, real)
    ops = [op for op in record.ops if any(_at(place, paths) for place in _places(op))]
    if not ops:
        above = next((where(op) for op in record.ops if real.startswith(where(op) + "/")), record.step.folder)
        raise StoreError(
            f"Step {record.step.number} ({record.step.name}) changed {above} as a whole, not {plain} alone.",
            f"Use: localagent {word} --step {record.step.number} --file {above}",
        )
    if len(ops) == len(record.ops):
        return record
    with Roots() as roots:
        blocked = conflicts(ops, roots, redo=word == "redo")
    if blocked and not (force and any(not op.skipped and i not in blocked for i, op in enumerate(ops))):
        return Record(record.step, ops, state=record.state)
    return _split(steps, record, ops, paths, plain)


def _together(record: Record, real: str) -> set[str]:
    """The path, and where it was moved from or to in the same step: half a move is none."""
    paths = {real}
    for _ in record.step.changes:
        size = len(paths)
        for change in record.step.changes:
            if change.kind == "move" and change.dest and any(_at(_real(p), paths) for p in (change.path, change.dest)):
                paths |= {_real(change.path), _real(change.dest)}
        if len(paths) == size:
            break
    return paths


def _real(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _at(place: str, paths: set[str]) -> bool:
    return any(place == path or place.startswith(path + "/") for path in paths)


def _places(op: Op) -> list[str]:
    return [where(op), *([os.path.join(op.dest_root, op.dest)] if op.kind == "move" else [])]


def _split(steps: Steps, record: Record, ops: list[Op], paths: set[str], named: str) -> Record:
    """Make a step of its own of `ops`. Broken off at any moment, each operation is in one of the two."""

    def concerned(change: Change) -> bool:
        return any(_at(_real(path), paths) for path in (change.path, change.dest) if path)

    number = max(steps.numbers()) + 1
    step = replace(
        record.step,
        number=number,
        label=f"{record.step.label} (only {os.path.basename(named)})",
        changes=tuple(change for change in record.step.changes if concerned(change)),
    )
    state = record.state
    part = Record(step, ops, state="splitting", turned=record.turned, origin=record.step.number)
    steps.place(number).mkdir(mode=0o700, parents=True)
    steps.save(part)
    record.ops = [op for op in record.ops if op not in ops]
    rest = tuple(change for change in record.step.changes if not concerned(change))
    record.step = replace(record.step, changes=rest)
    steps.save(record, ends=False)
    part.state = state
    steps.save(part)
    return part


def settle(steps: Steps, part: Record) -> bool:
    """After a crash: the part is a step where its origin has let go of it, else it is dropped (False)."""
    try:
        origin = steps.load(part.origin)
    except StoreError:
        origin = Record(part.step)
    if any(op in origin.ops for op in part.ops):
        remove_tree(str(steps.place(part.step.number)))
        steps.active.unlink(missing_ok=True)
        return False
    part.state = "undone" if origin.state == "undone" else "done"
    steps.save(part)
    return True
