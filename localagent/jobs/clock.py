"""What a watcher knows of time; a test gives it another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol

# Clocks are set and laptops sleep: how late it is has to be asked, however long the next thing is away.
_LONGEST_S = 5.0


class Clock(Protocol):
    """`now` is in seconds since the epoch."""

    def now(self) -> float: ...

    async def wait(self, until: float, woken: asyncio.Event) -> None:
        """Until that moment, or a little before it, or until `woken` is set."""
        ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def wait(self, until: float, woken: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), max(0.01, min(until - self.now(), _LONGEST_S)))
