"""One turn: the model answers, its calls are carried out, until it has nothing to call.

    TurnStarted (by the session)
      [ToolsOffered]                                                                 those that fit the request (by the session)
      (Steered | TakenBack)*                                                         what the person did meanwhile
      [EngineProgress* PrefillProgress* Compacted [ToolsOffered]]    where the conversation does not fit any more
      EngineProgress* PrefillProgress* (ThinkingDelta | TextDelta)* MessageDone      one answer
      [ApprovalAsked ApprovalGiven] ToolStarted ToolOutput*          one call
        [ApprovalAsked ApprovalGiven] [ChangesCommitted] ToolFinished [PlanUpdated | ToolsOffered]
      ... again, until an answer without calls behind which every check holds, or a budget is spent
    TurnEnded

An engine failure is a `TurnEnded` with an error. The loop never appends to the history:
the session does, from these events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from ..engine.base import Options
from ..errors import LocalAgentError, PromptTooLong
from ..events import (
    ApprovalAsked,
    ApprovalGiven,
    Event,
    MessageDone,
    Nudged,
    ToolFinished,
)
from ..policy import harm
from ..toolbox import planning
from ..values import Failure, Status, Text, ToolCall, ToolResult
from . import agreement, choices, context, escalating, hooked, last, nudges
from .budget import Budget, Clock, OutOfTime
from .checklist import Checklist
from .dispatch import dispatch
from .guard import LoopGuard
from .offering import SEARCH
from .tally import Tally
from .turn import REQUEST, Turn, goes_on, only_looks, request, source

_REPEATS_BEFORE_CONCLUDING = 2
_FAILURES_BEFORE_CONCLUDING = 5


async def run(turn: Turn) -> AsyncGenerator[Event, None]:
    """All events of the turn but `TurnStarted`."""
    tally, clock = Tally(), Clock(turn.budget.seconds)
    checklist = Checklist(turn.checks, turn.hands, tally, turn.agreed)
    if turn.route is not None:
        turn.route.begin()
    try:
        async with aclosing(_steps(turn, tally, clock, checklist)) as events:
            async for event in events:
                tally.note(event)
                yield event
        if not checklist.looked:
            async for event in clock.each(checklist.ended(again=False)):
                yield event
        spent = _spent(turn.budget, tally) and not tally.final
        if turn.script is not None and not spent:
            turn.script.over(bool(tally.denied))
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


async def _steps(turn: Turn, tally: Tally, clock: Clock, checklist: Checklist) -> AsyncGenerator[Event, None]:
    guard, nudged, insist = LoopGuard(), nudges.Nudges(), False
    if told := checklist.opening():
        yield Nudged(told)
    while not _spent(turn.budget, tally):
        while (told := turn.meanwhile()) is not None:
            # Who hears something new may make the same call again, and stumble again.
            guard, nudged, tally.conclude, tally.broken, tally.final = LoopGuard(), nudges.Nudges(), False, False, ""
            turn.hands.answers.forget()
            checklist.heard()
            yield told
        done: MessageDone | None = None
        async for told in _news(turn, guard):
            yield told
        async for delta in _fitting(turn, tally, clock, insist, guard):
            done = delta if isinstance(delta, MessageDone) else done
            yield delta
        if done is None:
            return
        insist = False
        if not done.message.calls:
            if turn.meanwhile() is not None:
                tally.final = done.message.text.strip()
                continue
            hint = await _stumbled(done, turn, tally, nudged)
            again = not tally.conclude and hint is None and not turn.plays
            async for event in clock.each(checklist.ended(again=again, look=hint is None)):
                hint = event if isinstance(event, Nudged) else hint
                if event is not hint:
                    yield event
            hint = hint or await _going_on(done, turn)
            if hint is None:
                tally.final = done.message.text.strip()
                more = last.shaped(turn, tally, clock) if turn.schema is not None else last.retold(turn, tally, clock)
                async for event in more:
                    yield event
                return
            insist = nudged.insists and not hint.marks
            yield hint
            continue
        async for event in _calls(done, turn, tally, guard, clock, checklist):
            yield event
        tally.conclude = guard.repeats >= _REPEATS_BEFORE_CONCLUDING or guard.failures >= _FAILURES_BEFORE_CONCLUDING


async def _news(turn: Turn, guard: LoopGuard) -> AsyncGenerator[Event, None]:
    """What has changed since the last answer, on the disk and among the tools, and what the recipe that is played has to say."""
    if turn.news is not None and (told := await turn.news()) is not None:
        guard.forget()
        yield told
    if turn.offering is not None and (more := turn.offering.changed()) is not None:
        yield more
    for event in await turn.script.before(turn.history()[turn.begin :]) if turn.script is not None else ():
        guard.forget()
        yield event


async def _stumbled(done: MessageDone, turn: Turn, tally: Tally, nudged: nudges.Nudges) -> Nudged | None:
    """What a model hears that has nothing more to call though it stumbled, None where it did not."""
    if tally.conclude or turn.plays:
        return None
    hint = nudged.after(done, tally, request(turn), [spec.name for spec in turn.hands.registry.specs()])
    return None if hint is None else Nudged(hint)


async def _going_on(done: MessageDone, turn: Turn) -> Nudged | None:
    """What the recipe that is played, or the user's hooks, have to say to its end."""
    plays = turn.plays
    if turn.script is not None and (more := await turn.script.goes_on(turn.history()[turn.begin :])) is not None:
        return more
    reason = await turn.hands.hooks.stopping(done.message.text.strip(), turn.hands.policy().mode)
    return hooked.going_on(reason) if reason and not plays else None


async def _fitting(turn: Turn, tally: Tally, clock: Clock, insist: bool, guard: LoopGuard) -> AsyncGenerator[Event, None]:
    """One answer to a conversation that is shortened before where it does not fit, and once more where the engine says so."""
    if turn.room is None or tally.conclude:
        async for event in _answer(turn, tally, clock, insist, guard.failures):
            yield event
        return
    for must in (False, True):
        async with aclosing(clock.each(turn.room.fit(must=must))) as events:
            async for event in events:
                # What was answered before may not be shown any more.
                guard.forget()
                yield event
        try:
            async for event in _answer(turn, tally, clock, insist, guard.failures):
                yield event
            return
        except PromptTooLong:
            if must:
                raise


async def _answer(turn: Turn, tally: Tally, clock: Clock, insist: bool, stumbled: int) -> AsyncGenerator[Event, None]:
    """One answer of the model, with `insist` a call. Where it goes round in circles it is asked once more, without any tool in sight."""
    if tally.conclude:
        messages, specs, options = context.conclusion(turn.history()[turn.begin :], turn.room.size if turn.room else 0), (), turn.options
    else:
        messages, specs, options = turn.messages(), turn.hands.registry.specs(), _with_offered(turn, tally)
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


async def _calls(
    done: MessageDone, turn: Turn, tally: Tally, guard: LoopGuard, clock: Clock, checklist: Checklist
) -> AsyncGenerator[Event, None]:
    """All calls of an answer; then what the host says of their results, for a call and its result are not parted."""
    words: list[str] = []
    for call in done.message.calls:
        if done.cut and call is done.message.calls[-1]:
            yield _unrun(call, nudges.CUT)
            continue
        async for event in _call(call, turn, tally, guard, clock, checklist):
            yield event
            if isinstance(event, ToolFinished) and event.result.status == "ok" and event.call.name not in tally.followed:
                word = turn.hands.masks.mask(turn.hands.registry.word(event.call))
                words += [word] if word else []
                tally.followed |= {event.call.name} if word else set()
        turn.hands.hooks.check()
    for word in words:
        yield Nudged(f"{word} The request: {request(turn)[:REQUEST]}")
    if (open_step := checklist.stepped()) is not None:
        yield open_step


async def _call(
    call: ToolCall, turn: Turn, tally: Tally, guard: LoopGuard, clock: Clock, checklist: Checklist
) -> AsyncGenerator[Event, None]:
    earlier = None if turn.plays or goes_on(call.name, turn) else guard.seen(call)
    if earlier is not None:
        yield _unrun(call, nudges.repeated(earlier), "ok")
        return
    tally.calls += 1
    if tally.calls > turn.budget.calls > 0:
        yield _unrun(call, "The budget of tool calls is spent. Answer the user now.")
        return
    asked: ApprovalAsked | None = None
    async with aclosing(clock.each(_carried_out(call, turn, checklist))) as events:
        async for event in events:
            match event:
                case ApprovalAsked():
                    asked = event
                    told = f"localagent asks whether it may use {event.call.name}: {event.decision.reason}"
                    turn.hands.hooks.notify(told, turn.hands.policy().mode)
                case ApprovalGiven() if event.answer.verdict == "deny" and not event.answer.by_person and asked:
                    # A plan that nobody was there to agree to is what a plan alone is for.
                    tally.denied.extend(() if asked.decision == agreement.QUESTION else asked.decision.missing or ("",))
                case ToolFinished():
                    guard.note(call, event.result)
                    slipped = event.result.status == "denied" and asked is not None and harm.OVERRUN in asked.decision.reason
                    tally.broken = (event.result.status == "failed" and not only_looks(call.name, turn)) or slipped
                case _:
                    pass
            yield event
            if isinstance(event, ToolFinished) and event.result.status == "ok" and (more := _behind(event, turn)) is not None:
                yield more


async def _carried_out(call: ToolCall, turn: Turn, checklist: Checklist) -> AsyncGenerator[Event, None]:
    """The life of a call, and what one of the plan says."""
    async with aclosing(dispatch(call, turn.hands)) as events:
        async for event in events:
            if isinstance(event, ToolFinished) and event.result.status == "ok" and source(event, turn) == planning.PLAN.source:
                async for told in checklist.called(event):
                    yield told
            else:
                yield event


def _behind(event: ToolFinished, turn: Turn) -> Event | None:
    """What a search for tools means beside its result."""
    return turn.offering.found(event.call.id) if source(event, turn) == SEARCH.source and turn.offering is not None else None


def _named(done: MessageDone, new_id: Callable[[], str]) -> MessageDone:
    """Call ids are unique in the session, whatever the parser called them."""
    calls = tuple(replace(call, id=new_id()) for call in done.message.calls)
    return replace(done, message=replace(done.message, calls=calls))


def _unrun(call: ToolCall, text: str, status: Status = "failed") -> ToolFinished:
    return ToolFinished(call, ToolResult(call.id, (Text(text),), status))
