"""Which tools fit some words: ranked by the words that they share, whatever language these are in and however they are spelt.

Names count most, then servers and descriptions, then what parameters say (`finding.index`). A request's words are taken for what they
can mean: other endings, slips, words of the same meaning and those of other languages (`finding.asked`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ..values import ToolSpec
from .finding import keeping, sure
from .finding.asked import Word, mended, understood
from .finding.index import Index
from .finding.lexicon import lexicon

_READ = 4000
"""Characters of a query that are looked at."""
_JUDGED = 40
_NAMED = 0.8
_SERVED = 1.7


@dataclass(frozen=True, slots=True)
class Found:
    """A tool and how well it fits, more being better; `sure`: well enough to be offered although nobody searched."""

    spec: ToolSpec
    score: float
    sure: bool


class Finder:
    """Finds among `specs`. The index is made at the first `find`, beside everything else."""

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self._specs = tuple(specs)
        self._lock = threading.Lock()
        self._index: Index | None = None

    async def find(self, query: str, count: int = 5) -> tuple[Found, ...]:
        """At most `count` tools that share words with the query, the best first."""
        return await asyncio.to_thread(self.ranked, query, count)

    def ranked(self, query: str, count: int = 5) -> tuple[Found, ...]:
        """The same where there is no event loop to keep free."""
        if not self._specs:
            return ()
        with self._lock:
            if self._index is None:
                self._index = keeping.made(self._specs)
            index = self._index
            asked = understood(query[:_READ], index, lexicon())
            scored = self._scored(asked, index)
        made = sorted(scored, key=lambda one: (-one[1], self._specs[one[0]].name))[:_JUDGED]
        found = [Found(self._specs[at], round(score, 3), sure.fits(self._specs[at], at, asked, index)) for at, score in made]
        return sure.kept(found)[:count]

    def mended(self, query: str) -> str:
        """A request with its slips put right, as far as the words of the tools tell."""
        with self._lock:
            return query if self._index is None else mended(query, self._index, lexicon())

    def _scored(self, asked: Sequence[Word], index: Index) -> list[tuple[int, float]]:
        """Tools by number, the sum of what each word gives, and more where the words of the name are among them."""
        totals: dict[int, float] = {}
        for word in asked:
            best: dict[int, float] = {}
            for one, strength in word.means.items():
                factor = strength * word.weight
                for at, impact in index.impacts(one).items():
                    given = factor * impact
                    if given > best.get(at, 0.0):
                        best[at] = given
            for at, given in best.items():
                totals[at] = totals.get(at, 0.0) + given
        near = sorted(totals.items(), key=lambda one: -one[1])[: 2 * _JUDGED]
        served = {word for one in asked for word, strength in one.means.items() if strength > 0.7 and word in index.servers}

        def factor(at: int) -> float:
            entry = index.entries[at]
            here = any(word in served for word in entry.server)
            return (_SERVED if here else 1.0) * (1 + _NAMED * sure.named(entry, asked, index))

        return [(at, total * factor(at)) for at, total in near]
