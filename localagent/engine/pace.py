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
    """Halves the threads after three tokens in a row that took over three times the best; tries again later."""

    SLOW, IN_A_ROW, RETRY = 3.0, 3, 64

    def __init__(self, context: Threaded) -> None:
        self._context = context
        self._full = context.threads
        self._best = math.inf
        self._slow = 0
        self._since = 0

    def step(self, seconds: float) -> None:
        """Account for one token."""
        self._since += 1
        if self._context.threads == self._full:
            self._best = min(self._best, seconds)
        self._slow = self._slow + 1 if seconds > self.SLOW * self._best else 0
        if self._slow >= self.IN_A_ROW and self._context.threads > 1:
            self._context.set_threads(max(1, self._context.threads // 2))
            self._slow = self._since = 0
        elif self._context.threads < self._full and self._since >= self.RETRY:
            self._context.set_threads(self._full)
            self._slow = self._since = 0
