"""One line a check: ok, or the problem and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@dataclass(frozen=True, slots=True)
class Check:
    """`state` is ok, note (works, could be better, or is not known) or problem; `fix` is what to do, "" when nothing."""

    name: str
    state: str
    text: str
    fix: str = ""


def show(check: Check, width: int = 8) -> None:
    """Print a check at once: the next one may take a while."""
    print(f"{_MARKS[check.state]}  {check.name:{width}}  {check.text}")
    if check.fix:
        print(f"{'':9}{'':{width}}  -> {check.fix}")
    sys.stdout.flush()


def code(checks: Iterable[Check]) -> int:
    """The exit code: 1 where there is a problem."""
    return int(any(check.state == "problem" for check in checks))
