"""One answer of the model: from the session's own, from a bigger one that may have the step, or from a spare where an endpoint is down.

What would leave this machine is shown first, whole and without secrets, and the person or their rule (`net(HOST)`) decides. Nobody to
ask means that the step stays here. From a model of this machine to one elsewhere it never goes without that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..engine.base import Engine, Logprobs, Options
from ..engine.route import STUMBLES, TOLD, UNSURE, Other, Route, margin
from ..errors import BudgetSpent, EndpointDown, EngineError, GrammarRefused, LocalAgentError, PromptTooLong
from ..events import ApprovalAsked, ApprovalGiven, EngineProgress, Event, MessageDone, Notice, PrefillProgress
from ..policy import decide
from ..policy.context import Context
from ..values import BIGGER, Message, Text, ToolCall, ToolResult, ToolSpec
from . import asking

if TYPE_CHECKING:
    from .dispatch import Hands
    from .tally import Tally

SPEC = ToolSpec(BIGGER, "Gives this step to a model on another machine.", {"type": "object", "properties": {}}, ("net",), "host")


@dataclass(frozen=True, slots=True)
class Step:
    """What an answer is made of. `stumbled` counts the calls that failed in a row before it."""

    engine: Engine
    route: Route | None
    hands: Hands
    new_id: Callable[[], str]
    tally: Tally
    messages: Sequence[Message]
    specs: Sequence[ToolSpec]
    options: Options
    stumbled: int = 0


@dataclass(slots=True)
class _Verdict:
    allowed: bool = False


async def answer(step: Step) -> AsyncGenerator[Event, None]:
    """The events of one answer; the last is `MessageDone`. Raises what the engine raises."""
    route = step.route
    if route is None:
        async for event in _of(step, step.engine, ""):
            yield event
        return
    wished, route.wished = route.wished or route.each, False
    why = "you wished it" if wished else ""
    if not why and route.watches and step.stumbled >= STUMBLES:
        why = f"{step.stumbled} calls in a row have failed"
    gone = _Verdict()
    if why:
        async for event in _given_away(step, route, why, wished, gone):
            yield event
        if gone.allowed:
            return
    held: MessageDone | None = None
    async for event in _own(step, route):
        if isinstance(event, MessageDone) and not event.by and not why and event.message.calls and route.watches:
            held = event
        else:
            yield event
    if held is None:
        return
    # It has a margin where the engine tells of its tokens; `_own` left that on the route's watch.
    least = _margin(held, step, route)
    if least is not None and least < UNSURE:
        told = f"the model is unsure which tool to call ({held.message.calls[0].name}; margin {least:.2f} of {UNSURE:g})"
        async for event in _given_away(step, route, told, False, gone):
            yield event
    if not gone.allowed:
        yield held


def _margin(done: MessageDone, step: Step, route: Route) -> float | None:
    names = [spec.name for spec in (*step.specs, *step.options.offered)]
    return margin(route.heard, done.message.calls[0].name, names)


# ---------------------------------------------------------------- the own model, and what stands in for it


async def _own(step: Step, route: Route) -> AsyncGenerator[Event, None]:
    """The session's own model; where it is down, the next of the spares. Nothing said is said twice."""
    trouble: LocalAgentError | None = None
    away = route.away
    for other in (None, *route.spares):
        name = step.engine.model if other is None else other.id
        if route.down(name) and route.spares:
            trouble = trouble or EndpointDown(f"{name} was down a moment ago.")
            continue
        try:
            engine = step.engine if other is None else other.engine()
        except LocalAgentError as error:
            yield Notice(f"{name} cannot stand in: {error}", "warning")
            continue
        if other is not None:
            gone = _Verdict(True)
            told = f"{trouble.message if trouble else 'The model is down.'} Going on with {name}."
            if other.away and not away:
                async for event in _asked(step, other, engine, f"the model of this machine failed: {trouble}", gone):
                    yield event
            if not gone.allowed:
                continue
            yield Notice(told, "warning")
        said = False
        try:
            async for event in _of(step, engine, "" if other is None else name):
                said = said or not isinstance(event, EngineProgress | PrefillProgress)
                yield event
            return
        except EngineError as error:
            down = isinstance(error, EndpointDown) or not _is_away(other, away)
            if said or not down or isinstance(error, PromptTooLong | GrammarRefused) or not route.spares:
                raise
            trouble = error
            route.fell(name)
    raise trouble or EndpointDown("No model can be reached.", "Try again later.")


def _is_away(other: Other | None, own: bool) -> bool:
    return own if other is None else other.away


async def _of(step: Step, engine: Engine, by: str) -> AsyncGenerator[Event, None]:
    """One engine's answer. What a model of this machine tells of its tokens is kept for the margin."""
    route, options = step.route, step.options
    watched = route is not None and route.watches and not by and not route.away and bool(step.specs) and options.logprobs is None
    if route is not None:
        route.heard = []
    options = replace(options, logprobs=TOLD) if watched else options
    async with aclosing(engine.stream(step.messages, step.specs, options)) as deltas:
        async for delta in deltas:
            if isinstance(delta, Logprobs):
                if route is not None:
                    route.heard += delta.tokens
            elif isinstance(delta, MessageDone) and by:
                yield replace(delta, by=by)
            else:
                yield delta


# ---------------------------------------------------------------- the bigger one


async def _given_away(step: Step, route: Route, why: str, wished: bool, gone: _Verdict) -> AsyncGenerator[Event, None]:
    """The answer of the bigger model, where it may have the step and gives one; `gone` says whether it did."""
    other = route.bigger
    assert other is not None
    masked = replace(step, messages=[_masked(message, step) for message in step.messages])
    try:
        engine = other.engine()
        async for event in _asked(masked, other, engine, why, gone, standing=route.escalate == "always", wished=wished):
            yield event
    except LocalAgentError as error:
        gone.allowed = False
        yield Notice(f"{other.id} cannot be asked: {error} The step stays with {step.engine.model}.", "warning")
        return
    if not gone.allowed:
        route.refused = True
        return
    gone.allowed = False
    try:
        async for event in _of(masked, engine, other.id):
            gone.allowed = gone.allowed or isinstance(event, MessageDone)
            yield event
    except (EngineError, BudgetSpent) as error:
        gone.allowed = False
        yield Notice(f"{other.id} gave no answer: {error} The step stays with {step.engine.model}.", "warning")
        return
    except LocalAgentError as error:
        gone.allowed = False
        yield Notice(f"{other.id} refused: {error} The step stays with {step.engine.model}.", "warning")
        return
    yield Notice(f"This step was answered by {other.id}.")


async def _asked(
    step: Step, other: Other, engine: Engine, why: str, gone: _Verdict, *, standing: bool = False, wished: bool = False
) -> AsyncGenerator[Event, None]:
    """Whether the step may go to that model: by the rules, else by the person, who sees what would leave."""
    if not other.away:
        gone.allowed = True
        return
    from ..engine.remote import keys, preview

    hands, remote = step.hands, other.entry.remote
    endpoint = getattr(engine, "endpoint", engine)
    known, body = endpoint.request(step.messages, step.specs, step.options)
    shown = preview.leaving(other.entry, body, step.messages, known, endpoint.on)
    assert remote is not None and not keys.is_here(remote)
    args = {name: text for name in preview.SHOWN if (text := getattr(shown, name))}
    life = asking.Life(ToolCall(step.new_id(), BIGGER, {"why": why, **args}), ToolResult("", ()))
    life.real = ToolCall(life.call.id, BIGGER, {"url": remote.base_url})
    decision = decide.before(life.real, SPEC, _here(hands.policy()))
    if decision.verdict == "ask" and standing and not decision.rule.startswith("ask "):
        decision = replace(decision, verdict="allow", reason="your setting `escalate: always` allows it", rule="escalate: always")
    elif decision.verdict == "ask":
        decision = replace(decision, reason=f"{why}, and {other.id} is on another machine: all that is shown here would be sent there")
    desk = asking.Desk(lambda: _here(hands.policy()), hands.approve, hands.remember, hands.answers, hands.record, hands.masks)
    by_person = True
    async for event in asking.settle(life, SPEC, decision, (), desk):
        if isinstance(event, ApprovalGiven):
            by_person = event.answer.by_person
        elif isinstance(event, ApprovalAsked):
            decision = event.decision
        yield event
    gone.allowed = life.decision.verdict == "allow" and life.edited is None
    if gone.allowed:
        yield Notice(f"{shown.model} at {shown.to} is asked: {shown.size}, {shown.price or 'price not known'}.")
        return
    if not by_person and wished:
        step.tally.denied.extend(decision.missing or ("",))
    how = "" if by_person else f" `--allow 'net({shown.to.split(' ')[0]})'` or the setting `escalate: always` would allow it."
    yield Notice(f"Nothing was sent to {shown.to.split(' ')[0]} ({life.decision.reason}); the step stays with {step.engine.model}.{how}")


def _here(ctx: Context) -> Context:
    """Which model answers is no effect on the files: the modes do not matter for it, and what leaves asks in each of them."""
    return replace(ctx, mode="ask")


def _masked(message: Message, step: Step) -> Message:
    """Once more without secrets: what became known for one since it was said is hidden too."""
    mask, masks = step.hands.masks.mask, step.hands.masks
    parts = tuple(Text(mask(part.text)) if isinstance(part, Text) else part for part in message.parts)
    result = message.result
    if result is not None:
        result = replace(result, parts=tuple(Text(mask(part.text)) if isinstance(part, Text) else part for part in result.parts))
    calls = tuple(replace(call, args=masks.mask_in(call.args)) for call in message.calls)
    return replace(message, parts=parts, thinking=mask(message.thinking), calls=calls, result=result)

