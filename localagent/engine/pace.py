"""How many threads to decode with, and stepping back when other programs want the cores.

Threads wait for each other hundreds of times per token: with one core taken away, decoding
on all cores is an order of magnitude slower than on the ones that are left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Protocol


class Threaded(Protocol):
    threads: int

    def set_threads(self, threads: int) -> None: ...


def _nobody_knows() -> float | None:
    return None


class Pace:
    """Told how long each token took, it sets the threads.

    The first token that takes `SLOW` times the usual makes it step down, further where the token behind it is no
    better. It goes back up when `free`, the processors that others leave us, says so, or else after a while, a long
    one where it says that they are busy; a try is one token, and costs about a twentieth of the time at most. Every
    `AGAIN` tokens it tries whether fewer are faster. `limit` caps the threads, to save power. An answer begins with what
    `steady` says, `free` over a longer time.
    """

    SLOW, UNSURE = 3.0, 1.5
    FIRST, TRIAL, AGAIN = 2, 3, 400
    SOON_S, LATER_S, BUSY_S, COST, MOST_S = 0.5, 20.0, 300.0, 20.0, 600.0
    SPARE, SPARE_AT_FIRST = 0.3, 0.6

    def __init__(
        self,
        context: Threaded,
        full: int,
        free: Callable[[], float | None] = _nobody_knows,
        steady: Callable[[], float | None] | None = None,
    ) -> None:
        self._context = context
        self._full = self._cap = full
        self._free, self._steady = free, steady or free
        self._took: dict[int, deque[float]] = {}
        self._healthy: dict[int, float] = {}
        self._trial: tuple[int, list[float]] | None = None
        self._until_trial = self.FIRST
        self._below_s = self._since_up_s = 0.0
        self._wait_s, self._slow_s = self.SOON_S, 0.0

    def limit(self, threads: int) -> None:
        """Use at most so many threads."""
        before, self._cap = self._cap, max(1, min(self._full, threads))
        if self._context.threads > self._cap or before == self._context.threads != self._cap:
            self._go(self._cap)

    def begin(self) -> None:
        """An answer, or the next part of its prompt, is about to be computed: with what others leave us now."""
        # Our own front ends compute before and between answers, which is no competition.
        free = self._steady()
        if free is not None:
            self._go(self._fitting(free, self.SPARE_AT_FIRST))
            self._took.pop(self._context.threads, None)

    def step(self, seconds: float) -> None:
        """Account for one token."""
        threads, levels = self._context.threads, self._levels()
        if len(levels) == 1:
            return
        if self._trial is not None:
            self._tried(threads, seconds)
            return
        if threads > 1 and self._is_slow(threads, seconds):
            self._down(threads, seconds)
            return
        self._took.setdefault(threads, deque(maxlen=16)).append(seconds)
        self._healthy[threads] = median(self._took[threads])
        self._since_up_s += seconds
        if threads < levels[0]:
            self._below_s += seconds
            if higher := self._higher(threads):
                self._try(higher, threads)
                return
        self._until_trial -= 1
        if self._until_trial <= 0 and threads > levels[-1]:
            self._try(max(n for n in levels if n < threads), threads)

    # ------------------------------------------------------------ stepping down

    def _is_slow(self, threads: int, seconds: float) -> bool:
        usual = self._usual(threads)
        if usual is not None and seconds > self.SLOW * usual:
            return True
        if usual is None or seconds > self.UNSURE * usual:
            free = self._free()
            return free is not None and free < threads - self.SPARE
        return False

    def _usual(self, threads: int) -> float | None:
        """Seconds a token should take; where it was not measured, as if the work were shared out exactly."""
        if own := self._took.get(threads):
            return median(own)
        return min((took * n / threads for n, took in self._healthy.items() if n > threads), default=None)

    def _down(self, threads: int, seconds: float) -> None:
        free = self._free()
        lower = [n for n in self._levels() if n < threads]
        fitting = [n for n in lower if free is not None and n - self.SPARE <= free]
        # Where nobody can tell how many are left, half of them surely are.
        target = fitting[0] if fitting else next((n for n in lower if n <= threads / 2), lower[-1])
        again = self._since_up_s < 8 * self._wait_s
        self._wait_s = min(self.MOST_S, 2 * self._wait_s) if again else self.SOON_S
        self._slow_s, self._below_s = seconds, 0.0
        self._took.pop(threads, None)
        self._took.pop(target, None)
        self._go(target)

    # ------------------------------------------------------------ trying another number

    def _higher(self, threads: int) -> int | None:
        """What to try instead, None while it is too early."""
        if self._below_s < max(self._wait_s, self.SOON_S):
            return None
        free = self._free()
        if free is not None and (fitting := self._fitting(free)) > threads:
            return fitting
        later = self.LATER_S if free is None else self.BUSY_S
        if self._below_s < max(self._wait_s, later, self.COST * self._slow_s):
            return None
        return min(n for n in self._levels() if n > threads)

    def _try(self, threads: int, back: int) -> None:
        self._trial = back, []
        self._context.set_threads(threads)

    def _tried(self, threads: int, seconds: float) -> None:
        back, samples = self._trial or (threads, [])
        samples.append(seconds)
        usual = median(self._took[back])
        if seconds >= usual:
            self._trial = None
            if threads > back:
                self._slow_s, self._below_s = seconds, 0.0
                self._wait_s = min(self.MOST_S, max(2 * self._wait_s, self.COST * seconds))
            self._go(back)
        elif threads > back or seconds < usual / 2 or len(samples) >= self.TRIAL:
            self._trial = None
            self._took[threads] = deque(samples, maxlen=16)
            self._since_up_s = 0.0
            self._go(threads)
            if threads < back:
                self._until_trial = self.FIRST
            else:
                # There may be room for still more.
                self._wait_s, self._slow_s, self._below_s = self.SOON_S, 0.0, self.BUSY_S

    def _go(self, threads: int) -> None:
        self._trial = None
        self._until_trial = self.AGAIN
        self._context.set_threads(threads)

    # ------------------------------------------------------------ the numbers there are

    def _levels(self) -> list[int]:
        """The numbers to choose from, the largest first."""
        cap = self._cap
        return sorted({cap, max(1, cap - 1), max(1, cap // 2), 1}, reverse=True)

    def _fitting(self, free: float, spare: float = SPARE) -> int:
        return next((n for n in self._levels() if n - spare <= free), 1)
