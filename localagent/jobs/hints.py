"""Which jobs should look at their files at once, heard from the system. A hint that is missed costs a minute, nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from ..store.jobs import Job
from ..store.watch import Watch
from .clock import Clock
from .looking import watched

# Programs write a file in pieces.
_QUIET_S = 2.0
_LONGEST_S = 30.0

Heard = Callable[[str, float], None]


class Hints:
    """Use it in the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._first: dict[str, float] = {}

    def watch(self, jobs: Sequence[Job], heard: Heard) -> None:
        """These and no others; `heard(id, at)` asks for a look at that moment."""
        wanted = {job.id: job for job in jobs}
        for id in self._watches.keys() - wanted.keys():
            self._watches.pop(id).stop()
            self._first.pop(id, None)
        loop = asyncio.get_running_loop()
        for id in wanted.keys() - self._watches.keys():
            self._watches[id] = made = Watch(str(watched(wanted[id].trigger)), _listener(loop, self._note, wanted[id], heard))
            made.start()

    def stop(self) -> None:
        for made in self._watches.values():
            made.stop()
        self._watches.clear()

    def _note(self, job: Job, paths: frozenset[str] | None, heard: Heard) -> None:
        top = os.path.realpath(job.trigger.text)
        if paths is not None and not any(path == top or path.startswith(top.rstrip(os.sep) + os.sep) for path in paths):
            return
        now = self._clock.now()
        first = self._first.get(job.id, 0.0)
        if not now - first < _LONGEST_S:
            self._first[job.id] = first = now
        heard(job.id, min(now + _QUIET_S, first + _LONGEST_S))


def _listener(
    loop: asyncio.AbstractEventLoop, note: Callable[[Job, frozenset[str] | None, Heard], None], job: Job, heard: Heard
) -> Callable[[frozenset[str] | None], None]:
    return lambda paths: loop.call_soon_threadsafe(note, job, paths, heard) and None
