"""What `do` is asked: the goal's words, what comes through a pipe beside them, and pictures."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import argparse

    from ..agent.session import Session
    from ..store.settings import Settings
    from ..values import Part


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


def check_images(args: argparse.Namespace, chosen: Settings) -> None:
    """What can be wrong with `--image`, found before anything is loaded. Raises ModelError and UsageError."""
    if args.image:
        from ..agent import pictures
        from ..engine import catalogue, models

        pictures.check(args.image, models.chosen(chosen, args.model, catalogue.load()), Path.cwd())


async def images(args: argparse.Namespace, session: Session) -> tuple[Part, ...]:
    """The pictures of `--image`, kept in the session's folder; the session is closed where one cannot be shown."""
    from ..agent import pictures
    from ..store import picture

    try:
        return await pictures.take(args.image, Path.cwd(), picture.folder(session.transcript.spill))
    except BaseException:
        await session.setting.registry.aclose()
        await session.close()
        raise
