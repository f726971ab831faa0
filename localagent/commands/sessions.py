"""`localagent sessions`: what was asked before, newest first."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from ..agent import shown
from ..store import sessions


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-n", type=int, default=20, metavar="N", help="how many at most (20)")


def run(args: argparse.Namespace) -> int:
    rows = list(sessions.rows(args.n))
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
