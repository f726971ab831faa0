"""Measure from which margin between tool names on a model is sure, for one model file.

    python bench/route.py --model starter --out margins.jsonl

The questions of BFCL's public split that offer two tools or more and have an answer are asked (`--dev N` adds N questions of each such
group that are not of that split). Each call's margin is taken as `localagent.engine.route` does; then a table says for each threshold
how many steps would be escalated, how many of these the model had wrong, and how many of the wrong ones that catches. Needs the engine
and `requirements-bfcl.txt`. The file of answers is resumed; without `--model` only the table is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import bfcl_data as data  # noqa: E402

THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
NEVER = ("irrelevance", "live_irrelevance", "live_relevance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="catalogue id or a GGUF file; without it only the table is printed")
    parser.add_argument("--out", required=True, type=Path, help="JSON lines, one a question; resumed")
    parser.add_argument("--dev", type=int, default=0, help="further questions of each group, none of the public split")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.model:
        with tempfile.TemporaryDirectory(prefix="route-") as runtime:
            os.environ["LOCALAGENT_RUNTIME_DIR"] = runtime
            asyncio.run(_ask(args))
    report(_read(args.out))


def chosen(dev: int, seed: int) -> list[str]:
    """Those with a choice between tools and a right answer."""
    listed = [*data.read_ids(data.PUBLIC), *(data.draw(dev, seed)["single"] if dev else [])]
    return [id for id in listed if data.group_of(id) not in NEVER and len(data.load(id).tools) > 1]


async def _ask(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from localagent import wiring
    from localagent.engine import local
    from localagent.store import settings

    engine: Any = wiring.chosen_engine(replace(settings.load(), threads=args.threads), args.model, _missing)
    done = {record["id"] for record in _read(args.out)}
    try:
        with args.out.open("a", encoding="utf-8") as out:
            for id in chosen(args.dev, args.seed):
                if id not in done:
                    out.write(json.dumps(await _asked(engine, id), ensure_ascii=False) + "\n")
                    out.flush()
    finally:
        await local.stop()


def _missing(entry: Any, chosen: Any) -> Any:
    raise SystemExit(f"route: {entry.id} is not here; `localagent model pull {entry.id}` fetches it.")


async def _asked(engine: Any, id: str) -> dict[str, Any]:
    """The margin of the first call of one question, and whether its name, and the whole answer, are right."""
    from localagent.engine.base import Logprobs, Options
    from localagent.engine.route import TOLD, margin
    from localagent.events import MessageDone
    from localagent.serve import requests

    item, began = data.load(id), time.monotonic()
    chat = requests.read({"messages": list(item.turns[0]), "tools": list(item.tools)})
    calls: Sequence[Any] = ()
    tokens: list[Any] = []
    async for delta in engine.stream(chat.messages, chat.specs, Options(tool_choice="required", max_tokens=400, logprobs=TOLD)):
        if isinstance(delta, Logprobs):
            tokens += delta.tokens
        elif isinstance(delta, MessageDone):
            calls = delta.message.calls
    made = [{call.name: dict(call.args)} for call in calls]
    found = margin(tokens, calls[0].name, [spec.name for spec in chat.specs]) if calls else None
    wanted = {name.replace(".", "_") for truth in item.truth for name in truth}
    return {
        "id": id,
        "tools": len(item.tools),
        "margin": None if found is None or math.isinf(found) else round(found, 3),
        "sure": found is not None and math.isinf(found),
        "name_right": bool(calls) and calls[0].name.replace(".", "_") in wanted,
        "right": bool(data.check(item, made)["valid"]),
        "seconds": round(time.monotonic() - began, 2),
    }


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def report(records: Sequence[Mapping[str, Any]]) -> None:
    total = len(records)
    named, right = _share(r["name_right"] for r in records), _share(r["right"] for r in records)
    print(f"{total} questions: the name is right in {named}, all of it in {right}")
    print(f"no rival among the likeliest tokens: {sum(bool(r['sure']) for r in records)}, no name found: {_unknown(records)}")
    head = ("margin below", "escalated", "name wrong", "any wrong", "of all wrong names", "of all wrong")
    print("  ".join(f"{name:>{width}}" for name, width in zip(head, (12, 10, 10, 10, 18, 12), strict=True)))
    names, wrong = [r for r in records if not r["name_right"]], [r for r in records if not r["right"]]
    for threshold in THRESHOLDS:
        low = [r for r in records if r["margin"] is not None and r["margin"] < threshold]
        caught = [r for r in low if not r["name_right"]], [r for r in low if not r["right"]]
        cells = [_of(len(low), total), _of(len(caught[0]), len(low)), _of(len(caught[1]), len(low))]
        cells += [_of(len(caught[0]), len(names)), _of(len(caught[1]), len(wrong))]
        print(f"{threshold:>12}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, (10, 10, 10, 18, 12), strict=True)))


def _unknown(records: Sequence[Mapping[str, Any]]) -> int:
    return sum(r["margin"] is None and not r["sure"] for r in records)


def _share(found: Any) -> str:
    values = list(found)
    return _of(sum(map(bool, values)), len(values))


def _of(part: int, whole: int) -> str:
    return f"{part}/{whole}" + (f" {part / whole:.0%}" if whole else "")


if __name__ == "__main__":
    main()
