"""The words that something knows, and those that one which it does not know may be a slip of. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator

from .words import COMMON


class Vocabulary:
    """Knows stems. Made once for many questions."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = words
        self._sorted: list[str] | None = None
        self._buckets: dict[tuple[str, int], list[str]] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def begins(self, start: str) -> Iterator[str]:
        """The words that begin so."""
        if self._sorted is None:
            self._sorted = sorted(self._words)
        for at in range(bisect_left(self._sorted, start), len(self._sorted)):
            if not self._sorted[at].startswith(start):
                return
            yield self._sorted[at]

    def slips(self, word: str, known: Collection[str] = ()) -> list[str]:
        """The words, of these and of `known`, that this one may be a slip of, the nearest only.

        One letter is off, two in long words and where the letters are the same.
        """
        if not self._buckets:
            for one in {*self._words, *known, *COMMON}:
                if len(one) > 3 and one.isalpha():
                    for first in {one[0], one[1]}:
                        self._buckets.setdefault((first, len(one)), []).append(one)
        near: dict[str, int] = {}
        letters, best = set(word), 2
        for size in range(len(word) - 2, len(word) + 3):
            for first in {word[0], word[1]}:
                for one in self._buckets.get((first, size), ()):
                    if one in near or not (one[0] == word[0] or one[-2:] == word[-2:]):
                        continue
                    most = 2 if len(word) > 7 or (len(word) > 4 and set(one) == letters) else 1
                    if (off := distance(one, word, most)) <= most:
                        near[one] = off
                        best = min(best, off)
        nearest = [one for one, off in near.items() if off == best]
        swapped = [one for one in nearest if sorted(one) == sorted(word)]
        return swapped or nearest


def distance(one: str, other: str, most: int) -> int:
    """Letters to add, leave out, change or swap with the next; `most` + 1 where it is more than `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    if most > 1 and len(set(one) ^ set(other)) > 2 * most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        row = [at]
        for to, against in enumerate(other, 1):
            cost = min(last[to] + 1, row[to - 1] + 1, last[to - 1] + (letter != against))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == against:
                cost = min(cost, before[to - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]
