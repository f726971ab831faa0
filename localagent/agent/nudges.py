"""The host's few words to a model that stumbles: each at most once a turn, each about what was seen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..events import MessageDone

CUT = "This call was cut off because it was too long, so it was not run. Make it shorter, or do it in several calls."

_DESCRIBED = "You wrote code but nothing was run. If the task needs it, do it now with a tool call; else answer in plain words."
_EMPTY = "You answered nothing. Go on with the next tool call, or answer the user."
_FENCE = re.compile(r"```\w*\n.+?```", re.S)


def repeated(earlier: str) -> str:
    return (
        f"You already made this call and nothing has changed since. Its result was:\n{earlier}\n"
        "Do the next step now, or answer the user if the task is done."
    )


@dataclass(slots=True)
class Nudges:
    described: bool = False
    empty: bool = False

    def after(self, done: MessageDone, calls: int) -> str | None:
        """What to tell the model after an answer without calls; None lets the answer stand."""
        text = done.message.text.strip()
        if not text and not self.empty:
            self.empty = True
            return _EMPTY
        if calls == 0 and not self.described and _FENCE.search(text):
            self.described = True
            return _DESCRIBED
        return None
