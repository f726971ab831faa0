"""The life of one call: repair, judge, run, judge its changes, commit, report.

A failure of the tool, a refusal and a conflict on disk all end as a `ToolResult` whose
text tells the model what to do next. Nothing here raises for them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..errors import LocalAgentError
from ..events import ApprovalAsked, ApprovalGiven, ChangesCommitted, Event, ToolFinished, ToolOutput, ToolStarted
from ..policy import decide, harm, rules
from ..policy.decide import Context
from ..store.journal import Journal, reach
from ..toolbox import schema
from ..toolbox.registry import Registry
from ..values import Answer, Change, Decision, Receipt, Status, Text, ToolCall, ToolResult, ToolSpec
from . import shown
from .tally import receipt

_EFFECTS_TOLD = 12

Approver = Callable[[ToolCall, Decision, tuple[Change, ...]], Awaitable[Answer]]


class Remember(Protocol):
    def __call__(self, rule: str, scope: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What a call needs from its session.

    `policy` gives the rules as they are now; `remember` keeps a rule, `used` hears which one decided,
    `lost` how many files a commit has deleted.
    """

    registry: Registry
    journal: Journal
    workspace: Path
    session_id: str
    policy: Callable[[], Context]
    approve: Approver
    remember: Remember
    used: Callable[[str], None]
    lost: Callable[[int], None]
    dry_run: bool = False


@dataclass(slots=True)
class _Life:
    """One call on its way: its result so far, whether that is final, or the call that a person made of it."""

    call: ToolCall
    result: ToolResult
    settled: bool = False
    edited: ToolCall | None = None

    def ends(self, result: ToolResult) -> None:
        self.result, self.settled = result, True


async def dispatch(call: ToolCall, hands: Hands) -> AsyncGenerator[Event, None]:
    """Everything that happens to one call; the last event is its `ToolFinished`."""
    started = time.monotonic()
    life = _Life(call, _result(call, "failed", f"{call.name} ended without a result."))
    interrupted: asyncio.CancelledError | None = None
    try:
        async for event in _live(life, hands):
            yield event
    except asyncio.CancelledError as error:
        interrupted = error
    finally:
        hands.registry.release(call.id)
    if life.edited is not None:
        async for event in dispatch(life.edited, hands):
            yield event
        return
    result = life.result
    if interrupted is not None and not life.settled:
        result = replace(_result(call, "cancelled", "Interrupted; nothing was changed."), receipts=result.receipts)
    yield ToolFinished(life.call, result, time.monotonic() - started)
    if interrupted is not None:
        raise interrupted


async def _live(life: _Life, hands: Hands) -> AsyncGenerator[Event, None]:
    call = life.call
    spec = hands.registry.spec(call.name)
    if spec is None:
        known = ", ".join(s.name for s in hands.registry.specs())
        life.ends(_result(call, "failed", f"There is no tool {call.name!r}. The tools are: {known}."))
        return
    args, _, errors = schema.repair(spec.parameters, call.args)
    args, _ = schema.settle_paths(spec.parameters, args, hands.workspace)
    life.call = call = replace(call, args=args)
    if errors:
        life.ends(_result(call, "failed", f"{call.name} was not run: {' '.join(errors)}"))
        return
    decision = decide.before(call, spec, hands.policy())
    if decision.verdict == "ask":
        decision = _with_rules(decision, call, spec, (), hands)
        yield ApprovalAsked(call, decision)
        answer = await hands.approve(call, decision, ())
        yield ApprovalGiven(call.id, answer)
        decision = _after_answer(answer, decision, life, hands)
    if life.edited is not None:
        return
    if decision.verdict == "deny":
        life.ends(_denied(call, decision))
        return
    hands.used(decision.rule)
    yield ToolStarted(call, decision)
    async with aclosing(hands.registry.call(call)) as output:
        async for item in output:
            if isinstance(item, str):
                yield ToolOutput(call.id, item)
            else:
                life.result = item
    async for event in _settle(life, spec, hands):
        yield event
    if "run" in spec.effects and life.result.status in ("ok", "failed"):
        life.result = _with_effect(life.result, str(hands.workspace))
    life.settled = True


async def _settle(life: _Life, spec: ToolSpec, hands: Hands) -> AsyncGenerator[Event, None]:
    """Judge the proposed changes and commit them, or throw them away."""
    call, result, changes = life.call, life.result, life.result.requests
    if not changes:
        return
    # Where the paths lead is settled before anybody is asked: what is agreed to is what is carried out.
    roots = await asyncio.to_thread(reach, changes, hands.workspace)
    decision = decide.after(call, spec, changes, hands.policy())
    if decision.verdict == "ask":
        decision = _with_rules(decision, call, spec, changes, hands)
        yield ApprovalAsked(call, decision, changes)
        answer = await hands.approve(call, decision, changes)
        yield ApprovalGiven(call.id, answer)
        decision = _after_answer(answer, decision, life, hands)
    if life.edited is not None:
        return
    if decision.verdict == "deny":
        life.ends(_denied(call, decision, result.receipts))
        return
    hands.used(decision.rule)
    if hands.dry_run:
        life.ends(replace(result, parts=(*result.parts, Text("\n(dry run: nothing was changed)"))))
        return
    async for event in _commit(life, roots, hands):
        yield event


async def _commit(life: _Life, roots: Sequence[str], hands: Hands) -> AsyncGenerator[Event, None]:
    """Through the journal.

    An interruption stops a commit that has not begun and waits for one that has: half a commit
    is not to be had, nor one that is not told.
    """
    call, result, changes = life.call, life.result, life.result.requests
    # Counted before the commit: it looks at the disk.
    lost, stop = harm.lost(changes, hands.policy()), threading.Event()
    commit = asyncio.ensure_future(
        asyncio.to_thread(
            hands.journal.commit,
            changes,
            roots,
            session=hands.session_id,
            call=call.id,
            label=_label(call),
            stop=stop,
        )
    )
    interrupted: asyncio.CancelledError | None = None
    while not commit.done():
        try:
            await asyncio.wait([commit])
        except asyncio.CancelledError as error:
            interrupted = error
            stop.set()
    try:
        step = commit.result()
    except LocalAgentError as error:
        told = str(error) if interrupted is not None else f"Nothing was changed: {error}"
        failed = _result(call, "failed", told)
        life.ends(replace(failed, receipts=result.receipts))
    else:
        receipts = (*result.receipts, *(receipt(change) for change in changes))
        life.ends(replace(result, requests=(), receipts=receipts))
        hands.lost(lost)
        yield ChangesCommitted(call.id, step.number, changes)
    if interrupted is not None:
        raise interrupted


def _after_answer(answer: Answer, decision: Decision, life: _Life, hands: Hands) -> Decision:
    """The decision as a person (or a flag) has settled it; edited arguments make a new call, judged again."""
    _keep(answer, decision, hands)
    if answer.verdict == "allow" and answer.edited_args is not None:
        life.edited = replace(life.call, args=answer.edited_args)
    return replace(decision, verdict=answer.verdict, reason=_said(answer, decision))


def _with_effect(result: ToolResult, folder: str) -> ToolResult:
    """What a program really changed, said by the host: its own output rarely tells."""
    changed = [shown.receipt_line(r, folder) for r in result.receipts if r.kind == "changed"]
    if not changed:
        return result
    more = f", and {len(changed) - _EFFECTS_TOLD} more" if len(changed) > _EFFECTS_TOLD else ""
    told = f"\n[changed: {', '.join(changed[:_EFFECTS_TOLD])}{more}]"
    return replace(result, parts=(*result.parts, Text(told)))


def _label(call: ToolCall) -> str:
    first = next((str(value) for value in call.args.values()), "")
    return f"{call.name} {first}".splitlines()[0][:100]


def _with_rules(
    decision: Decision, call: ToolCall, spec: ToolSpec, changes: Sequence[Change], hands: Hands
) -> Decision:
    ctx = hands.policy()
    kept = rules.remembered(call, spec, changes, ctx)
    return replace(decision, remember=kept, missing=rules.needed(call, spec, changes, ctx))


def _keep(answer: Answer, decision: Decision, hands: Hands) -> None:
    rule = answer.rule or decision.remember
    if answer.verdict == "allow" and answer.scope != "once" and decision.remember and rules.storable(rule):
        hands.remember(rule, answer.scope)


def _said(answer: Answer, decision: Decision) -> str:
    if answer.verdict == "allow":
        return "the user agreed" if answer.by_person else answer.note
    return answer.note or "the user said no"


def _denied(call: ToolCall, decision: Decision, receipts: tuple[Receipt, ...] = ()) -> ToolResult:
    text = f"Not allowed: {decision.reason}. Nothing was changed. Do not try it again; find another way or tell the user."
    return ToolResult(call.id, (Text(text),), "denied", receipts=receipts)


def _result(call: ToolCall, status: Status, text: str) -> ToolResult:
    return ToolResult(call.id, (Text(text),), status)
