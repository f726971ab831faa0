"""`localagent bench`: how fast this machine reads, writes and begins to answer, and what the numbers mean.

The engine that `do` uses is asked, and nothing a model calls is carried out. It is stopped once, so that a
cold start can be timed; the model stays warm afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..agent.context import system_message
from ..engine import local, models
from ..engine.base import Options, Sampling
from ..errors import EngineError, ModelMissing, UsageError
from ..events import MessageDone, PrefillProgress
from ..store import settings as config
from ..values import Message, Text, ToolSpec

if TYPE_CHECKING:
    import argparse

    from ..engine.base import Engine
    from .check import Bench

WARM = PAIRS = 3
_WORDS, _WRITTEN = 100, 48
_SHORT, _LONG = 4, 28
_SCHEMA = {"type": "string", "maxLength": 4000}
_PAGE, _ANSWER = 500, 130
SETTLE_S = 3.0
"""What the engine keeps for its next start it writes when it is idle."""


@dataclass(frozen=True, slots=True)
class First:
    """One request up to its first token. `seconds` counts everything, `load_ms` is the model's loading alone."""

    seconds: float
    load_ms: float
    prompt: int
    remembered: int


@dataclass(frozen=True, slots=True)
class Found:
    """Tokens a second, seconds to the first token, and what a grammar adds to a token (0.01 = 1 %).

    `prompt` and `restored` are tokens of the cold request. `gpu_layers` is as "33/33", "0" without a GPU.
    """

    read_per_s: float
    written_per_s: float
    cold_s: float
    load_s: float
    prompt: int
    restored: int
    warm_s: float
    grammar_cost: float
    threads: int
    gpu_layers: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="ID", help="a model of `localagent model list`, or a GGUF file")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace, bench: Bench) -> int:
    """`bench` makes the engine and the tools of `do`. ModelMissing, EngineError while another command uses the engine."""
    chosen = config.load()
    entry, path = models.choose(chosen, args.model)
    if entry.hosted:
        raise UsageError(f"{entry.id} is hosted: this machine does not run it.")
    if path is None:
        raise ModelMissing(
            f"The model {entry.id} is not on this machine.", f"Get it with `localagent model pull {entry.id}`."
        )
    if _at_work(asyncio.run(local.status())):
        raise EngineError("The engine is at work for another command.", "Run it again when that has ended.")
    engine, specs = bench(entry, path, chosen)
    found = asyncio.run(measure(engine, specs))
    if args.json:
        print(json.dumps({"model": entry.id, "path": str(path), "gpus": _gpus(), **asdict(found)}, indent=1))
        return 0
    print("\n".join(_table(entry.id, found, _gpus())))
    return 0


def _at_work(status: dict[str, Any] | None) -> bool:
    return status is not None and (status.get("state") != "idle" or bool(status.get("waiting")))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- measuring


async def measure(engine: Engine, specs: Sequence[ToolSpec], settle_s: float | None = None) -> Found:
    """All of it, in about a minute for a small model. Raises as the engine does."""
    _say("Reading and writing ...")
    speed = await _done(engine, [_user(_text())], (), Options(max_tokens=_WRITTEN, sampling=Sampling()))
    _say("Starting anew ...")
    await first(engine, specs, "Say hello.")
    await asyncio.sleep(SETTLE_S if settle_s is None else settle_s)
    await local.stop()
    cold = await first(engine, specs, "Say goodbye.")
    warm = [await first(engine, specs, f"Say the number {number}.") for number in range(WARM)]
    _say("Writing under a grammar ...")
    cost = await grammar_cost(engine)
    status = await local.status() or {}
    fresh = speed.usage.input_tokens - speed.usage.cached_tokens
    return Found(
        read_per_s=_per_second(fresh, speed.timings.prefill_ms),
        written_per_s=_per_second(speed.usage.output_tokens, speed.timings.decode_ms),
        cold_s=cold.seconds,
        load_s=cold.load_ms / 1000,
        prompt=cold.prompt,
        restored=cold.remembered,
        warm_s=statistics.median(one.seconds for one in warm),
        grammar_cost=cost,
        threads=int(status.get("threads", 0)),
        gpu_layers=str(status.get("gpu_layers") or "0"),
    )


async def first(engine: Engine, specs: Sequence[ToolSpec], goal: str) -> First:
    """What `do` would wait for: its fixed prompt and a request, up to the first token."""
    began, read = time.monotonic(), 0.0
    options = Options(max_tokens=2, tool_choice="none", sampling=Sampling())
    async for delta in engine.stream([system_message(), _user(goal)], specs, options):
        if isinstance(delta, PrefillProgress) and delta.done == delta.total:
            read = time.monotonic() - began
        elif isinstance(delta, MessageDone):
            token_s = delta.timings.decode_ms / 1000 / max(1, delta.usage.output_tokens)
            return First(read + token_s, delta.timings.load_ms, delta.usage.input_tokens, delta.usage.cached_tokens)
    raise EngineError("The engine ended without an answer.", "Run it again.")


async def grammar_cost(engine: Engine) -> float:
    """The share that a schema adds to the time of a token: the median of pairs, one behind the other."""
    pairs = [(await token_ms(engine, None), await token_ms(engine, _SCHEMA)) for _ in range(PAIRS)]
    return statistics.median(held / free if free else 1.0 for free, held in pairs) - 1


async def token_ms(engine: Engine, schema: dict[str, Any] | None) -> float:
    """Milliseconds to write one token, freely or held to a schema; what only begins or ends an answer is left out."""
    ask = [_user("Write a long text about the sea.")]
    ends = []
    for most in (_SHORT, _LONG):
        done = await _done(engine, ask, (), Options(max_tokens=most, schema=schema, sampling=Sampling()))
        ends.append((done.usage.output_tokens, done.timings.decode_ms))
    (few, short), (many, long) = ends
    if many <= few or long <= short:
        return long / max(1, many)
    return (long - short) / (many - few)


async def _done(
    engine: Engine, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
) -> MessageDone:
    found: MessageDone | None = None
    async for delta in engine.stream(messages, specs, options):
        if isinstance(delta, MessageDone):
            found = delta
    if found is None:
        raise EngineError("The engine ended without an answer.", "Run it again.")
    return found


def _user(text: str) -> Message:
    return Message("user", (Text(text),))


def _text() -> str:
    """A text that the engine has never read, and whose end asks for a long answer."""
    words = " ".join(f"word{number * 7919 % 977}" for number in range(_WORDS))
    return f"{os.urandom(4).hex()} {words}\nNow count from one to a hundred in words."


def _per_second(tokens: int, ms: float) -> float:
    return tokens / ms * 1000 if ms > 0 else 0.0


# ---------------------------------------------------------------- showing


def _gpus() -> list[str]:
    from ..engine import machine

    return [gpu.name for gpu in machine.gpus()]


def _table(model: str, found: Found, gpus: Sequence[str]) -> list[str]:
    page, answer = _PAGE / max(found.read_per_s, 1e-9), _ANSWER / max(found.written_per_s, 1e-9)
    restored = f"{found.restored:,} of {found.prompt:,} tokens were kept"
    rows = [
        ("reading", f"{found.read_per_s:.1f} tokens/s", f"a page of new text takes {_seconds(page)}"),
        ("writing", f"{found.written_per_s:.1f} tokens/s", f"an answer of 100 words takes {_seconds(answer)}"),
        (
            "first token, cold",
            _seconds(found.cold_s),
            f"nothing was running; loading {_seconds(found.load_s)}, {restored}",
        ),
        ("first token, warm", _seconds(found.warm_s), "the engine was running, as for your next command"),
        ("grammar", f"{found.grammar_cost:+.1%}", "what holding calls and JSON to their schemas adds to a token; below 0 it saves"),
    ]
    lines = [f"{model}, {found.threads} thread{'s' if found.threads != 1 else ''}, {_place(found.gpu_layers, gpus)}"]
    return [*lines, "", *(f"{name:18} {value:>16}   {meaning}" for name, value, meaning in rows)]


def _place(layers: str, gpus: Sequence[str]) -> str:
    if layers != "0":
        return f"{layers} layers on {gpus[0] if gpus else 'the GPU'}"
    if gpus:
        return f"no layer on {gpus[0]} (`localagent doctor` says how to use it)"
    return "no GPU seen"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
