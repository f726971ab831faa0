"""What holding a call to its grammar costs.

    per token   decoding under the grammar against decoding without, the same tokens of the same
                model: the ratio of the two, and the host's own milliseconds per token
    build       making the grammar of 11 and of 60 tools, and finding one that is kept
    check       reading a grammar before llama.cpp does, and following a call of 4,000 characters

Each pair is measured turn by turn and the median of the pairs is told, so that what else the
machine does falls on both. Without `--model` only what needs no model is measured.

usage: python bench/grammar.py [--model FILE] [--dialect NAME] [--tokens 96] [--pairs 9] [--threads N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localagent.engine import gbnf
from localagent.engine.automaton import Automaton
from localagent.engine.base import Sampling
from localagent.engine.dialects import by_name
from localagent.values import ToolSpec

LONG = 4000
TEXT = "A word, then a \\\"quote\\\" and a line.\\n"


def tools(count: int) -> list[ToolSpec]:
    """Tools as people write them: texts, numbers with bounds, choices, lists of objects."""
    stop = {"type": "object", "required": ["place"], "additionalProperties": False, "properties": {
        "place": {"type": "string"}, "minutes": {"type": "integer", "minimum": 0, "maximum": 600}}}  # fmt: skip
    return [
        ToolSpec(f"tool_{number}", f"Does thing {number}.", {
            "type": "object",
            "required": ["text", "day"],
            "additionalProperties": False,
            "properties": {
                "text": {"type": "string", "description": "What it is about."},
                "day": {"type": "string", "format": "date"},
                f"kind_{number}": {"enum": [f"kind {number}-{n}" for n in range(12)]},
                "count": {"type": "integer", "minimum": 1, "maximum": 100},
                "ratio": {"type": "number"},
                "stops": {"type": "array", "items": stop, "maxItems": 8},
                "sure": {"type": "boolean"},
            },
        })
        for number in range(count)
    ]  # fmt: skip


def milliseconds(do: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        found.append((time.perf_counter() - began) * 1e3)
    return statistics.median(found)


def building(dialect: str, times: int) -> dict[str, float]:
    form = by_name(dialect)
    found: dict[str, float] = {}
    for count in (11, 60):
        numbers = iter(range(10**6))

        def fresh(count: int = count, numbers: Any = numbers) -> str:
            # Another description of the first tool makes it another tool set.
            mark = {"type": "object", "properties": {f"mark_{next(numbers)}": {"type": "integer"}}}
            specs = [ToolSpec("mark", "", mark), *tools(count - 1)]
            return form.grammar(specs, "auto").triggers[0].grammar

        specs = tools(count)
        text = form.grammar(specs, "auto").triggers[0].grammar
        found[f"build_{count}_ms"] = milliseconds(fresh, times)
        found[f"kept_{count}_ms"] = milliseconds(lambda specs=specs: form.grammar(specs, "auto"), times)
        found[f"check_{count}_ms"] = milliseconds(lambda text=text: Automaton.read(text), times)
        found[f"bytes_{count}"] = len(text.encode())
    return found


def following(times: int) -> dict[str, float]:
    """A long call, read at once and then character by character with its completion asked for each time."""
    text = gbnf.json_calls(tools(11), before="", between=" ", after="")
    call = 'tool_3 {"text": "' + TEXT * (LONG // len(TEXT)) + '", "day": "2024-02-29"}'

    def read() -> None:
        state = automaton.start().feed(call)
        assert state is not None and state.complete

    found = []
    for _ in range(times):
        automaton = Automaton.read(text)
        found.append(milliseconds(read, 1))
    return {"follow_characters": len(call), "follow_ms": statistics.median(found)}


def decoding(args: argparse.Namespace) -> dict[str, float]:
    """The same tokens twice: each sampled freely, or under the grammar; only the host's part differs."""
    from localagent.engine.grammars import Grammars
    from localagent.engine.llama import Chain, Context, Model
    from localagent.engine.sampling import sample

    model = Model(args.model)
    context = Context(model, n_ctx=2048, threads=args.threads)
    kept, call = Grammars(model), by_name(args.dialect).grammar(tools(11), "required")
    prompt = model.template("Write a long text about the sea.\n" + call.forced)

    def run(held: bool) -> tuple[float, float]:
        """Milliseconds per token, whole and outside of llama.cpp's decoding."""
        context.clear()
        context.decode(prompt)
        chain = Chain(model, Sampling(temperature=0.7, seed=1))
        grammar = kept.start(call.triggers[0].grammar) if held else None
        decoded = count = 0.0
        began = time.perf_counter()
        while count < args.tokens:
            token = sample(context, chain, grammar.grammar if grammar else None)
            if grammar:
                grammar.accept(token)
                if grammar.grammar.complete():
                    grammar = kept.start(call.triggers[0].grammar)
            count += 1
            at = time.perf_counter()
            context.decode([token])
            decoded += time.perf_counter() - at
        whole = time.perf_counter() - began
        chain.close()
        return whole / count * 1e3, (whole - decoded) / count * 1e3

    run(True)
    pairs = [(run(False), run(True)) for _ in range(args.pairs)]
    context.close()
    kept.close()
    model.close()
    median = statistics.median
    return {
        "token_ratio": median(held[0] / free[0] for free, held in pairs),
        "free_ms": median(free[0] for free, _ in pairs),
        "held_ms": median(held[0] for _, held in pairs),
        "host_free_ms": median(free[1] for free, _ in pairs),
        "host_held_ms": median(held[1] for _, held in pairs),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="a GGUF file")
    parser.add_argument("--dialect", default="hermes")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = building(args.dialect, args.pairs) | following(args.pairs)
    if args.model:
        found |= decoding(args)
    if args.json:
        print(json.dumps({key: round(value, 4) for key, value in found.items()}))
        return 0
    for key, value in found.items():
        print(f"{key:20} {value:10.3f}".rstrip("0").rstrip("."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
