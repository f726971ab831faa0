"""What a list of sessions says of one, read from the lines of its transcript, a piece at a time.

It reads plain JSON and not events: a line that this version does not know must not hide a session.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_GOAL = 500
_TEXT = 100_000
_ARGUMENT = 2_000


@dataclass(slots=True)
class Gist:
    """Grows with each line. `started` and `last` are seconds since the epoch, 0.0 where nothing was asked.

    `status` is that of the last turn, `cut off` where it never ended. `messages` counts requests and answers.
    """

    goal: str = ""
    folder: str = ""
    model: str = ""
    status: str = ""
    started: float = 0.0
    last: float = 0.0
    requests: int = 0
    messages: int = 0

    def take(self, line: bytes) -> Iterator[str]:
        """Learn from one line; gives the texts in it that can be searched. What cannot be read says nothing."""
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        match event.get("event"):
            case "TurnStarted":
                yield from self._asked(event)
            case "MessageDone":
                self.messages += 1
                message = _mapping(event.get("message"))
                yield from _texts(message)
                for call in _list(message.get("calls")):
                    yield from _call(_mapping(call))
            case "TurnEnded":
                self.status = _text(event.get("status")) or self.status

    def _asked(self, event: dict[str, Any]) -> Iterator[str]:
        texts = list(_texts(_mapping(event.get("message"))))
        at = event.get("at")
        if not self.requests:
            self.goal = " ".join("".join(texts)[: 4 * _GOAL].split())[:_GOAL]
            self.folder = _text(event.get("folder"))
        self.last = float(at) if isinstance(at, int | float) else self.last
        self.started = self.started or self.last
        self.model = _text(event.get("model")) or self.model
        self.status = "cut off"
        self.requests += 1
        self.messages += 1
        yield from texts


def _texts(message: dict[str, Any]) -> Iterator[str]:
    for part in _list(message.get("parts")):
        if text := _text(_mapping(part).get("text")):
            yield text[:_TEXT]


def _call(call: dict[str, Any]) -> Iterator[str]:
    """A file's name or a command is what people remember; the contents that were written are not."""
    told = [_text(call.get("name"))]
    told += [value[:_ARGUMENT] for value in _mapping(call.get("args")).values() if isinstance(value, str)]
    if text := "\n".join(filter(None, told)):
        yield text


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    # Half a surrogate pair, which JSON may hold, is no text for a database.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
