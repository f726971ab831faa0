"""The life of one call: repair, judge, run, judge its changes, commit, report.

A failure of the tool, a refusal and a conflict on disk all end as a `ToolResult` whose
text tells the model what to do next. Nothing here raises for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..errors import LocalAgentError
from ..events import ApprovalAsked, ApprovalGiven, ChangesCommitted, Event, ToolFinished, ToolOutput, ToolStarted
from ..policy import decide, rules
from ..policy.decide import Context
from ..store.journal import Journal
from ..toolbox import schema
from ..toolbox.registry import Registry
from ..values import Answer, Change, Decision, Receipt, Status, Text, ToolCall, ToolResult, ToolSpec
from . import shown

_EFFECTS_TOLD = 12

Approver = Callable[[ToolCall, Decision, tuple[Change, ...]], Awaitable[Answer]]


class Remember(Protocol):
    def __call__(self, rule: str, scope: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What a call needs from its session. `policy` gives the rules as they are now."""

    registry: Registry
    journal: Journal
    workspace: Path
    session_id: str
    policy: Callable[[], Context]
    approve: Approver
    remember: Remember
    dry_run: bool = False


async def dispatch(call: ToolCall, hands: Hands) -> AsyncIterator[Event]:
    """Everything that happens to one call; the last event is its `ToolFinished`."""
    started = time.monotonic()

    def finished(made: ToolCall, result: ToolResult) -> ToolFinished:
        return ToolFinished(made, replace(result, requests=()), time.monotonic() - started)

    while True:
        spec = hands.registry.spec(call.name)
        if spec is None:
            known = ", ".join(s.name for s in hands.registry.specs())
            yield finished(call, _result(call, "failed", f"There is no tool {call.name!r}. The tools are: {known}."))
            return
        args, _, errors = schema.repair(spec.parameters, call.args)
        args, _ = schema.settle_paths(spec.parameters, args, hands.workspace)
        call = replace(call, args=args)
        if errors:
            yield finished(call, _result(call, "failed", f"{call.name} was not run: {' '.join(errors)}"))
            return
        decision = decide.before(call, spec, hands.policy())
        if decision.verdict != "ask":
            break
        decision = _with_rules(decision, call, spec, (), hands)
        yield ApprovalAsked(call, decision)
        answer = await hands.approve(call, decision, ())
        yield ApprovalGiven(call.id, answer)
        _keep(answer, decision, hands)
        if answer.verdict == "allow" and answer.edited_args is not None:
            call = replace(call, args=answer.edited_args)
            continue
        decision = replace(decision, verdict=answer.verdict, reason=_said(answer, decision))
        break
    if decision.verdict == "deny":
        yield finished(call, _denied(call, decision))
        return
    yield ToolStarted(call, decision)
    result = _result(call, "failed", f"{call.name} ended without a result.")
    try:
        async with aclosing(hands.registry.call(call)) as output:
            async for item in output:
                if isinstance(item, str):
                    yield ToolOutput(call.id, item)
                else:
                    result = item
        async for event in _settle(call, spec, result, hands):
            if isinstance(event, ToolResult):
                result = event
            else:
                yield event
    finally:
        hands.registry.release(call.id)
    if "run" in spec.effects and result.status in ("ok", "failed"):
        result = _with_effect(result, str(hands.workspace))
    yield finished(call, result)


async def _settle(
    call: ToolCall, spec: ToolSpec, result: ToolResult, hands: Hands
) -> AsyncIterator[Event | ToolResult]:
    """Judge the proposed changes and commit them, or throw them away; the last item is the new result."""
    changes = result.requests
    if not changes:
        return
    decision = decide.after(call, spec, changes, hands.policy())
    if decision.verdict == "ask":
        decision = _with_rules(decision, call, spec, changes, hands)
        yield ApprovalAsked(call, decision, changes)
        answer = await hands.approve(call, decision, changes)
        yield ApprovalGiven(call.id, answer)
        _keep(answer, decision, hands)
        if answer.edited_args is not None:
            yield _result(call, "failed", "The user wants other arguments: " + str(dict(answer.edited_args)))
            return
        decision = replace(decision, verdict=answer.verdict, reason=_said(answer, decision))
    if decision.verdict == "deny":
        yield _denied(call, decision, result.receipts)
        return
    if hands.dry_run:
        yield replace(result, parts=(*result.parts, Text("\n(dry run: nothing was changed)")))
        return
    try:
        step = await asyncio.to_thread(
            hands.journal.commit, changes, [hands.workspace], session=hands.session_id, call=call.id, label=_label(call)
        )
    except LocalAgentError as error:
        yield ToolResult(call.id, (Text(f"Nothing was changed: {error}"),), "failed", receipts=result.receipts)
        return
    yield ChangesCommitted(call.id, step.number, changes)
    yield replace(result, receipts=(*result.receipts, *(_receipt(change) for change in changes)))


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


def _receipt(change: Change) -> Receipt:
    data = {"op": change.kind, "path": change.path}
    return Receipt("changed", data if change.dest is None else {**data, "dest": change.dest})


def _with_rules(
    decision: Decision, call: ToolCall, spec: ToolSpec, changes: Sequence[Change], hands: Hands
) -> Decision:
    ctx = hands.policy()
    rule = rules.suggest(call, spec, changes, ctx)
    kept = rule if rule and rules.storable(rule) else ""
    return replace(decision, remember=kept, missing=rules.needed(call, spec, changes, ctx))


def _keep(answer: Answer, decision: Decision, hands: Hands) -> None:
    if answer.verdict == "allow" and answer.scope != "once" and decision.remember:
        hands.remember(decision.remember, answer.scope)


def _said(answer: Answer, decision: Decision) -> str:
    if answer.verdict == "allow":
        return "the user agreed" if answer.by_person else answer.note
    return answer.note or "the user said no"


def _denied(call: ToolCall, decision: Decision, receipts: tuple[Receipt, ...] = ()) -> ToolResult:
    text = f"Not allowed: {decision.reason}. Nothing was changed. Do not try it again; find another way or tell the user."
    return ToolResult(call.id, (Text(text),), "denied", receipts=receipts)


def _result(call: ToolCall, status: Status, text: str) -> ToolResult:
    return ToolResult(call.id, (Text(text),), status)
