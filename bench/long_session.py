"""A long session with a real model: what each turn costs, whether a wish said in the first is kept, and whether anything overflows.

    python -m bench.long_session --model starter --context 4096 --turns 10 [--session ID] [--json]

Prints a line a turn: tokens evaluated, tokens in the context, seconds, whether the wish was kept, and what was shortened. With
`--session` it goes on with one begun before, so that forty turns can be run in pieces. Exit code 1 where anything overflowed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from localagent import headless, wiring
from localagent.agent.session import Session
from localagent.commands import arguments, pulling
from localagent.events import Compacted, MessageDone, TurnEnded
from localagent.store import settings, transcript

MARK = "ROGER"
WISH = f"From now on always end every answer with the word {MARK}. Answer now with one short sentence: what is the capital of France?"
ASKED = (
    "Read notes-{n}.txt and tell me its first line.",
    "How many lines does notes-{n}.txt have?",
    "What is {n} plus 17?",
    "Which word comes after 'alpha' in notes-{n}.txt?",
)


def goal(n: int) -> str:
    return WISH if n == 1 else ASKED[n % len(ASKED)].format(n=n)


def fill(folder: Path, turns: int) -> None:
    for n in range(1, turns + 60):
        lines = [f"note {n}", f"alpha beta-{n}", *(f"line {k} of note {n}: nothing of interest here" for k in range(30))]
        (folder / f"notes-{n}.txt").write_text("\n".join(lines) + "\n")


async def turn(session: Session, n: int) -> dict[str, Any]:
    began, new, short, ended = time.monotonic(), [0, 0], [], None
    async for event in session.send(goal(n), headless.deny_all):
        if isinstance(event, MessageDone):
            new = [new[0] + event.usage.input_tokens - event.usage.cached_tokens, event.usage.input_tokens + event.usage.output_tokens]
        elif isinstance(event, Compacted):
            short.append([event.before, event.after, event.usage.output_tokens])
            new[0] += event.usage.input_tokens - event.usage.cached_tokens
        elif isinstance(event, TurnEnded):
            ended = event
    final = ended.final if ended else ""
    return {
        "turn": n, "evaluated": new[0], "context": new[1], "seconds": round(time.monotonic() - began, 1), "kept": MARK in final.upper(),
        "shown": any(WISH[:60] in m.text for m in session.talk.shown), "shortened": short,
        "status": ended.status if ended else "", "error": ended.error.message if ended and ended.error else "",
    }  # fmt: skip


async def run(given: argparse.Namespace) -> list[dict[str, Any]]:
    chosen = replace(settings.load(), context=given.context)
    folder = Path(given.folder or tempfile.mkdtemp(prefix="long-"))
    folder.mkdir(parents=True, exist_ok=True)
    fill(folder, given.turns)
    engine = wiring.chosen_engine(chosen, given.model, lambda entry, chosen: pulling.obtain(entry, chosen, pull=False, person=False))
    resume = ["--resume", transcript.find(given.session)] if given.session else []
    args = arguments.of_do(["-", "--cwd", str(folder), "--mode", "auto", "--max-turns", "6", *resume])
    session = await wiring.for_do(args, engine, chosen)
    told, until = [], time.monotonic() + given.seconds
    first = len(session.talk.requests) + 1
    for n in range(first, first + given.turns):
        if time.monotonic() > until:
            break
        told.append(await turn(session, n))
        if not given.json:
            print(json.dumps(told[-1]), flush=True)
    await session.setting.registry.aclose()
    await session.close()
    if not given.json:
        print(f"session {session.id} in {folder}")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--session", help="go on with this one")
    parser.add_argument("--folder", help="where it works (default: a new folder)")
    parser.add_argument("--seconds", type=float, default=350.0, help="begin no further turn after so many")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    told = asyncio.run(run(given))
    over = sum("context holds" in one["error"] for one in told)
    ends = {"turns": len(told), "kept": sum(one["kept"] for one in told), "shown": sum(one["shown"] for one in told), "overflows": over}
    print(json.dumps({"turns": told, **ends} if given.json else ends))
    return int(over > 0)


if __name__ == "__main__":
    raise SystemExit(main())
