"""What a loaded model may use of the machine right now: threads by power and by what others need, and memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import pressure
from .contention import Free
from .pace import Pace, Threaded
from .power import Saver
from .prefix import Prefix
from .protocol import Prompted

Emit = Callable[[dict[str, Any]], None]


class Governor:
    """For one context, of the thread that decodes with it. `threads` are the plan's."""

    def __init__(self, context: Threaded, threads: int, free: Free) -> None:
        self._context, self._threads = context, threads
        self._pace, self._saver = Pace(context, threads, free), Saver()

    def start(self, request: Prompted, emit: Emit) -> tuple[Callable[[float], None], Emit]:
        """Set the threads for an answer; returns what to tell the seconds of each token, and where to tell events."""
        if request.threads:
            self._context.set_threads(request.threads)
            return _nothing, emit
        self._pace.limit(self._saver.threads(request.power, self._threads)[0])
        self._pace.begin()

        def paced(event: dict[str, Any]) -> None:
            # Between the batches of a prompt, too, others may have begun or ended.
            if event["event"] == "prefill":
                self._pace.begin()
            emit(event)

        return self._pace.step, paced


def relieve(prefix: Prefix) -> bool:
    """Give back the snapshots that other programs need the memory of; True where the model should go too, if idle."""
    found = pressure.relief(pressure.this_pressure(), prefix.used)
    prefix.shrink(found.budget)
    return found.unload


def _nothing(_: float) -> None:
    pass
