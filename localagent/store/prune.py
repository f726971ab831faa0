"""Forgets in time: originals that the journal keeps, and what calls of long ago left behind.

What is in the desktop's trash is the user's own and stays.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .files import remove_tree
from .steps import Record, Step, Steps

DAYS = 30
BYTES = 2 * 1024**3
"""How long, and how much in total, originals are kept in the journal."""

_EVERY_S = 3600.0
_YOUNG_S = 86_400.0


def due(folder: Path) -> bool:
    """Whether it is time to look at the journal in `folder` again; one system call."""
    try:
        return abs(time.time() - os.stat(folder / "pruned").st_mtime) > _EVERY_S
    except FileNotFoundError:
        return (folder / "steps").is_dir()


def used(steps: Steps) -> int:
    """How many bytes the originals take."""
    return sum(_size(steps, record) for record in steps.records())


def prune(folder: Path, steps: Steps, budget: int | None = None) -> list[int]:
    """Drop the originals of old steps, oldest first, until what is left is young enough and within `budget` bytes.

    The steps' numbers; they stay in the list as expired. Nothing of a step in flight or stuck is touched,
    nor of the newest session, nor of a step that was done or undone within a day, however large.
    """
    budget = BYTES if budget is None else budget
    (folder / "pruned").touch(mode=0o600)
    ended = [record for record in steps.records() if record.state in ("done", "undone", "expired")]
    for number in steps.numbers():
        # What a crash left of a step that never came to be.
        if not (steps.place(number) / "record.json").exists():
            sweep(steps.folder, steps.place(number).name)
    kept = [(record, size) for record in ended if (size := _size(steps, record))]
    total = sum(size for _, size in kept)
    now = time.time()
    newest = max((record.step for record in ended), key=lambda step: step.number, default=None)
    dropped = []
    for record, size in reversed(kept):
        family = [one for one in ended if _root(one, ended) == record.step.number]
        live = [one for one in family if one.state != "expired"]
        if live:
            age = now - max(max(one.step.at, one.turned) for one in live)
            if age < _YOUNG_S or any(newest and _same_session(one.step, newest) for one in live):
                continue
            if total <= budget and age < DAYS * 86_400:
                continue
        total -= size
        for one in live:
            one.state = "expired"
            one.step = replace(one.step, state="expired")
            steps.save(one)
        for path in _kept(steps, record):
            remove_tree(path)
        dropped.append(record.step.number)
    return dropped


def _root(record: Record, ended: Sequence[Record]) -> int:
    """The step in whose folder this one's originals are."""
    while record.origin and (above := next((one for one in ended if one.step.number == record.origin), None)):
        record = above
    return record.step.number


def _same_session(one: Step, two: Step) -> bool:
    return one.number == two.number or bool(one.session and one.session == two.session)


def _kept(steps: Steps, record: Record) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(steps.place(record.step.number)) as entries:
        return [entry.path for entry in entries if entry.name.startswith(("kept-", "undone-"))]
    return []


def _size(steps: Steps, record: Record) -> int:
    """Bytes on the disk, at least 1 where anything is kept."""
    total = 0
    pending = _kept(steps, record)
    while pending:
        path = pending.pop()
        with contextlib.suppress(OSError):
            total += os.lstat(path).st_blocks * 512 + 1
            if os.path.isdir(path) and not os.path.islink(path):
                pending += [entry.path for entry in os.scandir(path)]
    return total


def sweep(folder: Path, pattern: str, days: float = 1.0) -> None:
    """Remove what matches in `folder` and is older than that; what cannot be removed stays."""
    before = time.time() - days * 86_400
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                remove_tree(str(path))
