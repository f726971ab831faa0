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
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..engine.base import Engine, Logprobs, Options, unfenced
from ..errors import EngineError, LocalAgentError, PromptTooLong
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
from ..toolbox.checks import Check
from ..values import Failure, Message, Status, Text, ToolCall, ToolResult
from . import agreement, choices, context, hooked, nudges, tongue
from .agreement import Agreement
from .budget import Budget, Clock, OutOfTime
from .checklist import Checklist
from .dispatch import Hands, dispatch
from .guard import LoopGuard
from .offering import SEARCH, Offering
from .room import Room
from .tally import Tally

_REPEATS_BEFORE_CONCLUDING = 2
_FAILURES_BEFORE_CONCLUDING = 5
_REQUEST = 500


class Script(Protocol):
    """An engine that may answer in a model's place (`recipes.play`); `playing` says whether it does now."""

    playing: bool

    async def before(self, history: Sequence[Message]) -> list[Event]:
        """Told, with the messages of the turn, before each answer. Raises LocalAgentError where it cannot go on."""
        ...

    async def goes_on(self, history: Sequence[Message]) -> Nudged | None:
        """Why the turn is not over when an answer calls nothing, None where it is."""
        ...

    def over(self, denied: bool) -> None:
        """The last answer is there. Raises LocalAgentError where that is no good end; `denied`: for want of a person."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """`history` gives the messages as the session holds them now; those from `begin` on are this turn's.

    `new_id` names the next call; `news` is what the model has to be told before an answer, None for nothing. `meanwhile` gives
    the next thing that the person said or did since the last answer, None where there is none; it is over once its event was
    yielded. `schema` is the JSON Schema that the final answer must satisfy. `offering` knows the tools beside those that the prompt
    begins with, `room` what is shown of the history, and keeps it so that it fits. `checks` are the user's own, which have to hold at
    the end; `agreed` keeps what a person agrees to with a plan, None where no plan can be proposed.
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
    checks: Sequence[Check] = ()
    agreed: Agreement | None = None
    room: Room | None = None

    def messages(self) -> list[Message]:
        """What the model is shown."""
        return context.for_model(self.history() if self.room is None else self.room.shown)

    @property
    def script(self) -> Script | None:
        return script(self.engine)

    @property
    def plays(self) -> bool:
        """Whether no model answers now."""
        return self.script is not None and self.script.playing


def script(engine: Engine) -> Script | None:
    """What it answers by, None for a model."""
    found: Script | None = getattr(engine, "script", None)
    return found


async def run(turn: Turn) -> AsyncGenerator[Event, None]:
    """All events of the turn but `TurnStarted`."""
    tally, clock = Tally(), Clock(turn.budget.seconds)
    checklist = Checklist(turn.checks, turn.hands, tally, turn.agreed)
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
                more = _shaped(turn, tally, clock) if turn.schema is not None else _retold(turn, tally, clock)
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
    hint = nudged.after(done, tally, _request(turn), [spec.name for spec in turn.hands.registry.specs()])
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
        async for event in _answer(turn, tally, clock, insist):
            yield event
        return
    for must in (False, True):
        async with aclosing(clock.each(turn.room.fit(must=must))) as events:
            async for event in events:
                # What was answered before may not be shown any more.
                guard.forget()
                yield event
        try:
            async for event in _answer(turn, tally, clock, insist):
                yield event
            return
        except PromptTooLong:
            if must:
                raise


async def _answer(turn: Turn, tally: Tally, clock: Clock, insist: bool) -> AsyncGenerator[Event, None]:
    """One answer of the model, with `insist` a call. Where it goes round in circles it is asked once more, without any tool in sight."""
    if tally.conclude:
        messages, specs, options = context.conclusion(turn.history()[turn.begin :], turn.room.size if turn.room else 0), (), turn.options
    else:
        messages, specs, options = turn.messages(), turn.hands.registry.specs(), _with_offered(turn, tally)
        people = turn.hands.post.people if turn.hands.post else ()
        named = choices.sets(turn.history(), [*specs, *options.offered], turn.hands.workspace, people)
        options = replace(options, choices={**options.choices, **named}) if named else options
        options = replace(options, tool_choice="required") if insist and specs and options.tool_choice == "auto" else options
    stream = turn.engine.stream(messages, specs, options)
    async with aclosing(clock.each(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                delta = _named(delta, turn.new_id)
            if not isinstance(delta, Logprobs):
                yield delta


def _with_offered(turn: Turn, tally: Tally) -> Options:
    offered = turn.offering.callable() if turn.offering is not None else ()
    # What is being followed is not shown again: a small model calls it once more instead of following it.
    offered = tuple(spec for spec in offered if spec.name not in tally.followed)
    return replace(turn.options, offered=offered) if offered else turn.options


async def _shaped(turn: Turn, tally: Tally, clock: Clock) -> AsyncGenerator[Event, None]:
    """The answer once more, as JSON that the grammar holds to the schema that is asked for."""
    yield Nudged(nudges.as_json(turn.schema))
    options = replace(turn.options, schema=turn.schema, thinking=False)
    if turn.room is not None:
        async with aclosing(clock.each(turn.room.fit())) as events:
            async for event in events:
                yield event
    stream = turn.engine.stream(turn.messages(), turn.hands.registry.specs(), options)
    async with aclosing(clock.each(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                tally.final = unfenced(delta.message.text)
                if delta.stop == "length":
                    raise EngineError("The answer did not fit the schema within its token limit.", "Ask for less.")
            if not isinstance(delta, Logprobs):
                yield delta


async def _retold(turn: Turn, tally: Tally, clock: Clock) -> AsyncGenerator[Event, None]:
    """Where the person wrote another language and was answered in English, as small models do behind a call: the answer in theirs."""
    request = _request(turn)[:_REQUEST]
    language = tongue.missed(request, tally.final)
    if not language or (turn.budget.turns and tally.turns >= turn.budget.turns):
        return
    yield Nudged(nudges.in_language(language))
    stream = turn.engine.stream(context.retelling(tally.final, language), (), replace(turn.options, thinking=False))
    async with aclosing(clock.each(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                text = delta.message.text.strip()
                tally.final = tally.final if not text or tongue.missed(request, text) else text
            if not isinstance(delta, Logprobs):
                yield delta


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
        yield Nudged(f"{word} The request: {_request(turn)[:_REQUEST]}")
    if (open_step := checklist.stepped()) is not None:
        yield open_step


async def _call(
    call: ToolCall, turn: Turn, tally: Tally, guard: LoopGuard, clock: Clock, checklist: Checklist
) -> AsyncGenerator[Event, None]:
    earlier = None if turn.plays or _goes_on(call.name, turn) else guard.seen(call)
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
                    tally.broken = (event.result.status == "failed" and not _only_looks(call.name, turn)) or slipped
                case _:
                    pass
            yield event
            if isinstance(event, ToolFinished) and event.result.status == "ok" and (more := _behind(event, turn)) is not None:
                yield more


async def _carried_out(call: ToolCall, turn: Turn, checklist: Checklist) -> AsyncGenerator[Event, None]:
    """The life of a call, and what one of the plan says."""
    async with aclosing(dispatch(call, turn.hands)) as events:
        async for event in events:
            if isinstance(event, ToolFinished) and event.result.status == "ok" and _source(event, turn) == planning.PLAN.source:
                async for told in checklist.called(event):
                    yield told
            else:
                yield event


def _behind(event: ToolFinished, turn: Turn) -> Event | None:
    """What a search for tools means beside its result."""
    return turn.offering.found(event.call.id) if _source(event, turn) == SEARCH.source and turn.offering is not None else None


def _source(event: ToolFinished, turn: Turn) -> str:
    spec = turn.hands.registry.spec(event.call.name)
    return spec.source if spec is not None else ""


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
