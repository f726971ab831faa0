"""What guessing the next tokens from the prompt brings: decoding with it against decoding without.

    edit    a name changed in a file of 40 lines, the whole file as the answer
    call    the same file as an argument of a tool call, held by the tool's grammar
    free    text that has little to copy from

Each pair is measured one run after the other in one process, in turns on first and off first, and
the median of the pairs is told: above 1, guessing is faster. `equal` says how many pairs gave the
same tokens; other batches round differently, so that now and then two near tokens change places.

usage: python bench/lookup.py --model FILE [--dialect NAME] [--pairs 3] [--threads N] [--cpu] [--json]
       --cpu takes the process's own time instead of the clock's, for a busy machine (with --threads 1)
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localagent.engine.ahead import Guesses
from localagent.engine.answer import Answer
from localagent.engine.base import CallGrammar, Sampling, Segment
from localagent.engine.dialects import by_name
from localagent.engine.grammars import Grammars
from localagent.engine.llama import Context, Model
from localagent.engine.prefix import Prefix
from localagent.engine.protocol import Request
from localagent.values import Message, Text, ToolSpec

FILE = '''"""Reads orders from a file and adds them up."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Order:
    number: int
    customer: str
    amount: float


def read_orders(path):
    data = []
    with Path(path).open() as file:
        for row in csv.DictReader(file):
            data.append(Order(int(row["number"]), row["customer"], float(row["amount"])))
    return data


def total(data):
    return sum(order.amount for order in data)


def by_customer(data):
    found = {}
    for order in data:
        found.setdefault(order.customer, []).append(order)
    return found


def report(path):
    data = read_orders(path)
    print(f"{len(data)} orders, {total(data):.2f} in all")
    for customer, data in sorted(by_customer(data).items()):
        print(f"{customer:20} {total(data):10.2f}")
'''
RENAME = "Rename the variable `data` to `orders` everywhere in this file.\n\n```python\n" + FILE + "```\n\n"
WRITE = ToolSpec(
    "write_file",
    "Write a text file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Task:
    segments: tuple[Segment, ...]
    grammar: CallGrammar
    ends: tuple[str, ...]
    sampling: Sampling
    tokens: int


def tasks(dialect: str) -> dict[str, Task]:
    form = by_name(dialect)

    def ask(text: str, tokens: int, sampling: Sampling, specs: tuple[ToolSpec, ...] = ()) -> Task:
        messages = [Message("system", (Text("You are a careful assistant."),)), Message("user", (Text(text),))]
        grammar = form.grammar(specs, "required") if specs else CallGrammar()
        grammar = replace(grammar, once=True)
        return Task(tuple(form.render(messages, specs, thinking=False)), grammar, form.ends, sampling, tokens)

    greedy = Sampling()
    return {
        "edit": ask(RENAME + "Answer with the whole file and nothing else.", 420, greedy),
        "call": ask(RENAME + "Write the whole result to orders.py.", 480, greedy, (WRITE,)),
        "free": ask("Tell me about a storm at sea, in 150 words.", 200, Sampling(temperature=0.8, top_p=0.95, seed=7)),
    }


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.model = Model(args.model)
        self.context = Context(self.model, n_ctx=4096, threads=args.threads)
        self.prefix, self.grammars, self.guesses = Prefix(self.context), Grammars(self.model), Guesses()
        self._clock = time.process_time if args.cpu else time.perf_counter

    def run(self, task: Task, guesses: Guesses | None) -> tuple[float, list[int], Answer]:
        """Seconds from the first token to the end, the tokens, and the answer that was made."""
        ids: list[int] = []
        began = 0.0

        def emit(event: dict[str, Any]) -> None:
            nonlocal began
            if event["event"] == "prefill" or not ids:
                began = self._clock()
            if event["event"] == "token":
                ids.extend(event["ids"])

        request = Request(
            path="", context=4096, segments=task.segments, grammar=task.grammar, ends=task.ends,
            sampling=task.sampling, max_tokens=task.tokens,
        )  # fmt: skip
        made = Answer(
            self.context, self.prefix, self.grammars, request, emit, lambda: False, lambda _: None, guesses
        )  # fmt: skip
        made.run()
        return self._clock() - began, ids, made

    def measure(self, task: Task, pairs: int) -> dict[str, float]:
        self.run(replace(task, tokens=4), None)
        found = []
        for number in range(pairs):
            order = (None, self.guesses) if number % 2 else (self.guesses, None)
            one, other = self.run(task, order[0]), self.run(task, order[1])
            found.append((one, other) if number % 2 else (other, one))
        ms = [(off[0] / len(off[1]) * 1e3, on[0] / len(on[1]) * 1e3) for off, on in found]
        last = found[-1][1]
        return {
            "ratio": statistics.median(off / on for off, on in ms),
            "off_ms": statistics.median(off for off, _ in ms),
            "on_ms": statistics.median(on for _, on in ms),
            "tokens": len(last[1]),
            "guessed": last[2].ahead.tried,
            "taken": last[2].ahead.taken,
            "equal": sum(off[1] == on[1] for off, on in found),
        }

    def close(self) -> None:
        self.grammars.close()
        self.context.close()
        self.model.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--dialect", default="hermes")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="edit, call, free")
    parser.add_argument("--cpu", action="store_true", help="the process's own time, for a busy machine")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bench = Bench(args)
    found = {
        name: bench.measure(task, args.pairs)
        for name, task in tasks(args.dialect).items()
        if not args.only or name in args.only
    }
    bench.close()
    if args.json:
        print(json.dumps({name: {k: round(v, 3) for k, v in figures.items()} for name, figures in found.items()}))
        return 0
    print(f"{'':6} {'ratio':>6} {'off':>10} {'on':>10} {'tokens':>7} {'guessed':>8} {'taken':>6} {'equal':>6}")
    for name, f in found.items():
        print(
            f"{name:6} {f['ratio']:6.2f} {f['off_ms']:7.1f} ms {f['on_ms']:7.1f} ms {f['tokens']:7.0f}"
            f" {f['guessed']:8.0f} {f['taken']:6.0f} {f['equal']:3.0f}/{args.pairs}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
