"""A question of the rules, asked in the editor with the exact effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from acp import helpers
from acp.schema import AllowedOutcome, PermissionOption, ToolCallUpdate

from ...agent import dangers, shown
from ...values import Answer, Change, Decision, Outgoing, Proposal, ToolCall

# What a person cannot see whole they cannot say yes to.
_WHOLE = 200_000
_CUT = " … CUT: "


def question(
    call: ToolCall, decision: Decision, changes: Sequence[Proposal], folder: str
) -> tuple[ToolCallUpdate, list[PermissionOption]]:
    """What the editor shows, and the answers it may give."""
    told = "\n".join(_told(call, decision, changes, folder))
    content = [helpers.tool_content(helpers.text_block(told)), *_diffs(changes)]
    update = ToolCallUpdate(tool_call_id=call.id, title=shown.call_line(call, 200), status="pending", content=content)
    return update, _options(decision, whole=_CUT not in told)


def answer(outcome: Any, options: Sequence[PermissionOption]) -> Answer:
    """Whatever is not one of the yeses that were offered is a no."""
    chosen = outcome.option_id if isinstance(outcome, AllowedOutcome) else ""
    chosen = chosen if chosen in {option.option_id for option in options} else ""
    match chosen:
        case "once":
            return Answer("allow")
        case "session" | "folder":
            return Answer("allow", chosen)
        case "no":
            return Answer("deny")
        case _:
            return Answer("deny", note="the question was not answered", by_person=False)


def _options(decision: Decision, whole: bool) -> list[PermissionOption]:
    no = PermissionOption(option_id="no", name="No", kind="reject_once")
    if not whole:
        return [no]
    options = [PermissionOption(option_id="once", name="Yes, this once", kind="allow_once")]
    if decision.remember:
        rule = shown.visible(decision.remember, lines=False)
        options.append(
            PermissionOption(option_id="session", name=f"Yes, in this conversation: {rule}", kind="allow_always")
        )
        options.append(
            PermissionOption(option_id="folder", name=f"Yes, always in this folder: {rule}", kind="allow_always")
        )
    return [*options, no]


def _told(call: ToolCall, decision: Decision, changes: Sequence[Proposal], folder: str) -> Iterator[str]:
    yield shown.visible(decision.reason, lines=False)
    if messages := [one for one in changes if isinstance(one, Outgoing)]:
        for message in messages:
            yield from shown.message_lines(message)
        return
    yield shown.call_block(call, _WHOLE)
    yield f"  in: {shown.visible(folder, lines=False)}"
    yield from ("  " + line for line in shown.change_lines(changes, folder, len(changes)))
    yield from dangers.told(call)


def _diffs(changes: Sequence[Proposal]) -> Iterator[Any]:
    for change in changes:
        if isinstance(change, Change) and change.kind in ("write", "edit") and change.content is not None:
            old, new = shown.text_of(change.path), shown.text_of(change.content)
            if new is not None:
                yield helpers.tool_diff_content(change.path, new, old)
