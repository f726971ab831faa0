"""What the record of decisions and effects says of a call: hashes and names, no contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..policy.shell_words import program, segments, strip_wrappers
from ..values import Answer, Change, Decision, Outgoing, Proposal, Receipt, ToolCall, ToolResult
from . import binding

Recorder = Callable[[str, Mapping[str, Any]], None]

_COMMANDS = ("command", "cmd", "script", "code")
_PROGRAMS = 5
_FILES = 200


def decided(
    call: ToolCall, decision: Decision, answer: Answer | None, changes: Sequence[Proposal], bound: str = ""
) -> dict[str, Any]:
    """One decision: by the rules where `answer` is None, else by a person or for want of one."""
    by = "rules" if answer is None else "person" if answer.by_person else "nobody"
    facts = {
        **_call(call),
        "over": "call" if not changes else "messages" if isinstance(changes[0], Outgoing) else "changes",
        "verdict": decision.verdict,
        "rule": decision.rule,
        "by": by,
    }
    if answer is not None:
        facts |= {"scope": answer.scope, "edited": answer.edited_args is not None}
    if changes and isinstance(changes[0], Outgoing):
        facts["to"] = [f"{one.channel}:{one.address}" for one in changes if isinstance(one, Outgoing)]
    elif changes:
        facts["files"] = len(changes)
    return facts | ({"bound": bound} if bound else {})


def changed(call: ToolCall, step: int, changes: Sequence[Change]) -> dict[str, Any]:
    """A commit: every file by its path, size and hashes, the first two hundred of them."""
    listed = [_change(change) for change in changes[:_FILES]]
    more = {"more": len(changes) - _FILES} if len(changes) > _FILES else {}
    return {**_call(call), "step": step, "bytes": sum(change.size for change in changes), "changes": listed, **more}


def ran(call: ToolCall, receipt: Receipt, result: ToolResult) -> dict[str, Any]:
    data = receipt.data
    size = os.path.getsize(result.spill) if result.spill and os.path.exists(result.spill) else len(result.text.encode())
    return {**_call(call), "exit_code": data.get("exit_code"), "seconds": data.get("seconds"), "bytes": size}


def sent(call: ToolCall, receipt: Receipt) -> dict[str, Any]:
    return {**_call(call), **{name: receipt.data.get(name) for name in ("channel", "to", "state")}}


def _call(call: ToolCall) -> dict[str, Any]:
    facts: dict[str, Any] = {"call": call.id, "tool": call.name, "argv": binding.digest({"args": call.args})}
    script = next((value for name in _COMMANDS if isinstance(value := call.args.get(name), str)), "")
    if script:
        words = (strip_wrappers(segment.words) or segment.words for segment in segments(script) if segment.words)
        names = dict.fromkeys(name for one in words if "=" not in (name := program(one)))
        facts["program"] = " ".join(list(names)[:_PROGRAMS])[:200]
    return facts


def _change(change: Change) -> dict[str, Any]:
    facts = {
        "op": change.kind,
        "path": change.path,
        "dest": change.dest,
        "before": change.before,
        "after": change.after,
    }
    return {name: value for name, value in facts.items() if value is not None} | (
        {"bytes": change.size} if change.size else {}
    )
