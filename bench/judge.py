"""Measure, for one model file, which signs tell a call that is needed from one that is not.

    python bench/judge.py --model starter --out signs.jsonl --dev 24

Published questions that are not of the public split are asked (`bfcl.py draw`), half of them of
the kind that no tool answers (`--only` adds others). For each the signs of `localagent.agent.judged`
are taken and a call is drafted; then the weights of a logistic model are fitted and printed as the
table that `models.toml` holds, with the ranking quality (area under the curve) by cross-validation
and what each threshold would give. Needs the engine and `requirements-bfcl.txt`. The file of answers
is resumed; without `--model` it is only fitted again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import bfcl_data as data  # noqa: E402

SIGNS = ("fits", "news", "support", "named")
IRRELEVANT = ("irrelevance", "live_irrelevance")
FOLDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="catalogue id or a GGUF file; without it the answers are fitted again")
    parser.add_argument("--out", required=True, type=Path, help="JSON lines, one a question; resumed")
    parser.add_argument("--dev", type=int, default=24, help="questions of each irrelevant group; the others share as many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="GROUP,GROUP", help="--dev questions of each of these groups instead")
    parser.add_argument("--ids", type=Path, metavar="FILE", help="a JSON list of questions to ask instead")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.model:
        with tempfile.TemporaryDirectory(prefix="judge-") as runtime:
            os.environ["LOCALAGENT_RUNTIME_DIR"] = runtime
            asyncio.run(_ask(args))
    records = _read(args.out)
    report(records)


def chosen(dev: int, seed: int, only: str = "") -> list[str]:
    """As many questions that no tool answers as others, mixed; or all those of some groups."""
    drawn = data.draw(dev, seed)["single"]
    if only:
        return [id for id in drawn if data.group_of(id) in only.split(",")]
    irrelevant = [id for id in drawn if data.group_of(id) in IRRELEVANT]
    others = [id for id in drawn if data.group_of(id) not in IRRELEVANT][: len(irrelevant)]
    both = irrelevant + others
    random.Random(seed).shuffle(both)
    return both


# ---------------------------------------------------------------- asking


async def _ask(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from localagent import wiring
    from localagent.engine import local
    from localagent.store import settings

    chosen_settings = replace(settings.load(), threads=args.threads)
    engine: Any = wiring.chosen_engine(chosen_settings, args.model, _missing)
    done = {record["id"] for record in _read(args.out)}
    try:
        with args.out.open("a", encoding="utf-8") as out:
            for id in data.read_ids(args.ids) if args.ids else chosen(args.dev, args.seed, args.only):
                if id in done:
                    continue
                record = await _signs(engine, id)
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
                out.flush()
    finally:
        await local.stop()


def _missing(entry: Any, chosen: Any) -> Any:
    raise SystemExit(f"judge: {entry.id} is not here; `localagent model pull {entry.id}` fetches it.")


async def _signs(engine: Any, id: str) -> dict[str, Any]:
    """The signs of one question, the calls drafted, and the seconds both took."""
    from localagent.agent import judged
    from localagent.engine.base import Options
    from localagent.events import MessageDone
    from localagent.serve import requests

    item = data.load(id)
    chat = requests.read({"messages": list(item.turns[0]), "tools": list(item.tools)})
    began = time.monotonic()
    signs = await judged.signs(engine, chat.messages, chat.specs, Options())
    asked = time.monotonic()
    calls: Sequence[Any] = ()
    async for delta in engine.stream(chat.messages, chat.specs, Options(tool_choice="required", max_tokens=400)):
        if isinstance(delta, MessageDone):
            calls = delta.message.calls
    made = [{call.name: dict(call.args)} for call in calls]
    right = None if "relevance" in item.group else bool(data.check(item, made)["valid"])
    support, named = judged.said(calls, chat.specs, chat.messages)
    return {
        "id": id,
        "fits": signs.fits,
        "news": signs.news,
        "support": support,
        "named": named,
        "calls": made,
        "right": right,
        "seconds": [round(asked - began, 2), round(time.monotonic() - asked, 2)],
    }


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


# ---------------------------------------------------------------- fitting


def report(records: Sequence[Mapping[str, Any]]) -> None:
    rows = [[float(record[sign]) for sign in SIGNS] for record in records]
    wanted = [data.group_of(record["id"]) not in IRRELEVANT for record in records]
    if len(set(wanted)) < 2:
        raise SystemExit("judge: both kinds of questions are needed to fit anything.")
    print(f"{len(records)} questions, {sum(wanted)} of them need a call")
    for at, sign in enumerate(SIGNS):
        print(f"  {sign:8} alone ranks {area([row[at] for row in rows], wanted):.3f}")
    held_out = cross_validated(rows, wanted)
    print(f"  together      {area(held_out, wanted):.3f} (each question by weights fitted without it)")
    for chance in (0.3, 0.4, 0.5, 0.6, 0.7):
        kept = [score > math.log(chance / (1 - chance)) for score in held_out]
        calls = sum(k for k, w in zip(kept, wanted, strict=True) if w)
        silent = sum(not k for k, w in zip(kept, wanted, strict=True) if not w)
        print(f"  at {chance:.1f}: {calls}/{sum(wanted)} calls made, {silent}/{len(wanted) - sum(wanted)} left alone")
    weights = fit(rows, wanted)
    numbers = ", ".join(f"{name} = {value:.3f}" for name, value in zip((*SIGNS, "bias"), weights, strict=True))
    print(f"judge = {{ {numbers} }}")


def cross_validated(rows: Sequence[Sequence[float]], wanted: Sequence[bool]) -> list[float]:
    """The log odds of each row by weights that were fitted without its tenth."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    scores = [0.0] * len(rows)
    for fold in range(FOLDS):
        held = set(order[fold::FOLDS])
        weights = fit([r for i, r in enumerate(rows) if i not in held], [w for i, w in enumerate(wanted) if i not in held])
        for i in held:
            scores[i] = _odds(rows[i], weights)
    return scores


def fit(rows: Sequence[Sequence[float]], wanted: Sequence[bool], ridge: float = 1.0) -> list[float]:
    """Weights and bias of a logistic model; the ridge is on weights of standardised signs. No weight below 0."""
    import numpy

    x = numpy.array(rows)
    mean, spread = x.mean(0), x.std(0) + 1e-9
    x = numpy.c_[(x - mean) / spread, numpy.ones(len(x))]
    y = numpy.array(wanted, float)
    penalty = ridge * numpy.diag([1.0] * len(SIGNS) + [1e-6])
    weights = numpy.zeros(x.shape[1])
    for _ in range(20):
        chance = 1 / (1 + numpy.exp(-(x @ weights)))
        slope = x.T @ (chance - y) + penalty @ weights
        weights -= numpy.linalg.solve((x * (chance * (1 - chance))[:, None]).T @ x + penalty, slope)
    raw = numpy.maximum(weights[:-1], 0.0) / spread
    return [*map(float, raw), float(weights[-1] - (raw * mean).sum())]


def area(scores: Sequence[float], wanted: Sequence[bool]) -> float:
    """The chance that a question that needs a call is ranked above one that does not."""
    yes = [score for score, one in zip(scores, wanted, strict=True) if one]
    no = [score for score, one in zip(scores, wanted, strict=True) if not one]
    return sum((a > b) + 0.5 * (a == b) for a in yes for b in no) / (len(yes) * len(no))


def _odds(row: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(row, weights, strict=False)) + weights[-1]


if __name__ == "__main__":
    main()
