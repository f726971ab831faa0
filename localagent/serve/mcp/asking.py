"""A question of the rules as a form in the client, with the exact effect in its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...agent import dangers, shown
from ...values import Answer, Decision, Outgoing, Proposal, ToolCall

NAME = "approval"
_WHOLE, _DIFF_LINES = 20_000, 400
_CUT = " … CUT: "
_YES, _ALWAYS, _NO = "Yes, this once", "Yes, as long as this server runs", "No"


def text(call: ToolCall, decision: Decision, changes: Sequence[Proposal], folder: str) -> str:
    """What would happen, drawn from the effect itself."""
    lines = [shown.visible(decision.reason, lines=False)]
    if messages := [one for one in changes if isinstance(one, Outgoing)]:
        return "\n".join([*lines, *(line for one in messages for line in shown.message_lines(one))])
    lines += [shown.call_block(call, _WHOLE), f"  in: {shown.visible(folder, lines=False)}"]
    lines += ["  " + line for line in shown.change_lines(changes, folder, len(changes))]
    return "\n".join([*lines, *shown.diffs(changes, folder, _DIFF_LINES), *dangers.told(call)])


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
