"""One question to a person: put, answered, recorded, remembered; never twice for the same thing."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..events import ApprovalAsked, ApprovalGiven, Event
from ..policy import rules
from ..policy.context import Context
from ..values import Answer, Change, Decision, Outgoing, Proposal, ToolCall, ToolResult, ToolSpec
from . import answers, record
from .answers import Answers
from .masks import Masks

Approver = Callable[[ToolCall, Decision, tuple[Proposal, ...]], Awaitable[Answer]]


class Remember(Protocol):
    def __call__(self, rule: str, scope: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What asking needs: the rules as they are now, who answers, who keeps an answer, and what was answered before."""

    policy: Callable[[], Context]
    approve: Approver
    remember: Remember
    answers: Answers
    record: record.Recorder
    masks: Masks


@dataclass(slots=True)
class Life:
    """One call on its way.

    `call` is what everybody sees, `real` the same with secrets put back for the tool. `result` is final
    once `settled`; `edited` is the call that a person made of it. `bound` is the hash of what was asked about,
    `waited` the seconds that answers took. `note` is in words what the call comes to. `edited_by` says
    who made `edited`, `told` what hooks tell the model of it. `seen` are the files that the tool
    reads, as they were before it did.
    """

    call: ToolCall
    result: ToolResult
    real: ToolCall = field(init=False)
    settled: bool = False
    edited: ToolCall | None = None
    decision: Decision = Decision("deny", "nothing was decided")
    bound: str = ""
    ran: bool = False
    seen: Mapping[str, str] = field(default_factory=dict)
    waited: float = 0.0
    note: str = ""
    edited_by: str = "The user"
    told: str = ""

    def __post_init__(self) -> None:
        self.real = self.call

    def ends(self, result: ToolResult) -> None:
        self.result, self.settled = result, True


async def settle(
    life: Life, spec: ToolSpec, decision: Decision, changes: tuple[Proposal, ...], desk: Desk
) -> AsyncGenerator[Event, None]:
    """Turn "ask" into a verdict, in `life.decision`; every decision is recorded."""
    decision = _hidden(decision, desk.masks)
    if decision.verdict != "ask":
        _decide(life, decision, None, changes, desk)
        return
    decision = _hidden(_with_rules(decision, life.real, spec, changes, desk.policy()), desk.masks)
    known = answers.key(life.call, changes, decision, life.bound)
    earlier = desk.answers.earlier(known, decision)
    if earlier is not None:
        _decide(life, earlier, None, changes, desk)
        return
    yield ApprovalAsked(life.call, decision, changes)
    asked = time.monotonic()
    try:
        answer = await desk.approve(life.call, decision, changes)
    finally:
        life.waited += time.monotonic() - asked
    answer = sound(answer, desk.masks)
    desk.answers.note(known, answer, spec)
    yield ApprovalGiven(life.call.id, answer)
    if answer.verdict == "allow" and answer.edited_args is not None:
        life.edited = replace(life.call, args=answer.edited_args)
    elif answer.verdict == "allow" and answer.scope != "once" and decision.remember:
        rule = answer.rule or decision.remember
        if rules.storable(rule):
            desk.remember(rule, answer.scope)
    _decide(life, replace(decision, verdict=answer.verdict, reason=_said(answer)), answer, changes, desk)


def _decide(life: Life, decision: Decision, answer: Answer | None, changes: Sequence[Proposal], desk: Desk) -> None:
    life.decision = decision
    desk.record("decided", desk.masks.mask_in(record.decided(life.call, decision, answer, changes, life.bound)))


def sound(answer: object, masks: Masks) -> Answer:
    """An answer of another form is none, and none is no. What a person types may hold a secret, too."""
    if not isinstance(answer, Answer) or answer.verdict not in ("allow", "deny"):
        return Answer("deny", note="the answer could not be read", by_person=False)
    if answer.edited_args is not None:
        return replace(answer, edited_args=masks.mask_in(answer.edited_args), note=masks.mask(answer.note))
    return replace(answer, note=masks.mask(answer.note)) if answer.note else answer


def _hidden(decision: Decision, masks: Masks) -> Decision:
    """It was made of the call with its secrets put back: a path may hold one. A rule that does is not offered."""
    kept = decision.remember if masks.mask(decision.remember) == decision.remember else ""
    missing = tuple(rule for rule in decision.missing if masks.mask(rule) == rule)
    return replace(decision, reason=masks.mask(decision.reason), remember=kept, missing=missing)


def _with_rules(
    decision: Decision, call: ToolCall, spec: ToolSpec, changes: Sequence[Proposal], ctx: Context
) -> Decision:
    # What a hook asks, no rule answers: it would ask again.
    if decision.rule == "hook" or any(isinstance(one, Outgoing) for one in changes):
        return decision
    changes = [one for one in changes if isinstance(one, Change)]
    kept = rules.remembered(call, spec, changes, ctx)
    return replace(decision, remember=kept, missing=rules.needed(call, spec, changes, ctx))


def _said(answer: Answer) -> str:
    if answer.verdict == "allow":
        return "the user agreed" if answer.by_person else answer.note
    return answer.note or "the user said no"
