"""How well tools are found: published tools, labelled requests, with words alone and with the model of the extra `search`.

    python bench/search.py [--split open|sealed] [--requests FILE] [--model FILE.gguf] [--json]

For 50, 200 and 2,000 tools and each language and kind of request: `recall`, the part of the requests with a right tool among the first
five; `sure`, the part of the tools offered unasked that are right; `hit`, the part of the requests with a right one among those; `offers`,
how many are offered for a request; milliseconds for a request (median and 95th percentile). `reduction` is the part of the tokens that the
offers save against listing all tools (with `--model`, counted with its vocabulary in its form; else characters are compared).
The ranking was tuned on the open requests and measured on the sealed ones. Requests count in a set when it has a right tool. The
second row of each is with the extra; there is none where it is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localagent import wiring
from localagent.agent import brief, context, offering
from localagent.engine.base import Template
from localagent.engine.dialects import by_name
from localagent.toolbox.meaning import Both, Meanings
from localagent.toolbox.search import Finder
from localagent.values import Message, Text, ToolSpec

HERE = Path(__file__).parent
SETS = (50, 200, 2000)
_READY_S = 240


@dataclass(frozen=True, slots=True)
class Tried:
    """One request: the ranks of a right tool (0 the first, 99 none of five), its offers, which of them are right, how long."""

    language: str
    kind: str
    rank: int
    right: tuple[bool, ...]
    offers: tuple[ToolSpec, ...]
    ms: float


def tools(count: int) -> list[ToolSpec]:
    """The published tools of a set, from servers of their names."""
    told = json.loads((HERE / "search_tools.json").read_text(encoding="utf-8"))["tools"]
    kept = [one for one in told if one["set"] <= count]
    return [ToolSpec(one["name"], one["description"], one["parameters"], ("net",), f"mcp:{one['server']}") for one in kept]


def name(spec: ToolSpec) -> str:
    return f"{spec.source.removeprefix('mcp:')}.{spec.name}"


async def tried(ranker: Any, requests: Sequence[dict[str, Any]]) -> list[Tried]:
    made = []
    for one in requests:
        began = time.perf_counter()
        found = await ranker.find(one["text"], offering.COUNT)
        ms = (time.perf_counter() - began) * 1000
        rank = next((at for at, hit in enumerate(found) if name(hit.spec) in one["right"]), 99)
        sure = tuple(hit.spec for hit in found if hit.sure)
        made.append(Tried(one["language"], one["kind"], rank, tuple(name(spec) in one["right"] for spec in sure), sure, ms))
    return made


def ours() -> tuple[ToolSpec, ...]:
    """The tools that stand in every prompt."""
    here = Path.cwd()
    return asyncio.run(wiring.registry(here, here)).specs()


async def rankers(specs: Sequence[ToolSpec], beside: Sequence[ToolSpec] = ()) -> tuple[dict[str, Any], Callable[[], Any]]:
    """The ways to rank, ready; and what ends them."""
    made: dict[str, Any] = {"words": Finder(specs, beside)}
    meanings = Meanings()
    both = meanings(specs, beside)
    if isinstance(both, Both):
        await both.find("ready")
        if await asyncio.wait_for(both.ready(), _READY_S):
            made["extra"] = both
    await made["words"].find("ready")
    return made, meanings.aclose


def row(group: str, all_of: Sequence[Tried]) -> dict[str, Any]:
    right = [one for each in all_of for one in each.right]
    times = sorted(each.ms for each in all_of)
    return {
        "group": group,
        "requests": len(all_of),
        "recall": round(sum(each.rank < 5 for each in all_of) / len(all_of), 3),
        "sure": round(sum(right) / len(right), 3) if right else None,
        "hit": round(sum(any(each.right) for each in all_of) / len(all_of), 3),
        "offers": round(len(right) / len(all_of), 2),
        "ms": round(statistics.median(times), 2),
        "p95_ms": round(times[int(0.95 * (len(times) - 1))], 2),
    }


def groups(all_of: Sequence[Tried]) -> list[dict[str, Any]]:
    english = [one for one in all_of if one.language == "en"]
    made = [("all", all_of), ("english, typos", english), ("other languages", [one for one in all_of if one.language != "en"])]
    made += [(key, [one for one in all_of if one.language == key]) for key in sorted({one.language for one in all_of})]
    made += [(key, [one for one in all_of if one.kind == key]) for key in sorted({one.kind for one in all_of})]
    return [row(key, those) for key, those in made if those]


def reduction(specs: Sequence[ToolSpec], offers: Sequence[Sequence[ToolSpec]], count: Callable[[Sequence[Any]], int]) -> dict[str, Any]:
    """What the tools take of a prompt: all listed, and with those offered behind a request, `tool_search` included."""
    listed = ours()
    dialect = by_name("coder")
    asked = [context.system_message(), Message("user", (Text("Do it."),))]
    bare = count(dialect.render(asked, listed, thinking=False))
    whole = count(dialect.render(asked, [*listed, *specs], thinking=False)) - bare
    search = count(dialect.render(asked, [*listed, offering.SEARCH], thinking=False)) - bare
    given = 0
    for one in offers:
        shown = tuple(made for spec in one if (made := brief.brief(spec)) is not None)
        if shown:
            more = context.offered(context.ToolsOffered(shown))
            given += count(dialect.render([*asked, more], listed, thinking=False)) - bare
    found = search + given / max(1, len(offers))
    return {"listed": whole, "found": round(found, 1), "reduction": round(1 - found / whole, 4)}


def counter(file: str | None) -> Callable[[Sequence[Any]], int]:
    if file is None:
        return lambda segments: sum(len(one.text) for one in segments)
    from localagent.engine.llama import Model

    model = Model(file, vocab_only=True)
    return lambda segments: sum(len((model.template if isinstance(one, Template) else model.untrusted)(one.text)) for one in segments)


async def measured(count: int, every: Sequence[dict[str, Any]], beside: Sequence[ToolSpec]) -> dict[str, list[Tried]]:
    specs = tools(count)
    made, end = await rankers(specs, beside)
    try:
        fitting = [one for one in every if one["smallest"] <= count]
        return {how: await tried(ranker, fitting) for how, ranker in made.items()}
    finally:
        await end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=Path, default=HERE / "search_requests.json", metavar="FILE")
    parser.add_argument("--split", choices=("open", "sealed"), help="only these requests; all without it")
    parser.add_argument("--model", metavar="FILE", help="a GGUF file, for its vocabulary")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    every = [one for one in json.loads(args.requests.read_text(encoding="utf-8")) if args.split in (None, one["split"])]
    count = counter(args.model)
    told, beside = [], ours()
    for size in SETS:
        for how, all_of in asyncio.run(measured(size, every, beside)).items():
            tokens = reduction(tools(size), [one.offers for one in all_of], count)
            told.append({"tools": size, "ranked_by": how, "tokens": tokens, "rows": groups(all_of)})
    if args.json:
        print(json.dumps({"unit": "tokens" if args.model else "characters", "sets": told}))
        return
    for one in told:
        unit, said = "tokens" if args.model else "characters", one["tokens"]
        print(f"\n{one['tools']} tools, by {one['ranked_by']}: ", end="")
        print(f"{said['found']} {unit} of {said['listed']}, reduction {said['reduction']:.2%}")
        names = list(one["rows"][0])
        print("  ".join(f"{key:>15}" if key == "group" else f"{key:>8}" for key in names))
        for line in one["rows"]:
            print("  ".join(f"{'-' if line[key] is None else line[key]!s:>{15 if key == 'group' else 8}}" for key in names))


if __name__ == "__main__":
    main()
