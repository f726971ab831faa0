"""How full the context was at the last answer, and how fast the engine reads: from the events alone."""

from __future__ import annotations

from dataclasses import dataclass

from ..events import MessageDone

_ENOUGH = 64
"""Tokens from which the time of reading them tells something."""
_WEIGHT = 0.5


@dataclass(slots=True)
class Pace:
    """`used` tokens were in the context when the history had `at` messages (0: not known); `reading` is in tokens per second."""

    used: int = 0
    at: int = 0
    reading: float = 0.0
    _model: str = ""

    def model(self, name: str) -> None:
        """A request to this model: another one counts and reads in another way."""
        if name != self._model:
            self.used = self.at = 0
            self.reading = 0.0
        self._model = name

    def note(self, event: MessageDone, length: int) -> None:
        """An answer, which made the history so long."""
        self.set(event.usage.input_tokens + event.usage.output_tokens, length)
        read, took = event.usage.input_tokens - event.usage.cached_tokens, event.timings.prefill_ms / 1000
        if read >= _ENOUGH and took > 0:
            now = read / took
            self.reading = now if not self.reading else self.reading + _WEIGHT * (now - self.reading)

    def set(self, used: int, length: int) -> None:
        self.used, self.at = used, length

    def seconds(self, tokens: int) -> float:
        """What reading so many is likely to take, 0.0 where that is not known."""
        return tokens / self.reading if self.reading > 0 and tokens > 0 else 0.0
