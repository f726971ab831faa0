"""The life of one call: repair, judge, run, judge its changes, commit, report.

A failure of the tool, a refusal and a conflict on disk all end as a `ToolResult` whose
text tells the model what to do next. Nothing here raises for them.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LocalAgentError
from ..events import ChangesCommitted, Event, Notice, ToolFinished, ToolOutput, ToolStarted
from ..policy import decide, harm, marks
from ..policy.decide import Context
from ..store.journal import Journal, reach
from ..toolbox import schema
from ..toolbox.registry import Registry
from ..values import Decision, Receipt, Status, Text, ToolCall, ToolResult, ToolSpec
from . import asking, binding, hints, hooked, placeholders, record, shown
from .answers import Answers
from .asking import Approver, Desk, Life, Remember
from .hooks import Hooks
from .masks import Masks
from .reads import Reads
from .tally import receipt

if TYPE_CHECKING:
    from .posting import Post

__all__ = ["Approver", "Hands", "Remember", "dispatch"]

_EFFECTS_TOLD = 12
_FOR_GOOD = frozenset({"send", "persist"})
_STOPPED = "Interrupted; nothing was changed."


@dataclass(frozen=True, slots=True)
class Hands:
    """What a call needs from its session.

    `policy` gives the rules as they are now; `remember` keeps a rule, `used` hears which one decided,
    `lost` how many files a commit has deleted, `record` every decision and effect. `masks` hides secrets,
    `answers` knows what was asked in this run, `reads` which files the model has seen, `post` sends (None: nothing can be sent).
    `hooks` are the user's own commands that are told of it. With `keeps` False what a call would change is thrown away unasked.
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
    record: record.Recorder
    masks: Masks
    answers: Answers = field(default_factory=Answers)
    reads: Reads = field(default_factory=Reads)
    dry_run: bool = False
    post: Post | None = None
    hooks: Hooks = field(default_factory=Hooks)
    keeps: bool = True

    @property
    def desk(self) -> Desk:
        return Desk(self.policy, self.approve, self.remember, self.answers, self.record, self.masks)


async def dispatch(call: ToolCall, hands: Hands) -> AsyncGenerator[Event, None]:
    """Everything that happens to one call; the last event is its `ToolFinished`."""
    started = time.monotonic()
    life = Life(call, _result(call, "failed", f"{call.name} ended without a result."))
    interrupted: asyncio.CancelledError | None = None
    try:
        async for event in _live(life, hands):
            yield event
    except asyncio.CancelledError as error:
        interrupted = error
    except LocalAgentError as error:
        told = f"{call.name} was broken off: {error}" if life.ran else f"{call.name} was not run: {error}"
        life.ends(replace(_result(call, "failed", told), receipts=life.result.receipts))
    finally:
        hands.registry.release(call.id)
    if life.edited is not None and interrupted is None:
        again = hands if life.edited_by == "The user" else replace(hands, hooks=hands.hooks.after_edit())
        async for event in dispatch(life.edited, again):
            yield _told_of_edit(event, life.edited_by) if isinstance(event, ToolFinished) else event
        return
    result = _masked(life.result, hands.masks)
    if interrupted is not None and not life.settled:
        told = "Interrupted while it ran; what it did until then stands." if _beyond(life, hands) else _STOPPED
        result = replace(_result(call, "cancelled", told), receipts=result.receipts)
    if result.status == "failed" and hands.post is not None:
        names = [spec.name for spec in hands.registry.specs()]
        if told := await asyncio.to_thread(hints.hint, call, result.text, names, hands.post.attached):
            result = replace(result, parts=(*result.parts, Text(f"\n{hands.masks.mask(told)}")))
    seen = life.seen if result.status == "ok" else {}
    seconds = max(0.0, time.monotonic() - started - life.waited)
    seen_marks = _marks(life, result, hands)
    if interrupted is None:
        try:
            result, more = await hooked.after(life, result, hands.registry.spec(life.call.name), hands)
            seen_marks |= more
        except asyncio.CancelledError as error:
            interrupted = error
    yield ToolFinished(life.call, result, seconds, seen_marks.names, seen)
    if interrupted is not None:
        raise interrupted


async def _live(life: Life, hands: Hands) -> AsyncGenerator[Event, None]:
    spec = hands.registry.spec(life.call.name)
    if spec is None:
        known = ", ".join(s.name for s in hands.registry.specs())
        life.ends(_result(life.call, "failed", f"There is no tool {life.call.name!r}. The tools are: {known}."))
        return
    if not await _prepared(life, spec, hands):
        return
    decision = await _judged(life, spec, hands)
    if life.edited is not None:
        return
    async with aclosing(asking.settle(life, spec, decision, (), hands.desk)) as events:
        async for event in events:
            yield event
    if life.edited is not None:
        return
    if life.decision.verdict == "deny":
        life.ends(_denied(life.call, life.decision))
        return
    if hands.dry_run and _for_good(spec) and not spec.posts:
        life.ends(
            _result(life.call, "ok", f"(dry run: {life.call.name} was not run, for what it does cannot be taken back)")
        )
        return
    if life.bound and await asyncio.to_thread(_bind, life, spec, hands) != life.bound:
        told = (
            "what it would run is not what the user agreed to any more (a program, a script or the folder has changed)"
        )
        life.ends(_result(life.call, "failed", f"{life.call.name} was not run: {told}. Call it again to ask anew."))
        return
    hands.used(life.decision.rule)
    # Before the tool looks: what is changed while it does counts as changed since.
    life.seen = await asyncio.to_thread(hands.reads.sight, life.call, spec, hands.workspace)
    async for event in _run(life, hands):
        yield event
    life.result = _with_reach(life.result, spec)
    async for event in _settle(life, spec, hands):
        yield event
    if life.result.messages and life.result.status == "ok" and life.edited is None:
        from . import sends

        async for event in sends.send(life, spec, hands):
            yield event
    if "run" in spec.effects and life.result.status in ("ok", "failed"):
        life.result = _with_effect(life.result, str(hands.workspace))
    life.settled = True


async def _judged(life: Life, spec: ToolSpec, hands: Hands) -> Decision:
    """What rules and hooks say before the call."""
    decision = await hooked.before(life, spec, decide.before(life.real, spec, hands.policy()), hands)
    if decision.verdict == "ask" and life.edited is None:
        life.bound = await asyncio.to_thread(_bind, life, spec, hands)
        return replace(decision, reason=f"{decision.reason}: {life.note}" if life.note else decision.reason)
    return decision


async def _prepared(life: Life, spec: ToolSpec, hands: Hands) -> bool:
    """Arguments mended, and secrets put back where that may be; else the call has ended."""
    args, _, errors = schema.repair(spec.parameters, life.call.args)
    args, _ = schema.settle_paths(spec.parameters, args, hands.workspace)
    life.call = replace(life.call, args=args)
    errors = errors or await asyncio.to_thread(hands.registry.wrong, life.call)
    if errors:
        life.ends(_result(life.call, "failed", f"{life.call.name} was not run: {' '.join(errors)}"))
        return False
    try:
        made = await asyncio.to_thread(hands.registry.completed, life.call)
    except LocalAgentError as error:
        life.ends(_result(life.call, "failed", f"{life.call.name} was not run: {error}"))
        return False
    life.call, life.note = made.call, made.note
    life.real, refused = await asyncio.to_thread(placeholders.filled, life.call, spec, hands.masks, hands.workspace)
    if refused is not None:
        life.ends(refused)
    return refused is None


def _bind(life: Life, spec: ToolSpec, hands: Hands) -> str:
    return binding.bind(life.real, spec, hands.policy(), hands.registry.fingerprint(life.real))


async def _run(life: Life, hands: Hands) -> AsyncGenerator[Event, None]:
    """The tool at work: its output live and its result, both without secrets."""
    life.ran = True
    yield ToolStarted(life.call, life.decision)
    stream = hands.masks.stream()
    async with aclosing(hands.registry.call(life.real)) as output:
        async for item in output:
            if not isinstance(item, str):
                life.result = _masked(item, hands.masks)
            elif text := stream.feed(item):
                yield ToolOutput(life.call.id, text)
    if text := stream.finish():
        yield ToolOutput(life.call.id, text)
    for done in life.result.receipts:
        if done.kind == "ran":
            hands.record("ran", hands.masks.mask_in(record.ran(life.call, done, life.result)))
        elif done.kind == "sent":
            hands.record("sent", record.sent(life.call, done))
        elif done.kind in ("scheduled", "remembered"):
            hands.record(done.kind, hands.masks.mask_in({"call": life.call.id, **done.data}))


async def _settle(life: Life, spec: ToolSpec, hands: Hands) -> AsyncGenerator[Event, None]:
    """Judge the proposed changes and commit them, or throw them away."""
    if not hands.keeps:
        life.result = replace(life.result, requests=(), messages=())
    result, changes = life.result, life.result.requests
    if not changes:
        return
    if "run" not in spec.effects and (unseen := hands.reads.unseen(changes)):
        life.ends(_result(life.call, "failed", _changed_since(unseen, str(hands.workspace))))
        return
    # Where the paths lead is settled before anybody is asked: what is agreed to is what is carried out.
    roots = await asyncio.to_thread(reach, changes, hands.workspace)
    decision = decide.after(life.real, spec, changes, hands.policy())
    async with aclosing(asking.settle(life, spec, decision, changes, hands.desk)) as events:
        async for event in events:
            yield event
    if life.edited is not None:
        return
    if life.decision.verdict == "deny":
        life.ends(_denied(life.call, life.decision, result.receipts))
        return
    hands.used(life.decision.rule)
    if hands.dry_run:
        life.ends(replace(result, parts=(*result.parts, Text("\n(dry run: nothing was changed)"))))
        return
    async for event in _commit(life, roots, hands):
        yield event


async def _commit(life: Life, roots: Sequence[str], hands: Hands) -> AsyncGenerator[Event, None]:
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
        try:
            hands.record("changed", hands.masks.mask_in(record.changed(call, step.number, changes)))
        except LocalAgentError as error:
            yield Notice(f"The record of what was done could not be written: {error}", "error")
    if interrupted is not None:
        raise interrupted


def _changed_since(paths: Sequence[str], folder: str) -> str:
    names = ", ".join(shown.relative(path, folder) for path in paths[:_EFFECTS_TOLD])
    return (
        f"Nothing was changed: {names} was changed by someone else since you saw it, and this would replace all of it. "
        "Read it again, then write what it should hold now."
    )


def _with_effect(result: ToolResult, folder: str) -> ToolResult:
    """What a program really changed, said by the host: its own output rarely tells."""
    changed = [shown.receipt_line(r, folder) for r in result.receipts if r.kind == "changed"]
    if not changed:
        return result
    more = f", and {len(changed) - _EFFECTS_TOLD} more" if len(changed) > _EFFECTS_TOLD else ""
    told = f"\n[changed: {', '.join(changed[:_EFFECTS_TOLD])}{more}]"
    return replace(result, parts=(*result.parts, Text(told)))


def _masked(result: ToolResult, masks: Masks) -> ToolResult:
    parts = tuple(Text(masks.mask(part.text)) if isinstance(part, Text) else part for part in result.parts)
    receipts = tuple(replace(one, data=masks.mask_in(one.data)) for one in result.receipts)
    return replace(result, parts=parts, receipts=receipts)


def _for_good(spec: ToolSpec | None) -> bool:
    """Whether it does something that no commit stands behind: on the files themselves, or beyond this machine or this run."""
    if spec is None:
        return False
    return not _FOR_GOOD.isdisjoint(spec.effects) or ("run" in spec.effects and not spec.staged)


def _with_reach(result: ToolResult, spec: ToolSpec) -> ToolResult:
    """A call that may have done something beyond this machine, and has no receipt for it, gets one that says just that."""
    reaches = not spec.effects or "net" in spec.effects or ("send" in spec.effects and not spec.posts)
    return result if result.receipts or not reaches else replace(result, receipts=(Receipt("reached", {"tool": spec.name}),))


def _beyond(life: Life, hands: Hands) -> bool:
    spec = hands.registry.spec(life.call.name)
    return life.ran and (_for_good(spec) or (spec is not None and "net" in spec.effects))


def _marks(life: Life, result: ToolResult, hands: Hands) -> marks.Marks:
    """What the model sees with this result. A call that was never run shows it nothing new."""
    if not life.ran:
        return marks.Marks()
    secret = marks.Marks(private=bool(hands.masks.placeholders(result.text)))
    if hands.registry.foreign(life.call.name):
        secret |= marks.Marks(untrusted=True, speaks=marks.speaks(result.text))
    return marks.of_result(hands.registry.spec(life.call.name), result.text) | secret


def _told_of_edit(finished: ToolFinished, who: str) -> ToolFinished:
    """The model hears which call it was in the end: it would take the result for that of its own."""
    made = json.dumps(dict(finished.call.args), ensure_ascii=False, default=str)
    told = Text(f"\n[{who} changed this call; what was judged and run is {finished.call.name} with {made}]")
    return replace(finished, result=replace(finished.result, parts=(*finished.result.parts, told)))


def _label(call: ToolCall) -> str:
    first = next((str(value) for value in call.args.values()), "")
    return f"{call.name} {first}".splitlines()[0][:100]


def _denied(call: ToolCall, decision: Decision, receipts: tuple[Receipt, ...] = ()) -> ToolResult:
    text = (
        f"Not allowed: {decision.reason}. Nothing was changed. Do not try it again; find another way or tell the user."
    )
    return ToolResult(call.id, (Text(text),), "denied", receipts=receipts)


def _result(call: ToolCall, status: Status, text: str) -> ToolResult:
    return ToolResult(call.id, (Text(text),), status)
