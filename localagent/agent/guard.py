"""Notices a model that goes round in circles.

Small models repeat the call they have just seen answered. The guard knows which calls
were answered since the last change to the disk; the same call again gets no second run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from ..values import ToolCall, ToolResult


@dataclass(slots=True)
class LoopGuard:
    """`repeats` counts refused repetitions in a row; `failures` counts failed calls in a row."""

    repeats: int = 0
    failures: int = 0
    _answered: dict[str, str] = field(default_factory=dict)

    def seen(self, call: ToolCall) -> str | None:
        """The earlier result's text if this very call was answered and nothing has changed since."""
        answer = self._answered.get(_key(call))
        if answer is not None:
            self.repeats += 1
        return answer

    def forget(self) -> None:
        """Somebody else has changed something: no earlier answer holds."""
        self._answered.clear()

    def note(self, call: ToolCall, result: ToolResult) -> None:
        """Remember what a call gave; a change to the disk makes every earlier answer stale."""
        self.repeats = 0
        self.failures = self.failures + 1 if result.status == "failed" else 0
        if any(r.kind == "changed" for r in result.receipts):
            self._answered.clear()
        self._answered[_key(call)] = result.text


def _key(call: ToolCall) -> str:
    return call.name + json.dumps(call.args, sort_keys=True, ensure_ascii=False, default=str)
