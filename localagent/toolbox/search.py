"""Which tools fit some words: ranked by the words that they share, whatever language these are in and however they are spelt.

Names count most, then servers and descriptions, then what parameters say (`finding.index`). A request's words are taken for what they
can mean: other endings, slips, words of the same meaning and those of other languages (`finding.asked`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..values import ToolSpec
from .finding import keeping, sure
from .finding.asked import Word, mended, understood
from .finding.index import Index
from .finding.lexicon import lexicon
from .finding.purposes import fitness, meant, purposes
from .finding.words import content

_READ = 4000
"""Characters of a query that are looked at."""
_JUDGED = 40
_NAMED = 0.8
_SERVED = 1.7
_BY_WORDS, _BY_PURPOSE, _BY_MEANING = 8.0, 9.0, 1.0
"""What the best by words counts, the best for the purpose, and a standard deviation of nearness in meaning."""
_SPOKEN = 3.0
"""What is added where a request says the words of a name."""
_LOW = 8.0
"""A score by words below this says little, however far behind the others are."""
_SHARED = (0.1, 0.3)
_ALIKE = (0.3, 0.2)
"""From where on a request is like an example, and by how much more surely: in words that they share, and in meaning."""
_SHARED_TOO = 0.3
"""What shared words count beside likeness in meaning."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """What a model says of a request: tools by number, in standard deviations, and how alike it is to purposes, by number, at most 1."""

    tools: Mapping[int, float]
    purposes: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Found:
    """A tool and how well it fits, more being better; `sure`: well enough to be offered although nobody searched."""

    spec: ToolSpec
    score: float
    sure: bool


class Finder:
    """Finds among `specs`. The index is made at the first `find`, beside everything else.

    `beside` are tools that need not be found: where one of these does it best, no other is sure.
    """

    def __init__(self, specs: Sequence[ToolSpec], beside: Sequence[ToolSpec] = ()) -> None:
        self._count = len(specs)
        self._specs = (*specs, *beside)
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._fitness: dict[int, dict[int, float]] = {}

    async def find(self, query: str, count: int = 5) -> tuple[Found, ...]:
        """At most `count` tools that share words with the query, the best first."""
        return await asyncio.to_thread(self.ranked, query, count)

    def ranked(self, query: str, count: int = 5, near: Nearness | None = None) -> tuple[Found, ...]:
        """The same where there is no event loop to keep free, with what a model has to say of it."""
        if not self._count:
            return ()
        with self._lock:
            if self._index is None:
                self._index = keeping.made(self._specs)
            index = self._index
            asked = understood(query[:_READ], index.vocabulary, lexicon())
            words = self._scored(asked, index)
            served = self._served(query[:_READ], near, index)
            scored = self._added(words, served, near)
            said = f" {' '.join(content(query[:_READ]))} "
            spoken = {at for at in scored if sure.spoken(index.entries[at], said)}
            scored |= {at: scored[at] + _SPOKEN for at in spoken}
        every = sorted(scored.items(), key=lambda one: (-one[1], self._specs[one[0]].name))
        made = [one for one in every if one[0] < self._count]
        needed = every == [] or every[0][0] < self._count
        ahead = bool(made) and sure.leads([score for _, score in made], served.get(made[0][0], 0.0))

        def at_once(at: int) -> bool:
            if at in spoken:
                return True
            fits = served.get(at, 0.0) > sure.SERVED or (ahead and at == made[0][0]) or sure.fits(self._specs[at], at, asked, index)
            return needed and fits

        found = [Found(self._specs[at], round(score, 3), at_once(at)) for at, score in made[:count]]
        return sure.kept(found)

    def mended(self, query: str) -> str:
        """A request with its slips put right, as far as the words of the tools tell."""
        with self._lock:
            return query if self._index is None else mended(query, self._index.vocabulary, lexicon())

    def _served(self, query: str, near: Nearness | None, index: Index) -> dict[int, float]:
        """How well each tool serves what the request seems to be for."""
        known = purposes()
        shared = known.near(understood(query, known.vocabulary, lexicon()))
        if near is None:
            wanted = meant(shared, *_SHARED)
        else:
            alike = {at: how + _SHARED_TOO * shared.get(at, 0.0) for at, how in near.purposes.items()}
            wanted = meant(alike, *_ALIKE)
        served: dict[int, float] = {}
        for number, weight in wanted:
            if number not in self._fitness:
                self._fitness[number] = fitness(known.rows[number], index)
            for at, how in self._fitness[number].items():
                served[at] = served.get(at, 0.0) + weight * how
        return served

    def _added(self, words: Mapping[int, float], served: Mapping[int, float], near: Nearness | None) -> dict[int, float]:
        best = max([_LOW, *words.values()])
        tools = near.tools if near else {}
        far = min([0.0, *tools.values()])
        return {
            at: _BY_WORDS * words.get(at, 0.0) / best + _BY_PURPOSE * served.get(at, 0.0) + _BY_MEANING * tools.get(at, far)
            for at in {*words, *served, *tools}
        }

    def _scored(self, asked: Sequence[Word], index: Index) -> dict[int, float]:
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

        return {at: total * factor(at) for at, total in near}
