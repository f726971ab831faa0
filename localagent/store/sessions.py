"""The stored sessions, newest first: what was asked in each, where, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..events import TurnEnded, TurnStarted
from .transcript import Transcript, sessions_dir


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    folder: str
    goal: str
    status: str


def rows(limit: int) -> Iterator[Row]:
    """The newest `limit` sessions in which anything was asked."""
    folder = sessions_dir()
    names = sorted((p.name for p in folder.iterdir()), reverse=True) if folder.is_dir() else []
    for name in names[:limit]:
        started, ended = None, None
        for event in Transcript(name).read():
            if isinstance(event, TurnStarted):
                started, ended = started or event, None
            elif isinstance(event, TurnEnded):
                ended = event
        if started is not None:
            goal = " ".join(started.message.text.split())
            yield Row(name, started.folder, goal, ended.status if ended else "cut off")
