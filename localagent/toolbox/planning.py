"""The tool `plan`: the model writes down its steps, and how many of them are done. It changes nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ..values import PlanItem, Text, ToolCall, ToolResult, ToolSpec

PLAN = ToolSpec(
    "plan",
    "For long tasks: show the user your steps; call again when one is done.",
    {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"type": "string"}},
            "done": {"type": "integer"},
        },
        "required": ["steps", "done"],
        "additionalProperties": False,
    },
    ("compute",),
    "planning",
)
_STEPS = 30
_LENGTH = 300


class Planning:
    """A `ToolSource` of this one tool; what it was called with is the plan."""

    def specs(self) -> list[ToolSpec]:
        return [PLAN]

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        steps = items(call.args)
        if not steps:
            yield ToolResult(call.id, (Text("A plan has at least one step."),), "failed")
            return
        now = next((step.text for step in steps if not step.done), "")
        yield ToolResult(call.id, (Text(f"Noted. Now do: {now}" if now else "Noted. All steps are done."),))


def items(args: Mapping[str, Any]) -> tuple[PlanItem, ...]:
    """The plan that these arguments tell: the first `done` steps are ticked. At most 30 steps of 300 characters."""
    texts = [" ".join(str(step).split())[:_LENGTH] for step in args.get("steps", ()) if str(step).strip()]
    done = args.get("done", 0)
    return tuple(PlanItem(text, at < done) for at, text in enumerate(texts[:_STEPS]))
