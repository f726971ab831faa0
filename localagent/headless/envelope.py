"""The one JSON document of `--output-format json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..agent import shown
from ..events import PlanUpdated, ToolFinished, TurnEnded, to_json


def envelope(
    ended: TurnEnded, tools: Sequence[dict[str, Any]], model: str, session_id: str, plan: PlanUpdated | None = None
) -> dict[str, Any]:
    """The one JSON document of `--output-format json`."""
    plain = to_json(ended)
    status = _status(ended)
    return {
        "ok": status == "done" and ended.error is None,
        "status": status,
        "final": ended.final,
        "usage": plain["usage"],
        "timings": {key: round(value, 1) for key, value in plain["timings"].items()},
        "turns": ended.turns,
        "tools": list(tools),
        "receipts": plain["receipts"],
        "checks": plain["checks"],
        "plan": to_json(plan)["items"] if plan is not None else [],
        "denied": list(ended.denied),
        "model": model,
        "answered_by": list(ended.by),
        "session_id": session_id,
        "questions": ended.questions,
        "error": None if ended.error is None else {"kind": ended.error.kind, "message": ended.error.message},
    }


def _status(ended: TurnEnded) -> str:
    if ended.status != "done":
        return ended.status
    return "denied" if ended.denied else "check" if any(not one.ok for one in ended.checks) else "done"


def tool(event: ToolFinished, folder: str) -> dict[str, Any]:
    """One entry of the envelope's `tools`; `would` lists what a dry run left undone."""
    told = {"name": event.call.name, "args": dict(event.call.args), "status": event.result.status}
    would = shown.change_lines(event.result.requests, folder)
    return {**told, "would": would} if would else told
