"""A question of the rules as a form in the client, with the exact effect in its text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ...agent import dangers, shown
from ...values import Answer, Decision, Outgoing, Proposal, ToolCall

NAME = "approval"
_WHOLE, _DIFFS = 20_000, 60_000
_CUT = " … CUT: "
_YES, _ALWAYS, _NO = "Yes, this once", "Yes, as long as this server runs", "No"


def text(call: ToolCall, decision: Decision, changes: Sequence[Proposal], folder: str) -> str:
    """What would happen, drawn from the effect itself."""
    lines = [shown.visible(decision.reason, lines=False)]
    if messages := [one for one in changes if isinstance(one, Outgoing)]:
        return "\n".join([*lines, *(line for one in messages for line in shown.message_lines(one))])
    lines += [shown.call_block(call, _WHOLE), f"  in: {shown.visible(folder, lines=False)}"]
    lines += ["  " + line for line in shown.change_lines(changes, folder, len(changes))]
    diffs = "\n".join(shown.diffs(changes, folder, sys.maxsize))
    if len(diffs) > _DIFFS:
        diffs = f"{diffs[:_DIFFS]}\n {_CUT}the changes have {len(diffs):,} characters, of which {len(diffs) - _DIFFS:,} are not shown"
    return "\n".join([*lines, *([diffs] if diffs else []), *dangers.told(call)])


def schema(decision: Decision, told: str) -> dict[str, Any]:
    """The form; without a yes in it where not all could be shown."""
    choices = [_NO] if _CUT in told else [_NO, _YES, *([_ALWAYS] if decision.remember else [])]
    answer: dict[str, Any] = {"type": "string", "title": "Allow it?", "enum": choices}
    if decision.remember:
        answer["description"] = f"{_ALWAYS}: {shown.visible(decision.remember, lines=False)}"
    return {"type": "object", "properties": {NAME: answer}, "required": [NAME]}


def answer(action: str, content: Mapping[str, Any] | None, form: Mapping[str, Any]) -> Answer:
    """Whatever is not one of this form's yeses is a no."""
    chosen = (content or {}).get(NAME) if action == "accept" else None
    if chosen not in form["properties"][NAME]["enum"]:
        return Answer("deny", note="the question was not answered", by_person=action == "decline")
    if chosen == _NO:
        return Answer("deny")
    return Answer("allow", "session" if chosen == _ALWAYS else "once")
