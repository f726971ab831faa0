"""What came next the last time: the tokens of a prompt and its answer, found again by their last few."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from .snapshots import shared

LONGEST = 16
"""Tokens in common beyond which nobody asks for more."""
TRIES = 12
"""Earlier places that are looked at, the latest first."""


class Index:
    """Each pair of tokens, and where it stood last. Holds what was read and said, never what is only guessed."""

    def __init__(self) -> None:
        self.tokens: array[int] = array("i")
        self._last: dict[int, int] = {}
        self._before: array[int] = array("i")

    def follow(self, tokens: Sequence[int]) -> None:
        """Hold exactly these tokens; only those that differ are read."""
        goal = array("i", tokens)
        kept = shared(self.tokens, goal)
        if kept < len(self.tokens) // 2:
            self.tokens, self._last, self._before = array("i"), {}, array("i")
            kept = 0
        while len(self.tokens) > kept:
            self._drop()
        self.push(goal[kept:])

    def push(self, tokens: Sequence[int]) -> None:
        """Tokens that come behind the others."""
        last, before, known = self._last, self._before, self.tokens
        previous = known[-1] if known else -1
        at = len(known)
        for token in tokens:
            pair = previous << 32 | token
            before.append(last.get(pair, -1))
            last[pair] = at
            previous = token
            at += 1
        known.extend(tokens)

    def _drop(self) -> None:
        at = len(self.tokens) - 1
        pair = (self.tokens[at - 1] if at else -1) << 32 | self.tokens[at]
        earlier = self._before.pop()
        if earlier < 0:
            del self._last[pair]
        else:
            self._last[pair] = earlier
        self.tokens.pop()

    def find(self) -> tuple[int, int]:
        """How many of the last tokens stood together before, 2 to `LONGEST`, and where they went on; (0, 0) if none.

        The longest such place, the latest of those that are equally long.
        """
        tokens, before = self.tokens, self._before
        end = len(tokens) - 1
        best = place = 0
        at = before[end] if end > 0 else -1
        for _ in range(TRIES):
            if at < 1:
                break
            if not best or (at >= best and tokens[at - best] == tokens[end - best]):
                length = 2
                while length < LONGEST and length <= at and tokens[at - length] == tokens[end - length]:
                    length += 1
                if length > best:
                    best, place = length, at + 1
                    if length == LONGEST:
                        break
            at = before[at]
        return best, place

    def behind(self, place: int, count: int) -> list[int]:
        """So many tokens from `place` on; what runs past the end goes round."""
        found = self.tokens[place : place + count].tolist()
        while found and len(found) < count:
            found += found[: count - len(found)]
        return found
