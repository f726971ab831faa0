"""Whether guessed tokens are worth computing: how often guesses come true, and what a batch costs.

All costs are in units of one token computed alone, so that the answer is the same on every machine
until its own figures are known. A guess is judged for free where it was not computed, too: the
token that comes says whether it would have been right.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from .lookup import LONGEST

FORCED = 0
"""In place of the length of a match: a grammar leaves nothing else."""
SMALL, LARGE = 3, 15
"""Guessed tokens in a batch; processors compute the sizes between them at nearly the price of the larger."""
SURE = 6
"""A shorter match is not worth the copy of a recurrent state."""
_SIZES, _PRICES = (1, 2, 3, 4, 6, 8, 12, 16, 32), (1.0, 1.45, 1.75, 2.2, 2.9, 3.95, 4.3, 4.6, 8.0)
_LENGTHS, _CHANCES = (0, 1, 2, 3, 4, 5, 6, 8, 12), (0.95, 0.1, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.95)
_BUCKET = tuple(bisect_right(_LENGTHS, length) - 1 for length in range(LONGEST + 1))
_PRICE = tuple(
    _PRICES[at] + (_PRICES[at + 1] - _PRICES[at]) * (size - _SIZES[at]) / (_SIZES[at + 1] - _SIZES[at])
    for size in range(1, _SIZES[-1])
    for at in [bisect_right(_SIZES, size) - 1]
)


class Costs:
    """What batches cost on this machine with this model; kept from answer to answer."""

    def __init__(self) -> None:
        self._alone: deque[float] = deque(maxlen=9)
        self.token = 0.0
        # Against the prices above; what large batches cost is taken from small ones until one was computed.
        self._dearer = [1.0, 1.0]
        self.tried = [False, False]
        self.save = self.load = 0.05

    @property
    def known(self) -> bool:
        return len(self._alone) >= 2

    def alone(self, seconds: float) -> None:
        """One token was computed alone."""
        self._alone.append(seconds)
        self.token = sorted(self._alone)[len(self._alone) // 2]
        # What was once found dear is tried again some time later.
        small, large = self._dearer
        self._dearer = [min(small, small + (1.0 - small) * 0.004), min(large, large + (1.0 - large) * 0.004)]

    def together(self, size: int, seconds: float) -> float:
        """So many tokens were computed at once; what that cost."""
        cost = self.units(seconds)
        at, dearer = size > SMALL + 1, cost / _PRICE[size - 1]
        self._dearer[at] += (0.3 if self.tried[at] else 1.0) * (dearer - self._dearer[at])
        self.tried[at] = True
        if not self.tried[1]:
            self._dearer[1] = self._dearer[0]
        return cost

    def units(self, seconds: float) -> float:
        """In tokens computed alone, at most 16."""
        return min(seconds / self.token, 16.0) if self.known else 1.0

    def of(self, size: int) -> float:
        """What so many tokens at once cost."""
        return max(1.0, _PRICE[size - 1] * self._dearer[size > SMALL + 1])

    def copied(self, seconds: float, *, back: bool) -> None:
        """A state was saved, or put `back`."""
        cost = self.units(seconds)
        if back:
            self.load += 0.3 * (cost - self.load)
        else:
            self.save += 0.3 * (cost - self.save)


class Odds:
    """How often a guess came true in this answer, by the length of the match that it came from."""

    PRIOR, FADE = 3.0, 0.97

    def __init__(self) -> None:
        self._right = [self.PRIOR * chance for chance in _CHANCES]
        self._all = [self.PRIOR] * len(_CHANCES)

    def saw(self, length: int, right: bool) -> None:
        at = _BUCKET[length]
        self._right[at] = self._right[at] * self.FADE + right
        self._all[at] = self._all[at] * self.FADE + 1.0

    def of(self, length: int) -> float:
        """The chance that the next guessed token comes true."""
        at = _BUCKET[length]
        return self._right[at] / self._all[at]


class Worth:
    """Decides for one answer. `recurrent`: a refused guess costs a copy of the state and its good part again."""

    LEAST, START, EARNED, MOST, DEBT = 1.1, 1.0, 0.01, 8.0, 1.5

    def __init__(self, costs: Costs, recurrent: bool) -> None:
        self.costs, self.odds, self.recurrent = costs, Odds(), recurrent
        # Tokens' time that matches may still lose: a hundredth of the answer, and some of what they gained.
        self._credit = self.START

    def said(self) -> None:
        self._credit = min(self.MOST, self._credit + self.EARNED)

    def paid(self, length: int, cost: float) -> None:
        """What guessing behind a match of that length cost beyond one token."""
        if length != FORCED:
            self._credit -= cost

    def won(self, length: int) -> None:
        """A guess came true: a token that does not have to be computed alone."""
        self.odds.saw(length, True)
        if length != FORCED:
            self._credit = min(self.MOST, self._credit + 1.0)

    def count(self, length: int, available: int) -> tuple[float, int]:
        """How many of the available guesses to compute, and the tokens that gives for the time of one; 0 for none."""
        if available < 1 or not self.costs.known or (self.recurrent and FORCED < length < SURE):
            return 0.0, 0
        sizes = self._sizes(length, available)
        if length != FORCED:
            bound = self._credit + self.DEBT + 1.0 if self._credit > 0.0 else 0.0
            sizes = [size for size in sizes if self.costs.of(size + 1) <= bound]
        best = max(((value, size) for size, value in self._values(length, sizes)), default=(0.0, 0))
        return best if best[0] > self.LEAST else (0.0, 0)

    def _sizes(self, length: int, available: int) -> Sequence[int]:
        if length == FORCED or available < SMALL:
            return (min(available, LARGE),)
        return (SMALL, LARGE) if available >= LARGE and self.costs.tried[0] else (SMALL,)

    def _values(self, length: int, sizes: Sequence[int]) -> list[tuple[int, float]]:
        """For each size the tokens it gives for the time of one."""
        if not sizes:
            return []
        costs, chance = self.costs, self.odds.of
        found: list[tuple[int, float]] = []
        likely, tokens, extra = 1.0, 1.0, costs.save if self.recurrent else 0.0
        for number in range(1, sizes[-1] + 1):
            right = chance(min(length + number - 1, LONGEST) if length else FORCED)
            if self.recurrent:
                extra += likely * (1.0 - right) * (costs.of(number + 1) - 1.0 + costs.load)
            likely *= right
            tokens += likely
            if number in sizes:
                found.append((number, tokens / (costs.of(number + 1) + extra)))
        return found


class Clock:
    """`with Clock() as clock:` and then `clock.seconds`."""

    __slots__ = ("seconds",)

    def __enter__(self) -> Clock:
        self.seconds = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.seconds
