"""What people ask for: examples of requests, and the words of tools that do what they are for. Pure.

A request is compared with the examples, by words here and by meaning where a model for it is installed. What the nearest are for is looked
for among the tools: so "am I free on Friday?" finds what lists events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .asked import Word
from .index import Index
from .vocabulary import Vocabulary
from .words import content, stem

_SAID = Path(__file__).with_name("said")
FIRST = "en"
"""The language whose file says what the purposes are."""
_UNDONE = 0.15
"""What a tool fits that has the subject but does something else with it."""
_ASIDE = 0.5
"""A tool that has a word no better than this only mentions it."""
_UNKNOWN = 4.0
_MOST = 4
"""Purposes that are looked for."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Stems of what it is `about`, and of what is `done` to that."""

    name: str
    about: tuple[str, ...]
    done: tuple[str, ...]


class Purposes:
    """`examples` are requests with the number of their purpose in `rows`."""

    def __init__(self, rows: Sequence[Purpose], examples: Sequence[tuple[int, str]]) -> None:
        self.rows, self.examples = tuple(rows), tuple(examples)
        said = [frozenset(content(text)) for _, text in self.examples]
        self._held: dict[str, list[int]] = {}
        for at, words in enumerate(said):
            for word in words:
                self._held.setdefault(word, []).append(at)
        self._sizes = [math.sqrt(sum(self._rare(word) ** 2 for word in words)) or 1.0 for words in said]
        self.vocabulary = Vocabulary(self._held)

    def _rare(self, word: str) -> float:
        count, total = len(self._held.get(word, ())), len(self.examples)
        return math.log(1 + (total - count + 0.5) / (count + 0.5))

    def near(self, asked: Sequence[Word]) -> dict[int, float]:
        """How near the nearest example of each purpose is, by the words that it shares with a request: 1 has all of them."""
        shared: dict[int, float] = {}
        whole = 0.0
        for word in asked:
            whole += max((self._rare(one) for one in word.means), default=_UNKNOWN) ** 2
            best: dict[int, float] = {}
            for one, strength in word.means.items():
                given = strength * self._rare(one) ** 2
                for at in self._held.get(one, ()):
                    best[at] = max(best.get(at, 0.0), given)
            for at, given in best.items():
                shared[at] = shared.get(at, 0.0) + given
        size = math.sqrt(whole) or 1.0
        found: dict[int, float] = {}
        for at, given in shared.items():
            number = self.examples[at][0]
            found[number] = max(found.get(number, 0.0), given / (size * self._sizes[at]))
        return found


def meant(near: Mapping[int, float], least: float, enough: float) -> list[tuple[int, float]]:
    """The purposes that a request may have, with their weights, which sum up to 1 where the nearest is surely one of them.

    What is not nearer than `least` counts nothing, and the nearest is sure when it is by `enough` nearer than that.
    """
    first = sorted(near.items(), key=lambda one: (-one[1], one[0]))[:_MOST]
    weights = [(number, (how - least) ** 2) for number, how in first if how > least]
    total = sum(weight for _, weight in weights)
    if not total:
        return []
    sure = min(1.0, (first[0][1] - least) / enough)
    return [(number, sure * weight / total) for number, weight in weights]


def fitness(purpose: Purpose, index: Index) -> dict[int, float]:
    """How well tools serve a purpose, by number, at most 1: they are about it, and do it."""
    about = [word for word in purpose.about if word in index]
    whole = sum(max(0.3, index.rare(word)) for word in about)
    best: dict[int, float] = {}
    part: dict[int, float] = {}
    for word in about:
        rare = max(0.3, index.rare(word))
        for at, level in index.levels(word).items():
            best[at] = max(best.get(at, 0.0), level)
            part[at] = part.get(at, 0.0) + rare * level / whole
    does: dict[int, float] = {}
    for word in purpose.done:
        for at, level in index.levels(word).items():
            does[at] = max(does.get(at, 0.0), level)
    # "get" and its like say nothing in a request, and are in no index.
    does |= {at: 1.0 for at in best if any(word in index.entries[at].name for word in purpose.done)}
    return {at: (most + part[at]) / 2 * (_UNDONE + (1 - _UNDONE) * does.get(at, 0.0)) for at, most in best.items() if most > _ASIDE}


def read(folder: Path = _SAID) -> Purposes:
    """The table of that folder: the first file says what its lines are for, the others name the same. Raises ValueError for a name more."""
    rows: list[Purpose] = []
    numbers: dict[str, int] = {}
    examples: list[tuple[int, str]] = []
    for file in sorted(folder.glob("*.txt"), key=lambda path: (path.stem != FIRST, path.stem)):
        for line in file.read_text(encoding="utf-8").splitlines():
            head, _, said = line.partition(" = ")
            if line.startswith("#") or not said:
                continue
            name, _, told = head.partition(": ")
            if file.stem == FIRST:
                about, _, done = told.partition(" / ")
                numbers[name] = len(rows)
                rows.append(Purpose(name, _stems(about), _stems(done)))
            if name not in numbers:
                raise ValueError(f"{file.name}: there is no purpose {name!r}")
            examples += [(numbers[name], one.strip()) for one in said.split("; ") if one.strip()]
    return Purposes(rows, examples)


def _stems(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stem(word) for word in text.split()))


@lru_cache(1)
def purposes() -> Purposes:
    """The ones that we ship."""
    return read()
