"""`localagent sessions`: what was asked before, newest first."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ..agent import shown
from ..events import TurnEnded, TurnStarted
from ..store.transcript import Transcript, sessions_dir


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    folder: str
    goal: str
    status: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-n", type=int, default=20, metavar="N", help="how many at most (20)")


def run(args: argparse.Namespace) -> int:
    rows = list(_rows(args.n))
    if args.json:
        json.dump([asdict(row) for row in rows], sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    if not rows:
        print('No sessions yet. Start one with: localagent do "..."')
    for row in rows:
        goal, folder = shown.visible(row.goal[:70], lines=False), shown.visible(row.folder, lines=False)
        print(f"{row.id}  {row.status:9}  {goal}  ({folder})")
    return 0


def _rows(limit: int) -> Iterator[Row]:
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
