"""What a loaded model may use of the machine right now: threads by power and by what others need, and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import pressure
from .contention import Free, Steady
from .pace import Pace, Threaded
from .power import Saver
from .prefix import Prefix
from .protocol import Prompted

Emit = Callable[[dict[str, Any]], None]


class Governor:
    """For one context, of the thread that decodes with it. `threads` are the plan's."""

    def __init__(self, context: Threaded, threads: int, free: Free, steady: Steady | None = None) -> None:
        self._context, self._threads, self._free = context, threads, free
        self._pace, self._saver = Pace(context, threads, free, steady or Steady()), Saver()

    def start(self, request: Prompted, emit: Emit) -> tuple[Callable[[float], None], Emit]:
        """Set the threads for an answer; returns what to tell the seconds of each token, and where to tell events."""
        self.set(request)
        if request.threads:
            return _nothing, emit

        def paced(event: dict[str, Any]) -> None:
            # Between the batches of a prompt, too, others may have begun or ended.
            if event["event"] == "prefill":
                self._pace.begin()
            emit(event)

        return self._pace.step, paced

    def set(self, request: Prompted) -> None:
        """Set the threads for an answer that begins or, after it was interrupted, goes on."""
        if request.threads:
            self._context.set_threads(request.threads)
            return
        self._pace.limit(self._saver.threads(request.power, self._threads)[0])
        self._pace.begin()
        self._free.restart()


def relieve(prefixes: Sequence[Prefix]) -> bool:
    """Give back the snapshots that other programs need the memory of; True where idle models should go, too."""
    found = pressure.relief(pressure.this_pressure(), sum(prefix.used for prefix in prefixes))
    for prefix in prefixes:
        prefix.shrink(found.budget // len(prefixes))
    return found.unload and bool(prefixes)


def _nothing(_: float) -> None:
    pass
