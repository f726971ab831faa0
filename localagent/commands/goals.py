"""What `do` is asked: the goal's words, and what comes through a pipe beside them."""

from __future__ import annotations

import os
import stat
import sys

from ..errors import UsageError


def read(words: list[str]) -> tuple[str, str]:
    """The goal and the text piped in beside it."""
    piped = ""
    if not sys.stdin or sys.stdin.closed:
        pass
    elif words == ["-"]:
        goal = sys.stdin.read().strip()
        if not goal:
            raise UsageError("Standard input is empty.", 'Write the goal: localagent do "sort my downloads".')
        return goal, ""
    elif _is_pipe():
        piped = sys.stdin.read()
    goal = " ".join(words).strip()
    if not goal:
        raise UsageError("The goal is empty.", 'Write it: localagent do "sort my downloads".')
    return goal, piped


def _is_pipe() -> bool:
    """Whether stdin was given on purpose: a pipe or a file, and not a terminal, /dev/null or an idle socket."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
