"""The tool `plan`: the model writes down its steps, and how many of them are done. It changes nothing.

A step may carry checks (see `checks`), which the host runs, and in mode plan the effects that it would have, as rules.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import UsageError
from ..values import Checked, PlanItem, Text, ToolCall, ToolResult, ToolSpec
from . import checks

_STEP = {
    "type": "object",
    "properties": {
        "do": {"type": "string"},
        "checks": {"type": "array", "items": {"type": "string", "format": "check"}},
        "effects": {"type": "array", "items": {"type": "string", "format": "rule"}},
    },
    "required": ["do"],
}
PLAN = ToolSpec(
    "plan",
    "For long tasks: show the user your steps; call again when one is done and its checks hold "
    "(exists a.md, contains a.md TEXT, exit_code 0 COMMAND).",
    {
        "type": "object",
        "properties": {
            "done": {"type": "integer"},
            "steps": {"type": "array", "items": _STEP},
        },
        "required": ["done"],
        "additionalProperties": False,
    },
    ("compute",),
    "planning",
)
_STEPS = 30
_LENGTH = 300
_CHECKS = 5
_EFFECTS = 12


class Planning:
    """A `ToolSource` of this one tool; what it was called with is the plan, which the turn keeps (`agent.checklist`)."""

    def specs(self) -> list[ToolSpec]:
        return [PLAN]

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        try:
            items(call.args)
        except UsageError as error:
            yield ToolResult(call.id, (Text(f"The plan was not taken: {error}"),), "failed")
            return
        yield ToolResult(call.id, (Text("Noted."),))


def items(args: Mapping[str, Any], before: Sequence[PlanItem] = ()) -> tuple[PlanItem, ...]:
    """The plan that these arguments tell: the first `done` steps are ticked. At most 30 steps of 300 characters.

    Without steps it is the one `before`; a step of that which comes again without checks keeps those it had.
    Raises UsageError for a check that cannot be read.
    """
    known = {item.text: item for item in before}
    steps = [made for step in args.get("steps") or () if (made := _item(step, known)) is not None][:_STEPS] or list(before)
    done = args.get("done", 0)
    return tuple(replace(step, done=at < done) for at, step in enumerate(steps))


def _item(step: Any, known: Mapping[str, PlanItem]) -> PlanItem | None:
    given = step if isinstance(step, Mapping) else {"do": step}
    text = " ".join(str(given.get("do", "")).split())[:_LENGTH]
    if not text:
        return None
    wanted = [str(checks.parse(str(one))) for one in given.get("checks") or ()][:_CHECKS]
    # On one line each, as they will be shown.
    effects = tuple(rule[:_LENGTH] for one in given.get("effects") or () if (rule := " ".join(str(one).split())))[:_EFFECTS]
    made = PlanItem(text, checks=tuple(Checked(one) for one in dict.fromkeys(wanted)), effects=effects)
    old = known.get(text)
    if old is None:
        return made
    return replace(made, checks=made.checks or old.checks, effects=made.effects or old.effects)
