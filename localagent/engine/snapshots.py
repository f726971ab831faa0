"""States of one context in memory, each after some tokens, within a budget of bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .seen import uncut

PINNED = 2
"""As many fixed parts are kept whatever else comes."""


@dataclass(slots=True, eq=False)
class Snapshot:
    """State after `tokens`. A partial one holds the recurrent part only, and needs the attention's part in place."""

    tokens: array[int]
    state: Any
    partial: bool
    pinned: bool = False
    used: int = 0

    @property
    def size(self) -> int:
        return len(self.state) + self.tokens.itemsize * len(self.tokens)


@dataclass(frozen=True, slots=True)
class Way:
    """How to come to a state after `length` tokens: the whole state, and then the partial one if there is one."""

    whole: Snapshot
    partial: Snapshot | None
    length: int


@dataclass(frozen=True, slots=True)
class Suspended:
    """A conversation in the middle of its answer: its whole state, and the snapshots that need its tokens in place.

    `fixed`, `turn` and `next_` are lengths: what it starts with, where its newest turn begins, and where the next
    snapshot is due; `prompts` is its number.
    """

    whole: Snapshot | None
    partial: tuple[Snapshot, ...]
    fixed: int
    turn: int
    next_: int
    prompts: int


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common prefix; it ends in no picture."""
    limit = min(len(one), len(other))
    step, at = 512, 0
    while at < limit and one[at : at + step] == other[at : at + step]:
        at += step
    at = min(at, limit)
    while at < limit and one[at] == other[at]:
        at += 1
    return uncut(one, at)


def begins(tokens: Sequence[int], start: Sequence[int]) -> bool:
    """Whether `tokens` begin with `start`."""
    return len(start) <= len(tokens) and tokens[: len(start)] == start


class Snapshots:
    """Those used last stay, the pinned ones before all others; states that are lent stay beside the budget."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: list[Snapshot] = []
        self._lent: list[Snapshot] = []
        self._clock = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(tuple(self._held))

    @property
    def used(self) -> int:
        """Bytes held."""
        return sum(s.size for s in self)

    def find(self, tokens: array[int], *, partial: bool) -> Snapshot | None:
        kept = (*self._held, *self._lent)
        return next((s for s in kept if s.partial == partial and s.tokens == tokens), None)

    def add(self, snapshot: Snapshot) -> bool:
        """Hold it, and let go of others for it; False where it alone is above the budget."""
        if snapshot.size > self.budget:
            return False
        self._held.append(snapshot)
        self.touch(snapshot)
        for old in sorted((s for s in self._held if s.pinned), key=lambda s: -s.used)[PINNED:]:
            old.pinned = False
        self._let_go(keep=snapshot)
        return True

    def shrink(self, budget: int) -> None:
        """Hold at most so many bytes from now on."""
        self.budget = budget
        self._let_go()

    def _let_go(self, keep: Snapshot | None = None) -> None:
        while self._held and self.used > self.budget:
            self.remove(min(self._held, key=lambda s: (s is keep, s.pinned, s.used)))

    def touch(self, snapshot: Snapshot) -> None:
        self._clock += 1
        snapshot.used = self._clock

    def remove(self, snapshot: Snapshot) -> None:
        self._held = [s for s in self._held if s is not snapshot]

    def tidy(self, live: array[int]) -> None:
        """Drop the partial ones that neither the living tokens nor a whole one can carry."""
        carriers = [live, *(s.tokens for s in (*self._held, *self._lent) if not s.partial)]
        self._held = [s for s in self._held if not s.partial or any(begins(c, s.tokens) for c in carriers)]

    def lend(self, whole: Snapshot) -> None:
        """Take care of the state of a conversation that goes on later; `end_loan` ends that."""
        self._lent.append(whole)

    def end_loan(self, whole: Snapshot) -> None:
        self._lent = [s for s in self._lent if s is not whole]
        if whole.pinned and self.find(whole.tokens, partial=False) is None:
            self.add(whole)

    def give_back(self, snapshots: Sequence[Snapshot]) -> None:
        """Hold these again, whatever they take: the budget counts when the next one comes."""
        self._held += [s for s in snapshots if not any(s is other for other in self._held)]
        for snapshot in snapshots:
            self.touch(snapshot)

    def ways(self, goal: array[int], limit: int, recurrent: bool) -> Iterator[Way]:
        """All ways to a prefix of `goal` of at most `limit` tokens that start from a whole state."""
        partial = [s for s in self._held if s.partial and len(s.tokens) <= limit and begins(goal, s.tokens)]
        for whole in self._held:
            if whole.partial:
                continue
            common = min(shared(whole.tokens, goal), limit)
            if common == len(whole.tokens) or not recurrent:
                yield Way(whole, None, common)
                continue
            yield from (Way(whole, s, len(s.tokens)) for s in partial if len(s.tokens) <= common)
