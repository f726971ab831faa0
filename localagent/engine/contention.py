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
_LOADAVG = Path("/proc/loadavg")
_LOOKS, _APART_S = 5, 0.004


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
        self.processors = processors or len(allowed_cpus())
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
                self._found = self.processors - max(0.0, everybody - ours) / (now - then)
        return self._found


class Steady:
    """What `Free` says over at least `STEADY_S`, unless nobody computes any more: a window may reach far back.

    `running` is how many threads of others want a processor at this moment, None where the system does not say.
    """

    def __init__(self, free: Free | None = None, running: Callable[[], int | None] | None = None) -> None:
        self._free, self._running = free or Free(window_s=STEADY_S), running or others_running
        self._processors = self._free.processors

    def __call__(self) -> float | None:
        found = self._free()
        if found is None or found >= self._processors - _LOST:
            return found
        running = self._running()
        return found if running is None else max(found, float(self._processors - running))


def others_running() -> int | None:
    """The fewest threads but the caller's that are running or ready to, in some looks; None where that is not told.

    The system counts those on all its processors: where we may not use all of them it says nothing about ours.
    """
    if len(allowed_cpus()) != os.cpu_count():
        return None
    found = []
    for look in range(_LOOKS):
        if look:
            time.sleep(_APART_S)
        try:
            running = int(_LOADAVG.read_text().split()[3].split("/")[0])
        except (OSError, ValueError, IndexError):
            return None
        found.append(max(0, running - 1))
        if not found[-1]:
            break
    return min(found)


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
