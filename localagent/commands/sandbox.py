"""`localagent sandbox`: which boundary holds programs here, and why; `--verify` attacks it and prints what held."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from ..sandbox import launch
from ..sandbox.attacks import verify
from ..sandbox.attacks.values import Outcome

_MARKS = {"held": "held     ", "through": "THROUGH  ", "idle": "no matter"}
_TOLD = {
    "bubblewrap": "bubblewrap: no network, secrets hidden, everything else read-only, nothing outlives its call",
    "landlock": "Landlock and a system-call filter (reduced): no network, no sockets, secrets closed, nothing outlives its call",
    "seatbelt": "Seatbelt (reduced): no network, secrets closed, everything else read-only",
    "none": "none: every effect asks first",
}
_LESS = (
    "Reduced means: permissions of your own files can be changed, existing hooks of a workspace opened for writing too."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verify", action="store_true", help="attack the sandbox of this machine and print what held")
    parser.add_argument("--json", action="store_true", help="the same as one JSON document")


def run(args: argparse.Namespace) -> int:
    facts = launch.facts()
    if not args.json:
        for line in _lines(facts):
            print(line)
    if not args.verify:
        if args.json:
            json.dump(asdict(facts), sys.stdout, ensure_ascii=False, indent=1)
            print()
        return 0
    outcomes = asyncio.run(_attacked(args.json))
    through = [outcome for outcome in outcomes if outcome.verdict == "through"]
    if args.json:
        _document(facts, outcomes)
    else:
        held = sum(outcome.verdict == "held" for outcome in outcomes)
        idle = len(outcomes) - held - len(through)
        print(f"\n{held} attacks held, {len(through)} got through, {idle} do not work on this machine anyway.")
    return 1 if through or not outcomes else 0


def _lines(facts: launch.Facts) -> list[str]:
    lines = [_TOLD[facts.name]]
    if facts.version:
        lines.append(f"{facts.program} {facts.version}")
    if facts.reason:
        lines.append(f"{'Why not more' if facts.name != 'none' else 'Why'}: {facts.reason} {facts.hint}".rstrip())
    return [*lines, _LESS] if facts.name == "landlock" else lines


async def _attacked(quiet: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    group = ""
    async for outcome in verify.verify():
        outcomes.append(outcome)
        if quiet:
            continue
        if outcome.attack.group != group:
            group = outcome.attack.group
            print(f"\n{group}")
        print(f"  {_MARKS[outcome.verdict]}  {outcome.attack.name}", flush=True)
    return outcomes


def _document(facts: launch.Facts, outcomes: list[Outcome]) -> None:
    attacks = [{"name": o.attack.name, "group": o.attack.group, "verdict": o.verdict} for o in outcomes]
    ok = bool(outcomes) and all(o.verdict != "through" for o in outcomes)
    json.dump({"ok": ok, **asdict(facts), "attacks": attacks}, sys.stdout, ensure_ascii=False, indent=1)
    print()
