"""Where the life of a call, of a message and of a turn listens to hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..events import Nudged
from ..policy import marks
from ..policy.marks import Marks
from ..store.outbox import Entry
from ..values import Decision, Outgoing, Text, ToolResult, ToolSpec
from . import hook_form
from .hooks import Ruling

if TYPE_CHECKING:
    from .asking import Life
    from .dispatch import Hands


async def before(life: Life, spec: ToolSpec, decision: Decision, hands: Hands) -> Decision:
    """The decision with what PreToolUse hooks say of the call. A call that one of them changes is in `life.edited`."""
    hooks = hands.hooks
    if decision.verdict == "deny" or not hooks.has("PreToolUse"):
        return decision
    names = hook_form.names_of(spec.name, spec.source)
    tool = {"name": spec.name, "id": life.call.id, "args": dict(life.call.args)}
    ruling = await hooks.rule("PreToolUse", {}, hands.policy().mode, names, tool)
    life.told = ruling.context
    if ruling.stop is not None:
        hooks.state.stopped = ruling.stop
        return Decision("deny", f"your hook ends the turn: {ruling.stop}", "hook")
    if ruling.edited is not None and ruling.verdict != "deny":
        args = hook_form.our_arguments(spec, ruling.edited)
        if args != dict(life.call.args):
            if not hooks.editing:
                return Decision("deny", "your hooks change the call again and again", "hook")
            life.edited, life.edited_by = replace(life.call, args=args), "A hook of the user's"
            return decision
    return _tightened(decision, ruling)


def _tightened(decision: Decision, ruling: Ruling) -> Decision:
    verdict = hook_form.stricter(decision.verdict, ruling.verdict)
    return decision if verdict == decision.verdict else Decision(verdict, f"your hook: {ruling.reason}", "hook")


async def after(life: Life, result: ToolResult, spec: ToolSpec | None, hands: Hands) -> tuple[ToolResult, Marks]:
    """The result with what hooks tell the model of it, and the marks that this leaves."""
    hooks = hands.hooks
    if spec is None or not life.ran or (not hooks.has("PostToolUse") and not life.told):
        return result, Marks()
    names = hook_form.names_of(spec.name, spec.source)
    tool = {"name": spec.name, "id": life.call.id, "args": dict(life.call.args)}
    ruling = await hooks.rule("PostToolUse", {"tool_response": hook_form.response(result)}, hands.policy().mode, names, tool)
    if ruling.stop is not None:
        hooks.state.stopped = ruling.stop
    said = "\n".join(filter(None, (life.told, ruling.context)))
    if not said:
        return result, Marks()
    return replace(result, parts=(*result.parts, Text(f"\n{_quoted(said)}"))), _marks(said)


async def before_send(messages: Sequence[Outgoing], decision: Decision, hands: Hands) -> Decision:
    """The decision with what PreSend hooks say of the messages as they would go out."""
    hooks, mode = hands.hooks, hands.policy().mode
    for message in messages:
        if decision.verdict == "deny":
            break
        ruling = await hooks.rule("PreSend", _of(message), mode, _ways(message))
        if ruling.stop is not None:
            hooks.state.stopped = ruling.stop
            return Decision("deny", f"your hook ends the turn: {ruling.stop}", "hook")
        decision = _tightened(decision, ruling)
    return decision


async def after_send(entries: Sequence[Entry], hands: Hands) -> None:
    """PostSend: what became of each message."""
    for entry in entries:
        facts = {**_of(entry.message), "state": entry.state}
        await hands.hooks.rule("PostSend", facts, hands.policy().mode, _ways(entry.message))


def _ways(message: Outgoing) -> tuple[str, str]:
    return f"{message.channel}:{message.address}", message.channel


def _of(message: Outgoing) -> dict[str, object]:
    facts = {name: getattr(message, name) for name in ("channel", "address", "name", "subject", "text")}
    return facts | {"attachments": [one.path for one in message.attachments]}


def opened(context: str) -> Nudged:
    """What hooks tell with a request."""
    return Nudged(_quoted(context), marks=_marks(context).names)


def going_on(reason: str) -> Nudged:
    """What Stop hooks say to a model that wants to stop."""
    return Nudged(f"{_quoted(reason)}\nMend that as far as the user's request allows, else say what is open.", marks=_marks(reason).names)


def _marks(text: str) -> Marks:
    return Marks(untrusted=True, speaks=marks.speaks(text))


def _quoted(text: str) -> str:
    """A bar before each line: it cannot pass for anybody else's words."""
    return "[A hook of the user's says, as data:]\n" + "\n".join(f"| {line}" for line in text.splitlines())
