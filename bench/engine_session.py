"""What a conversation costs: no token is read twice within it, nor after a restart of the host."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from engine_table import Bar, Row, turn_ratio

from localagent.agent.context import SYSTEM
from localagent.engine import local
from localagent.engine.base import Engine, Options, Sampling
from localagent.errors import EngineError
from localagent.events import MessageDone
from localagent.values import Message, Text, ToolResult, ToolSpec

TURN_BAR = Bar(1.05, at_most=True)
RESTART_BAR = Bar(200.0, unit=" x")
SETTLE_S = 3.0
"""What the host keeps for a restart it may write after the answer."""
PICK = ToolSpec(
    "pick",
    "Pick one thing.",
    {
        "type": "object",
        "properties": {"thing": {"enum": ["sun", "moon", "star"]}},
        "required": ["thing"],
        "additionalProperties": False,
    },
)
_CALL_TOKENS = 160


def opening(nonce: str = "") -> Message:
    """The system message of `do`; with a nonce one that no host has read before."""
    return Message("system", (Text(f"{nonce}{SYSTEM}"),))


def user(text: str) -> Message:
    return Message("user", (Text(text),))


async def done(engine: Engine, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> MessageDone:
    """The end of one answer."""
    found: MessageDone | None = None
    async for delta in engine.stream(messages, specs, options):
        if isinstance(delta, MessageDone):
            found = delta
    if found is None:
        raise EngineError("The engine ended without an answer.")
    return found


async def turn(engine: Engine, specs: Sequence[ToolSpec], turns: int, written: int) -> Row:
    """So many turns, each with a call, its result and an answer of `written` tokens."""
    call = Options(tool_choice="required", tool=PICK.name, max_tokens=_CALL_TOKENS, sampling=Sampling())
    words = Options(tool_choice="none", max_tokens=written, sampling=Sampling())
    shown = [*specs, PICK]
    history = [opening()]
    asked: list[tuple[int, int, int]] = []

    async def answer(options: Options) -> Message:
        told = await done(engine, history, shown, options)
        asked.append((told.usage.input_tokens, told.usage.cached_tokens, told.usage.output_tokens))
        history.append(told.message)
        return told.message

    for number in range(turns):
        history.append(user(f"Pick thing number {number} for me, then say in some words what it looks like."))
        made = await answer(call)
        for one in made.calls:
            text = f"Thing {number}: " + " ".join(f"fact {number}.{n} is {n * 7919 % 977}" for n in range(8))
            history.append(Message("tool", result=ToolResult(one.id, (Text(text),))))
        await answer(words)
    value, evaluated, new = turn_ratio(asked)
    figures = {
        "turns": turns, "requests": len(asked), "first_prompt": asked[0][0], "evaluated": evaluated, "new": new,
        "cached": sum(cached for _, cached, _ in asked), "written": sum(out for _, _, out in asked),
        "each": asked,
    }  # fmt: skip
    told = f"{evaluated:,} tokens read for {new:,} new ones behind the first {asked[0][0]:,}"
    return Row(
        "turn_ratio", f"tokens read for each new one, {turns} turns with calls", TURN_BAR, value, figures, (told,)
    )


def _times(one: Mapping[str, Any]) -> float:
    """How much faster a token was back than it was read; 0 where nothing was restored."""
    if not one["restored"] or not one["restored_ms"]:
        return 0.0
    return one["prefill_ms"] / one["tokens"] * one["restored"] / one["restored_ms"]


async def restart(engine: Engine, specs: Sequence[ToolSpec], times: int, nonce: str) -> Row:
    """The fixed prefix read, and restored by a host that was started anew."""
    options = Options(tool_choice="none", max_tokens=1, sampling=Sampling())
    pairs: list[dict[str, Any]] = []
    for number in range(times):
        system = opening(f"{nonce}.{number}\n")
        await local.stop()
        read = await done(engine, [system, user("Say hello.")], specs, options)
        await asyncio.sleep(SETTLE_S)
        await local.stop()
        back = await done(engine, [system, user("Say goodbye.")], specs, options)
        pairs.append({
            "tokens": read.usage.input_tokens, "prefill_ms": read.timings.prefill_ms, "load_ms": back.timings.load_ms,
            "restored": back.usage.cached_tokens, "all_ms": back.timings.prefill_ms,
            "restored_ms": ((await local.status() or {})["models"] or [{}])[0].get("restoring_ms", 0.0),
        })  # fmt: skip
    ratios = [_times(one) for one in pairs]
    middle = sorted(pairs, key=_times)[len(pairs) // 2]
    told = (
        f"{middle['tokens']:,} tokens: read in {middle['prefill_ms']:,.0f} ms; "
        f"after a restart {middle['restored']:,} restored in {middle['restored_ms']:,.1f} ms, "
        f"with its last tokens read in {middle['all_ms']:,.0f} ms"
    )
    what = "the fixed prefix after a restart, from disk against read again"
    return Row("restart_times", what, RESTART_BAR, statistics.median(ratios), {"pairs": pairs}, (told,))
