"""An engine whose calls are judged before anybody sees them.

A small model offered a tool calls it, whatever was asked, and calls it again when it has its
answer. Here a call is drafted first; the model's own signs and the conversation's words then say
whether it is what the request needs. Where it is not, the model answers without tools.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..engine.base import Delta, Engine, Options, Surprise
from ..engine.judge import MOST_NEWS, Judge
from ..events import EngineProgress, MessageDone, PrefillProgress
from ..values import Message, Text, ToolCall, ToolSpec, Usage
from . import evidence

_FITS = (
    "Does one of the tools above do exactly what this request asks, and does the request say every value that the tool "
    'needs? Answer yes or no. Examples with a tool get_weather(city): "Will it rain in Oslo?" yes. '
    '"Who was the first king of Norway?" no. "What is the weather like?" no.'
)
_NO_TOOL = (
    "(No tool is at hand for this request as it stands. Where it needs something done, news, or a value that is missing, "
    "say so or ask for it; make nothing up. Else answer it from what you know.)"
)
_ANSWERED = "That call was made before; its result stands above. Make another call if one is still needed, else answer."
_IN_WORDS = "(No more calls can be made. Say in plain words what the results above tell, and what is still missing.)"
_HOPELESS = 0.02
"""Below this chance, with the best support there could be, no call is drafted."""
_ENOUGH = 0.5
"""From this chance on a call is given out."""
_UNKNOWN_SUPPORT = 0.75
_UNKNOWN_NAME = 0.5


class Scoring(Engine, Protocol):
    """An engine that can also tell how likely texts are; see `engine.local.LocalEngine`."""

    async def score(
        self,
        messages: Sequence[Message],
        specs: Sequence[ToolSpec],
        candidates: Sequence[str],
        *,
        priority: int = 0,
        client: str = "",
    ) -> list[list[float]]: ...

    async def surprise(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, priority: int = 0, client: str = ""
    ) -> Surprise: ...


@dataclass(frozen=True, slots=True)
class Signs:
    """What speaks for a call before it is drafted; see `engine.judge.Judge`. `given` read the request's prompt."""

    fits: float
    news: float
    given: Surprise = Surprise()


async def signs(engine: Scoring, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> Signs:
    """Asks the model; the prompt it computes is the one that a draft needs next."""
    whose: Any = {"priority": options.priority, "client": options.client}
    # The history is left out without tools: it would have to be read a second time.
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=0)
    alone = [message for message in messages[:last] if message.role == "system"] + [*messages[last:]]
    without = await engine.surprise(alone, (), **whose)
    given = await engine.surprise(messages, specs, **whose)
    asked = [*messages, Message("host", (Text(_FITS),))]
    words = await engine.score(asked, specs, ("yes", "Yes", "no", "No"), **whose)
    yes, upper_yes, no, upper_no = map(sum, words)
    news = min(sum(given.logprobs) - sum(without.logprobs), MOST_NEWS)
    return Signs(_either(yes, upper_yes) - _either(no, upper_no), news, given)


def said(calls: Sequence[ToolCall], specs: Sequence[ToolSpec], messages: Sequence[Message]) -> tuple[float, float]:
    """How far the conversation says the values of the calls, and speaks of their tools, 0 to 1; means over the calls."""
    known = {spec.name: spec for spec in specs}
    source = evidence.Source.of(message.result.text if message.result else message.text for message in messages)
    made = [(call, known[call.name], source) for call in calls if call.name in known]
    support = _mean([evidence.backing(*one) for one in made], _UNKNOWN_SUPPORT)
    return support, _mean([evidence.named(*one) for one in made], _UNKNOWN_NAME)


def _mean(shares: Sequence[float | None], unknown: float) -> float:
    told = [share for share in shares if share is not None]
    return sum(told) / len(told) if told else unknown


class Judged:
    """Implements `engine.base.Engine` on top of another.

    A model with a judge never gets a call twice in one answer, nor a second time where its result
    stands in this turn. One without (`judge` None) is believed whatever it calls: to look again whether a job is done, or
    to try again what failed, is no mistake.
    """

    def __init__(self, engine: Scoring, judge: Judge | None = None) -> None:
        self.model = engine.model
        self.sees = bool(getattr(engine, "sees", False))
        self._engine = engine
        self._judge = judge

    async def close(self) -> None:
        await self._engine.close()

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        await self._engine.prepare(messages, specs, options)

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        free = bool(specs or options.offered) and options.tool_choice == "auto" and options.schema is None
        if free and self._judge and (answered := _answered(messages)):
            run = self._go_on(messages, specs, options, answered)
        elif free and self._judge and not options.thinking and _asks(messages):
            run = self._draft(self._judge, messages, specs, options)
        else:
            run = self._engine.stream(messages, specs, options)
        async with aclosing(run) as deltas:
            async for delta in deltas:
                yield delta

    async def _draft(
        self, judge: Judge, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        told = await signs(self._engine, messages, specs, options)
        drafted: MessageDone | None = None
        if judge.chance(told.fits, told.news, 1.0, 1.0) >= _HOPELESS:
            held: list[Delta] = []
            draft = self._engine.stream(messages, specs, replace(options, tool_choice="required"))
            async with aclosing(draft) as deltas:
                async for delta in deltas:
                    if isinstance(delta, (EngineProgress, PrefillProgress)):
                        yield delta
                        continue
                    if isinstance(delta, MessageDone):
                        delta = drafted = _priced(_once(delta), told.given)
                    held.append(delta)
            calls = drafted.message.calls if drafted else ()
            if judge.chance(told.fits, told.news, *said(calls, [*specs, *options.offered], messages)) >= _ENOUGH:
                for delta in held:
                    yield delta
                return
        async with aclosing(_given(self._without(messages, _NO_TOOL, options), drafted, told.given)) as deltas:
            async for delta in deltas:
                yield delta

    async def _go_on(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options, answered: frozenset[str]
    ) -> AsyncGenerator[Delta, None]:
        """After results: the same call again is asked about once; then the model must answer."""
        first: MessageDone | None = None
        for asked in (messages, [*messages, Message("host", (Text(_ANSWERED),))]):
            async with aclosing(self._engine.stream(asked, specs, options)) as deltas:
                async for delta in deltas:
                    if not isinstance(delta, MessageDone):
                        yield delta
                        continue
                    kept = _once(delta, answered)
                    done = _together(first, kept)
                    if kept is delta or kept.message.calls or kept.message.text.strip():
                        yield done
                        return
                    first = done
        async with aclosing(_given(self._without(messages, _IN_WORDS, options), first)) as deltas:
            async for delta in deltas:
                yield delta

    def _without(self, messages: Sequence[Message], note: str, options: Options) -> AsyncGenerator[Delta, None]:
        """The answer with no tool in sight: shown tools, a small model writes calls as text."""
        noted = [*messages, Message("host", (Text(note),))] if note else messages
        return self._engine.stream(noted, (), replace(options, tool_choice="none", offered=()))


async def _given(
    run: AsyncGenerator[Delta, None], before: MessageDone | None, judged: Surprise | None = None
) -> AsyncGenerator[Delta, None]:
    """The deltas of an answer that stands for an earlier one; nobody sees the tokens it was made with."""
    async with aclosing(run) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                delta = replace(delta, message=replace(delta.message, generated=None))
                if before is None and judged is not None:
                    delta = _priced(delta, judged)
                delta = _together(before, delta)
            yield delta


def _priced(done: MessageDone, judged: Surprise) -> MessageDone:
    """With the prompt's cost where it was first read, for the judge; the draft found it there."""
    prompt = judged.usage if judged.usage.input_tokens else done.usage
    usage = Usage(prompt.input_tokens, prompt.cached_tokens, done.usage.output_tokens)
    return replace(done, usage=usage, timings=judged.timings + done.timings)


def _together(first: MessageDone | None, last: MessageDone) -> MessageDone:
    """The last answer with the cost of both; the prompt is the first one's."""
    if first is None:
        return last
    output = first.usage.output_tokens + last.usage.output_tokens
    usage = Usage(first.usage.input_tokens, first.usage.cached_tokens, output)
    return replace(last, usage=usage, timings=first.timings + last.timings)


def _answered(messages: Sequence[Message]) -> frozenset[str]:
    """The calls of the turn that goes on which have a result."""
    turn: list[Message] = []
    for message in reversed(messages):
        if message.role == "user":
            break
        turn.append(message)
    done = {message.result.call_id for message in turn if message.result}
    return frozenset(_key(call) for message in turn for call in message.calls if call.id in done)


def _once(done: MessageDone, answered: frozenset[str] = frozenset()) -> MessageDone:
    """Without the calls that have a result already, or that stand in the answer before.

    One that was cut stays the last: nobody may take another for it.
    """
    calls, seen = done.message.calls, set(answered)
    last = len(calls) - 1 if done.cut else len(calls)
    kept: list[ToolCall] = []
    for at, call in enumerate(calls):
        if at >= last or _key(call) not in seen:
            kept.append(call)
            seen.add(_key(call))
    if len(kept) == len(calls):
        return done
    return replace(done, message=replace(done.message, calls=tuple(kept), generated=None))


def _asks(messages: Sequence[Message]) -> bool:
    """Whether nothing has happened since the last request but words of the host."""
    return next((message.role for message in reversed(messages) if message.role != "host"), "") == "user"


def _key(call: ToolCall) -> str:
    return call.name + json.dumps(call.args, sort_keys=True, ensure_ascii=False, default=str)


def _either(one: float, other: float) -> float:
    """The log of the sum of two probabilities given by their logs."""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))
