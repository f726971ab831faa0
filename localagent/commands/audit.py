"""`localagent audit`: what was decided and done, and whether the record of it still holds together."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..agent.shown import visible
from ..store import audit

_FIXED = ("n", "at", "prev", "what")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["show", "verify"], default="show")
    parser.add_argument("--verify", action="store_true", help="follow the chain of hashes; 1 where it is broken")
    parser.add_argument(
        "--last", type=int, default=50, metavar="N", help="how many lines to show (default: 50, 0 for all)"
    )
    parser.add_argument("--session", metavar="ID", help="only the lines of one session")
    parser.add_argument("--json", action="store_true", help="JSON lines, or one JSON document for verify")


def run(args: argparse.Namespace) -> int:
    return _verify(args) if args.verify or args.action == "verify" else _show(args)


def _show(args: argparse.Namespace) -> int:
    found = (line for line in audit.read() if args.session is None or line.get("session") == args.session)
    kept = deque(found, maxlen=args.last if args.last > 0 else None)
    if not kept and not args.json:
        print("Nothing is recorded yet.")
    for line in kept:
        print(json.dumps(line, ensure_ascii=True) if args.json else _line(line))
    return 0


def _line(line: Mapping[str, Any]) -> str:
    at = line.get("at")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if isinstance(at, int | float) else "?"
    facts = " ".join(f"{key}={_short(value)}" for key, value in line.items() if key not in _FIXED and value != "")
    return visible(f"{line.get('n')}  {when}  {line.get('what')}  {facts}", lines=False)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text


def _verify(args: argparse.Namespace) -> int:
    checked = audit.verify()
    if args.json:
        made = {"ok": not checked.broken, "lines": checked.lines, "broken": checked.broken, "why": checked.why}
        print(json.dumps(made))
    elif checked.broken:
        told = f"localagent: the record is broken at line {checked.broken}: {checked.why}."
        print(f"{told} The {checked.lines} lines before it hold.", file=sys.stderr)
    else:
        print(f"The record holds: {checked.lines} lines{f'; {checked.why}' if checked.why else ''}.")
    return 1 if checked.broken else 0
