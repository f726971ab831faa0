"""How fast the model read and wrote, answer by answer, as the events of this app told it."""

from __future__ import annotations

from collections import deque

from ..events import MessageDone, PrefillProgress, TurnStarted
from .view import Seen

KEPT = 120
# Shorter than this, what was measured is mostly the measuring.
_LEAST_S = 0.2


class Speeds:
    """Tokens per second, the newest last: `reading` while prompts are read, `writing` of whole answers."""

    def __init__(self) -> None:
        self.reading: deque[float] = deque(maxlen=KEPT)
        self.writing: deque[float] = deque(maxlen=KEPT)
        self._mark: tuple[int, int, float] | None = None

    def note(self, event: Seen, at: float) -> None:
        """Take an event that came at `at` seconds. Tokens cost a comparison of types and nothing else."""
        kind = type(event)
        if kind is PrefillProgress:
            self._progress(event, at)  # type: ignore[arg-type]
        elif kind is MessageDone:
            self._done(event)  # type: ignore[arg-type]
        elif kind is TurnStarted:
            self._mark = None

    def _progress(self, event: PrefillProgress, at: float) -> None:
        mark = self._mark
        if mark is None or mark[1] != event.total or event.done < mark[0]:
            self._mark = (event.done, event.total, at)
        elif at - mark[2] >= _LEAST_S and event.done > mark[0]:
            self.reading.append((event.done - mark[0]) / (at - mark[2]))
            self._mark = (event.done, event.total, at)

    def _done(self, event: MessageDone) -> None:
        read, took = event.usage.input_tokens - event.usage.cached_tokens, event.timings.prefill_ms / 1000
        # A short prompt tells no progress on its way.
        if self._mark is None and took >= _LEAST_S and read > 1:
            self.reading.append(read / took)
        self._mark = None
        took = event.timings.decode_ms / 1000
        if took > 0 and event.usage.output_tokens > 1:
            self.writing.append(event.usage.output_tokens / took)
