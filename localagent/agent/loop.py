"""One turn: the model answers, its calls are carried out, until it has nothing to call.

    TurnStarted (by the session)
      [ToolsOffered]                                                                 those that fit the request (by the session)
      (Steered | TakenBack)*                                                         what the person did meanwhile
      EngineProgress* PrefillProgress* (ThinkingDelta | TextDelta)* MessageDone      one answer
      [ApprovalAsked ApprovalGiven] ToolStarted ToolOutput*          one call
        [ApprovalAsked ApprovalGiven] [ChangesCommitted] ToolFinished [PlanUpdated | ToolsOffered]
      ... again, until an answer without calls, or a budget is spent
    TurnEnded

An engine failure is a `TurnEnded` with an error. The loop never appends to the history:
the session does, from these events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ..engine.base import Engine, Logprobs, Options, unfenced
from ..engine.route import Route
from ..errors import EngineError, LocalAgentError
from ..events import (
    ApprovalAsked,
    ApprovalGiven,
    Event,
    MessageDone,
    Nudged,
    PlanUpdated,
    ToolFinished,
)
from ..toolbox import planning
from ..values import Failure, Message, Status, Text, ToolCall, ToolResult
from . import choices, context, escalating, hooked, nudges
from .budget import Budget, Clock, OutOfTime
from .dispatch import Hands, dispatch
from .guard import LoopGuard
from .offering import SEARCH, Offering
from .tally import Tally

_REPEATS_BEFORE_CONCLUDING = 2
_FAILURES_BEFORE_CONCLUDING = 5
_REQUEST = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """`history` gives the messages as the session holds them now; those from `begin` on are this turn's.

    `new_id` names the next call; `news` is what the model has to be told before an answer, None for nothing. `meanwhile` gives
    the next thing that the person said or did since the last answer, None where there is none; it is over once its event was
    yielded. `schema` is the JSON Schema that the final answer must satisfy. `offering` knows the tools beside those that the prompt
    begins with. `route` knows the models beside the session's own.
    """

    engine: Engine
    hands: Hands
    history: Callable[[], Sequence[Message]]
    begin: int
    new_id: Callable[[], str]
    options: Options = Options()
    budget: Budget = Budget()
    schema: Mapping[str, Any] | None = None
    news: Callable[[], Awaitable[Nudged | None]] | None = None
    meanwhile: Callable[[], Event | None] = lambda: None
    offering: Offering | None = None
    route: Route | None = None


async def run(turn: Turn) -> AsyncGenerator[Event, None]:
    """All events of the turn but `TurnStarted`."""
    tally, clock = Tally(), Clock(turn.budget.seconds)
    if turn.route is not None:
        turn.route.begin()
    try:
        async with aclosing(_steps(turn, tally, clock)) as events:
            async for event in events:
                tally.note(event)
                yield event
        spent = _spent(turn.budget, tally) and not tally.final
        yield tally.ended("budget" if spent else "done")
    except asyncio.CancelledError:
        yield tally.ended("cancelled")
        raise
    except OutOfTime:
        yield tally.ended("time", Failure("time", f"The time budget of {turn.budget.seconds:g} s is spent."))
    except LocalAgentError as error:
        yield tally.ended("failed", Failure(error.kind, str(error)))


def _spent(budget: Budget, tally: Tally) -> bool:
    return (
        tally.turns >= budget.turns > 0
        or tally.calls >= budget.calls > 0
        or tally.usage.output_tokens >= budget.tokens > 0
    )


async def _steps(turn: Turn, tally: Tally, clock: Clock) -> AsyncGenerator[Event, None]:
    guard, nudged, insist = LoopGuard(), nudges.Nudges(), False
    while not _spent(turn.budget, tally):
        while (told := turn.meanwhile()) is not None:
            # Who hears something new may make the same call again, and stumble again.
            guard, nudged, tally.conclude, tally.broken, tally.final = LoopGuard(), nudges.Nudges(), False, False, ""
            turn.hands.answers.forget()
            yield told
        done: MessageDone | None = None
        if turn.news is not None and (told := await turn.news()) is not None:
            guard.forget()
            yield told
        if turn.offering is not None and (told := turn.offering.changed()) is not None:
            yield told
        async for delta in _answer(turn, tally, clock, insist, guard.failures):
            done = delta if isinstance(delta, MessageDone) else done
            yield delta
        if done is None:
            return
        insist = False
        if not done.message.calls:
            if turn.meanwhile() is not None:
                tally.final = done.message.text.strip()
                continue
            hint = await _going_on(done, turn, tally, nudged)
            if hint is None:
                tally.final = done.message.text.strip()
                async for event in _shaped(turn, tally, clock):
                    yield event
                return
            insist = nudged.insists and not hint.marks
            yield hint
            continue
        async for event in _calls(done, turn, tally, guard, clock):
            yield event
        tally.conclude = guard.repeats >= _REPEATS_BEFORE_CONCLUDING or guard.failures >= _FAILURES_BEFORE_CONCLUDING


async def _going_on(done: MessageDone, turn: Turn, tally: Tally, nudged: nudges.Nudges) -> Nudged | None:
    """What a model hears that has nothing more to call, None where that is the end."""
    hint = None if tally.conclude else nudged.after(done, tally, _request(turn), [spec.name for spec in turn.hands.registry.specs()])
    if hint is not None:
        return Nudged(hint)
    reason = await turn.hands.hooks.stopping(done.message.text.strip(), turn.hands.policy().mode)
    return hooked.going_on(reason) if reason else None


async def _answer(turn: Turn, tally: Tally, clock: Clock, insist: bool, stumbled: int) -> AsyncGenerator[Event, None]:
    """One answer of the model, with `insist` a call. Where it goes round in circles it is asked once more, without any tool in sight."""
    if tally.conclude:
        messages, specs, options = context.conclusion(turn.history()[turn.begin :]), (), turn.options
    else:
        messages, specs, options = context.for_model(turn.history()), turn.hands.registry.specs(), _with_offered(turn, tally)
        people = turn.hands.post.people if turn.hands.post else ()
        named = choices.sets(turn.history(), [*specs, *options.offered], turn.hands.workspace, people)
        options = replace(options, choices={**options.choices, **named}) if named else options
        options = replace(options, tool_choice="required") if insist and specs and options.tool_choice == "auto" else options
    step = escalating.Step(turn.engine, turn.route, turn.hands, turn.new_id, tally, messages, specs, options, stumbled)
    async with aclosing(clock.each(escalating.answer(step))) as deltas:
        async for delta in deltas:
            yield _named(delta, turn.new_id) if isinstance(delta, MessageDone) else delta


def _with_offered(turn: Turn, tally: Tally) -> Options:
    offered = turn.offering.callable() if turn.offering is not None else ()
    # What is being followed is not shown again: a small model calls it once more instead of following it.
    offered = tuple(spec for spec in offered if spec.name not in tally.followed)
    return replace(turn.options, offered=offered) if offered else turn.options


async def _shaped(turn: Turn, tally: Tally, clock: Clock) -> AsyncGenerator[Event, None]:
    """Where a schema is asked for: the answer once more, as JSON that the grammar holds to it."""
    if turn.schema is None:
        return
    yield Nudged(nudges.as_json(turn.schema))
    options = replace(turn.options, schema=turn.schema, thinking=False)
    stream = turn.engine.stream(context.for_model(turn.history()), turn.hands.registry.specs(), options)
    async with aclosing(clock.each(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                tally.final = unfenced(delta.message.text)
                if delta.stop == "length":
                    raise EngineError("The answer did not fit the schema within its token limit.", "Ask for less.")
            if not isinstance(delta, Logprobs):
                yield delta


async def _calls(
    done: MessageDone, turn: Turn, tally: Tally, guard: LoopGuard, clock: Clock
) -> AsyncGenerator[Event, None]:
    """All calls of an answer; then what the host says of their results, for a call and its result are not parted."""
    words: list[str] = []
    for call in done.message.calls:
        if done.cut and call is done.message.calls[-1]:
            yield _unrun(call, nudges.CUT)
            continue
        async for event in _call(call, turn, tally, guard, clock):
            yield event
            if isinstance(event, ToolFinished) and event.result.status == "ok" and event.call.name not in tally.followed:
                word = turn.hands.masks.mask(turn.hands.registry.word(event.call))
                words += [word] if word else []
                tally.followed |= {event.call.name} if word else set()
        turn.hands.hooks.check()
    for word in words:
        yield Nudged(f"{word} The request: {_request(turn)[:_REQUEST]}")


async def _call(
    call: ToolCall, turn: Turn, tally: Tally, guard: LoopGuard, clock: Clock
) -> AsyncGenerator[Event, None]:
    earlier = None if _goes_on(call.name, turn) else guard.seen(call)
    if earlier is not None:
        yield _unrun(call, nudges.repeated(earlier), "ok")
        return
    tally.calls += 1
    if tally.calls > turn.budget.calls > 0:
        yield _unrun(call, "The budget of tool calls is spent. Answer the user now.")
        return
    asked: ApprovalAsked | None = None
    async with aclosing(clock.each(dispatch(call, turn.hands))) as events:
        async for event in events:
            match event:
                case ApprovalAsked():
                    asked = event
                    told = f"localagent asks whether it may use {event.call.name}: {event.decision.reason}"
                    turn.hands.hooks.notify(told, turn.hands.policy().mode)
                case ApprovalGiven() if event.answer.verdict == "deny" and not event.answer.by_person and asked:
                    tally.denied.extend(asked.decision.missing or ("",))
                case ToolFinished():
                    guard.note(call, event.result)
                    tally.broken = event.result.status == "failed" and not _only_looks(call.name, turn)
                case _:
                    pass
            yield event
            if isinstance(event, ToolFinished) and event.result.status == "ok" and (more := _behind(event, turn)) is not None:
                yield more


def _behind(event: ToolFinished, turn: Turn) -> Event | None:
    """What a call that went well of a tool of the host's own means beside its result."""
    spec = turn.hands.registry.spec(event.call.name)
    if spec is not None and spec.source == planning.PLAN.source:
        return PlanUpdated(planning.items(event.call.args), event.call.id)
    if spec is not None and spec.source == SEARCH.source and turn.offering is not None:
        return turn.offering.found(event.call.id)
    return None


def _request(turn: Turn) -> str:
    """The user's own words of this turn, as far as they are text."""
    history = turn.history()
    parts = history[turn.begin].parts[:1] if turn.begin < len(history) else ()
    return parts[0].text if parts and isinstance(parts[0], Text) else ""


def _goes_on(name: str, turn: Turn) -> bool:
    """Whether the tool looks at something that goes on by itself: the same question has another answer each time."""
    spec = turn.hands.registry.spec(name)
    return spec is not None and not spec.staged and "run" not in spec.effects


def _only_looks(name: str, turn: Turn) -> bool:
    """A failed look is an answer (there is no such file); a failed deed is an unfinished one."""
    spec = turn.hands.registry.spec(name)
    return spec is not None and set(spec.effects) <= {"compute", "read:fs", "read:mail"}


def _named(done: MessageDone, new_id: Callable[[], str]) -> MessageDone:
    """Call ids are unique in the session, whatever the parser called them."""
    calls = tuple(replace(call, id=new_id()) for call in done.message.calls)
    return replace(done, message=replace(done.message, calls=calls))


def _unrun(call: ToolCall, text: str, status: Status = "failed") -> ToolFinished:
    return ToolFinished(call, ToolResult(call.id, (Text(text),), status))
