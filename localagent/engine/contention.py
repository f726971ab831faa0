"""How many processors other programs leave us."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from .cores import allowed_cpus

WINDOW_S = 0.25
"""Seconds: the system counts in hundredths, so less says nothing."""
STEADY_S = 2.0
"""Programs that only start, as our own do before and between answers, are no competition over so many seconds."""
_LOST = 0.5
_STAT = Path("/proc/stat")


class Free:
    """Called now and then, it says how many of the processors we may use were free of other programs since.

    What it says is of `window_s` seconds at least.
    `busy` is the processor seconds that everybody has used on them so far (None where the system does not say),
    `own` those of this process.
    """

    def __init__(
        self,
        processors: int | None = None,
        busy: Callable[[], float | None] | None = None,
        own: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
        window_s: float = WINDOW_S,
    ) -> None:
        self._processors = processors or len(allowed_cpus())
        self._busy = busy or used_seconds
        self._own, self._clock, self._window_s = own, clock, window_s
        self._last = (clock(), self._busy(), own())
        self._found: float | None = None

    def restart(self) -> None:
        """Count from now on: what others computed while we did not is no competition."""
        self._last, self._found = (self._clock(), self._busy(), self._own()), None

    def __call__(self) -> float | None:
        """None where nobody can tell. What was found last stands until a window has passed."""
        then, busy, own = self._last
        now = self._clock()
        if now - then < self._window_s:
            return self._found
        self._last = now, self._busy(), self._own()
        _, busy_now, own_now = self._last
        self._found = None
        if busy is not None and busy_now is not None:
            everybody, ours = busy_now - busy, own_now - own
            # Where the system's count does not even hold our own work it means something else.
            if everybody >= ours * _LOST:
                self._found = self._processors - max(0.0, everybody - ours) / (now - then)
        return self._found


def used_seconds() -> float | None:
    """What all programs have used of the processors we may use; those that yield to everybody (nice) do not count."""
    try:
        return _linux(_STAT.read_text())
    except (OSError, ValueError, IndexError):
        return _elsewhere()


def _linux(stat: str) -> float:
    cpus = {f"cpu{number}" for number in allowed_cpus()}
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in cpus:
            user, nice, system, _, _, irq, softirq, *rest = map(int, fields)
            # What a hypervisor takes away (steal) is as lost to us as what programs use.
            ticks += user + system + irq + softirq + sum(rest[:1]) + (nice if os.nice(0) > 0 else 0)
    return ticks / os.sysconf("SC_CLK_TCK")


def _elsewhere() -> float | None:
    try:
        import psutil

        times = psutil.cpu_times()
    except (ImportError, OSError):
        return None
    return sum(times) - times.idle - getattr(times, "nice", 0.0)
