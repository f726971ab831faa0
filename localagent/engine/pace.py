"""How many threads to decode with, and stepping back when other programs want the cores.

Threads wait for each other hundreds of times per token: with one core taken away, decoding
on all cores is an order of magnitude slower than on the ones that are left.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Protocol


def default_threads() -> int:
    """Physical cores this process may use, within its affinity and cgroup quota."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    try:
        where = Path("/proc/self/cgroup").read_text().split("::", 1)
        folder = Path("/sys/fs/cgroup") / (where[1].strip().lstrip("/") if len(where) > 1 else "")
        for place in (folder, Path("/sys/fs/cgroup")):
            if (place / "cpu.max").exists():
                quota, period = (place / "cpu.max").read_text().split()
                if quota != "max":
                    return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass
    return 1 << 16


class Threaded(Protocol):
    threads: int

    def set_threads(self, threads: int) -> None: ...


class Pace:
    """Tries fewer threads now and then and keeps what was fastest.

    `step` is told how long each token took: early on, every `AGAIN` tokens and after `IN_A_ROW`
    tokens that took `SLOW` times the usual, the next smaller choice is tried for `TRIAL` tokens.
    """

    FIRST, TRIAL, AGAIN, SLOW, IN_A_ROW = 6, 3, 400, 3.0, 3

    def __init__(self, context: Threaded, full: int) -> None:
        self._context = context
        self._choices = sorted({full, max(1, full // 2), 1}, reverse=True)
        self._took: dict[int, float] = {}
        self._samples: list[float] = []
        self._to_try: list[int] = []
        self._until_trial = self.FIRST
        self._slow = 0

    def step(self, seconds: float) -> None:
        """Account for one token."""
        if len(self._choices) == 1:
            return
        self._samples.append(seconds)
        if self._to_try:
            if len(self._samples) >= self.TRIAL:
                self._record()
                self._to_try.pop(0)
                self._go_on()
            return
        usual = self._took.get(self._context.threads, seconds)
        self._slow = self._slow + 1 if seconds > self.SLOW * usual else 0
        self._until_trial -= 1
        if self._until_trial <= 0 or self._slow >= self.IN_A_ROW:
            self._samples = self._samples[-self.IN_A_ROW :] if self._slow else self._samples[-16:]
            self._record()
            self._to_try = [n for n in self._choices if n != self._context.threads]
            self._go_on()

    def _record(self) -> None:
        ordered = sorted(self._samples)
        self._took[self._context.threads] = ordered[len(ordered) // 2]
        self._samples = []

    def _go_on(self) -> None:
        if self._to_try:
            self._context.set_threads(self._to_try[0])
            return
        self._context.set_threads(min(self._took, key=lambda n: self._took[n]))
        self._until_trial, self._slow = self.AGAIN, 0
