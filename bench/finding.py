"""What tools cost that are found and not listed.

    python bench/finding.py [--model FILE.gguf] [--dialect coder] [--json]

For 0, 50, 200 and 2,000 made-up tools beside those that we ship: the tokens before the request, those of a request that one
of them fits (with the tools that are offered behind it), and those it would take to list them all; how long it takes to index
and to rank; and how long the grammar of the listed tools takes to build, without and with five more. Without `--model` there
are no tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localagent import wiring
from localagent.agent import context, offering
from localagent.engine import gbnf
from localagent.engine.base import Template
from localagent.engine.dialects import by_name
from localagent.toolbox.registry import Registry
from localagent.toolbox.search import Finder
from localagent.values import Message, Text, ToolSpec

COUNTS = (0, 50, 200, 2000)
GOAL = "Archive the invoice 4711 of the customer Meyer, please."
VERBS = ("archive", "create", "delete", "list", "rename", "share", "watch", "count", "print", "merge")
THINGS = (
    "invoice", "mail", "wiki_page", "photo", "ticket", "spreadsheet", "lamp", "playlist", "meeting", "branch", "container", "recipe",
    "flight", "parcel", "backup", "sensor", "contract", "survey", "domain", "webhook",
)  # fmt: skip


class Source:
    """Tools that are only described."""

    def __init__(self, specs: Sequence[ToolSpec], listed: bool) -> None:
        self.listed = listed
        self._specs = list(specs)

    def specs(self) -> list[ToolSpec]:
        return self._specs

    def call(self, call: Any) -> Any:
        raise NotImplementedError


def tools(count: int) -> list[ToolSpec]:
    """Tools as servers offer them: a name, a sentence or two, three to five parameters."""
    made = []
    for number in range(count):
        verb, thing = VERBS[number % len(VERBS)], THINGS[number // len(VERBS) % len(THINGS)]
        service = f"service{number // (len(VERBS) * len(THINGS))}" if number >= len(VERBS) * len(THINGS) else ""
        said = thing.replace("_", " ")
        properties = {
            f"{thing}_id": {"type": "string", "description": f"The number of the {said}."},
            "account": {"type": "string", "description": "Whose it is; yours where nothing is said."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many at most."},
            "order": {"type": "string", "enum": ["newest", "oldest", "name"]},
        }
        described = f"{verb.capitalize()} a {said}{' of ' + service if service else ''}. Returns its number and its new state."
        parameters = {"type": "object", "properties": properties, "required": [f"{thing}_id"], "additionalProperties": False}
        made.append(ToolSpec("_".join(filter(None, (service, verb, thing))), described, parameters, ("net",), "mcp:bench"))
    return made


def milliseconds(do: Callable[[], object], times: int = 9) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        taken.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(taken), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="FILE", help="a GGUF file, for its vocabulary")
    parser.add_argument("--dialect", default="coder")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    here = Path.cwd()
    ours = asyncio.run(wiring.registry(here, here)).specs()
    dialect, count = by_name(args.dialect), counter(args.model)
    rows = [asyncio.run(row(ours, number, dialect, count)) for number in COUNTS]
    more = tools(5)
    grammar = {
        "listed_ms": milliseconds(lambda: built(dialect, ours)),
        "five_more_ms": milliseconds(lambda: built(dialect, [*ours, *more])),
    }
    if args.json:
        print(json.dumps({"rows": rows, "grammar": grammar}))
        return
    names = list(rows[0])
    print("  ".join(f"{name:>12}" for name in names))
    for one in rows:
        print("  ".join(f"{'' if one[name] is None else one[name]:>12}" for name in names))
    print(f"grammar of {len(ours)} tools: {grammar['listed_ms']} ms; with five more: {grammar['five_more_ms']} ms")


async def row(ours: Sequence[ToolSpec], number: int, dialect: Any, count: Callable[[Any], int | None]) -> dict[str, Any]:
    specs = tools(number)
    registry = Registry([Source(ours, True), Source(specs, False)])
    if specs:
        registry.add(offering.Offering(registry))
    offers = await offering.of(registry).fitting(GOAL)
    user = Message("user", (Text(GOAL),))
    asked = [context.system_message(), user, *([context.offered(offers)] if offers else [])]
    whole = count(dialect.render(asked, registry.specs(), thinking=False))
    bare = count(dialect.render(asked[:1], registry.specs(), thinking=False))
    every = count(dialect.render(asked[:2], [*ours, *specs], thinking=False))
    index = Finder(specs)
    first = milliseconds(lambda: index.ranked(GOAL), 1)
    return {
        "tools": number,
        "fixed": bare,
        "prompt": whole,
        "listed_all": every,
        "offered": len(offers.tools) if offers else 0,
        "index_ms": first,
        "rank_ms": milliseconds(lambda: index.ranked(GOAL)),
    }


def counter(file: str | None) -> Callable[[Any], int | None]:
    if file is None:
        return lambda segments: None
    from localagent.engine.llama import Model

    model = Model(file, vocab_only=True)
    return lambda segments: sum(len((model.template if isinstance(one, Template) else model.untrusted)(one.text)) for one in segments)


def built(dialect: Any, specs: Sequence[ToolSpec]) -> object:
    """The grammar, made anew."""
    for build in (gbnf.json_calls, gbnf.xml_calls):
        for cell in build.__closure__ or ():
            if hasattr(cell.cell_contents, "cache_clear"):
                cell.cell_contents.cache_clear()
    return dialect.grammar(gbnf.bind(specs, {}), "auto")


if __name__ == "__main__":
    main()
