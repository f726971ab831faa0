"""What the model is shown of a history that was shortened, and where it may be parted. Pure: the history itself stays whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..events import Compacted
from ..values import Message, Text, ToolResult

NO_RESULT = "This call has no result."


@dataclass(frozen=True, slots=True)
class Short:
    """The first `upto` messages are shown as the one `text` and that numbered `request`; `results` stand in place of those of
    these calls. `at` is how long the history was when it was made.
    """

    at: int = 0
    upto: int = 0
    text: str = ""
    request: int = -1
    results: Mapping[str, str] = field(default_factory=dict)

    def shown(self, history: Sequence[Message]) -> list[Message]:
        """The messages as the model sees them: no call without its result, and no result without its call."""
        if not self.upto and not self.results:
            return list(history)
        head = [Message("user", (Text(self.text),))] if self.upto else []
        head += [history[self.request]] if 0 <= self.request < min(self.upto, len(history)) else []
        return whole([*head, *map(self._message, history[self.upto :])])

    def next(self, event: Compacted, length: int) -> Short:
        """What holds from this event on, in a history of so many messages."""
        results = {**self.results, **event.results}
        if event.upto <= self.upto:
            return Short(length, self.upto, self.text, self.request, results)
        return Short(length, min(event.upto, length), event.text, event.request, results)

    def _message(self, message: Message) -> Message:
        result = message.result
        if result is None or (text := self.results.get(result.call_id)) is None:
            return message
        parts = (Text(text),)
        return replace(message, parts=parts, result=replace(result, parts=parts))


class Shortened:
    """What the events said of it: the last one counts, and those behind a point that is gone back to do not."""

    def __init__(self) -> None:
        self._made: list[Short] = []

    @property
    def now(self) -> Short:
        return self._made[-1] if self._made else Short()

    def apply(self, event: Compacted, length: int) -> None:
        """`length` is how many messages the history has."""
        self._made.append(self.now.next(event, length))

    def cut(self, length: int) -> None:
        """The history has lost its messages from this one on."""
        self._made = [one for one in self._made if one.at <= length]


def whole(messages: Sequence[Message]) -> list[Message]:
    """The same where every call has its result right behind it; else mended, for a model could make nothing of it."""
    made: list[Message] = []
    due: dict[str, None] = {}
    for message in messages:
        if message.role == "tool":
            call = message.result.call_id if message.result is not None else ""
            if call not in due:
                continue
            del due[call]
        elif due:
            made += _without(due)
            due = {}
        made.append(message)
        if message.role == "assistant":
            due = dict.fromkeys(call.id for call in message.calls)
    return made if not due else [*made, *_without(due)]


def _without(calls: Mapping[str, None]) -> list[Message]:
    results = (ToolResult(call, (Text(NO_RESULT),), "cancelled") for call in calls)
    return [Message("tool", result.parts, result=result) for result in results]


def places(history: Sequence[Message]) -> list[int]:
    """Where a history may be parted: numbers of messages before which every call has its result. 0 is none of them."""
    found, due = [], set[str]()
    for at, message in enumerate(history):
        if at and not due and message.role != "tool":
            found.append(at)
        if message.role == "assistant":
            due = {call.id for call in message.calls}
        elif message.role == "tool" and message.result is not None:
            due.discard(message.result.call_id)
    return [*found, len(history)] if history and not due else found


def last_results(history: Sequence[Message]) -> int:
    """The number of the last message that makes calls; the length of the history where none does."""
    return next((at for at in range(len(history) - 1, -1, -1) if history[at].calls), len(history))
