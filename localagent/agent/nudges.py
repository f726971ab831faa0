"""The host's few words to a model that stumbles: each at most once a turn, each about what was seen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..events import MessageDone
from .tally import Tally

CUT = "This call was cut off because it was too long, so it was not run. Make it shorter, or do it in several calls."

_DESCRIBED = "You wrote code but nothing was run. If the task needs it, do it now with a tool call; else answer in plain words."
_FAILED = (
    "Your last call failed, so the request is not done. Look at what is really there, correct the call and make it again. "
    "Only if it cannot be done, say what is missing."
)
_EMPTY = "You answered nothing. Go on with the next tool call, or answer the user."
_UNDONE = (
    "Nothing on the disk has changed so far. If the request needs a file or folder to be made or changed, do it now with a call; "
    "else answer without saying that something was changed."
)
_CLAIMED = re.compile(
    r"\bI(?:'ve| have)?(?: \w+)? "
    r"(?:wrote|written|created|made|moved|renamed|deleted|removed|added|appended|changed|replaced|updated|saved|copied|merged|sorted)\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```\w*\n.+?```", re.S)


def as_json(schema: Mapping[str, Any]) -> str:
    return f"Give this answer as JSON of this schema:\n{json.dumps(schema, ensure_ascii=False)}"


def repeated(earlier: str) -> str:
    return (
        f"You already made this call and nothing has changed since. Its result was:\n{earlier}\n"
        "Do the next step now, or answer the user if the task is done."
    )


@dataclass(slots=True)
class Nudges:
    given: set[str] = field(default_factory=set)

    def after(self, done: MessageDone, so_far: Tally) -> str | None:
        """What to tell the model after an answer without calls; None lets the answer stand."""
        text = done.message.text.strip()
        if not text:
            return self._once("empty", _EMPTY)
        if so_far.broken:
            return self._once("failed", _FAILED)
        if not so_far.changed and _CLAIMED.search(text):
            return self._once("claimed", _UNDONE)
        if so_far.calls == 0 and _FENCE.search(text):
            return self._once("described", _DESCRIBED)
        return None

    def _once(self, name: str, text: str) -> str | None:
        if name in self.given:
            return None
        self.given.add(name)
        return text
