"""Which tools fit some words: candidates from an index in memory, ranked by the words that they share.

Names are split at `_`, `-` and capitals; their words weigh most, then those of the description, then those of the parameters.
Words need not be spelt alike: beginnings and letters in common count too, for other endings and slips.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..values import ToolSpec

if TYPE_CHECKING:
    import sqlite3

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RUNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_READ = 4000
"""Characters of a tool's texts, and of a query, that are looked at."""
_CANDIDATES = 60
_ALIKE = 0.6
# Half of the best: what comes far behind it is another subject.
_BEHIND = 0.5

# They say nothing of what is meant.
_EMPTY = frozenset(
    "a an and any are as at be but by can could do does did for from get give go has have her his how i if in into is it its "
    "just let like me mine my need no not of off on one or our out please so some that the their them then there these they "
    "this those to too up us use using want was we were what when where which who why will with would you your".split()
)
# They stand in the names of tools of every kind, and what we ship answers to them.
_GENERIC = frozenset(
    "add all batch check content contents copy create current data delete details directory edit fetch file files find folder "
    "id info insert item items list load make move multiple name names new open path post put query read remove rename resource "
    "run save search send set show text tool tools update value view write".split()
)


@dataclass(frozen=True, slots=True)
class Found:
    """A tool and how well it fits, more being better; `sure`: well enough to be offered although nobody searched."""

    spec: ToolSpec
    score: float
    sure: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """The words of a tool, each once."""

    spec: ToolSpec
    name: tuple[str, ...]
    told: frozenset[str]
    taken: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return self.told | self.taken | frozenset(self.name)


class Finder:
    """Finds among `specs`. The index is made at the first `find`, beside everything else."""

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self._specs = tuple(specs)
        self._lock = threading.Lock()
        self._index: _Index | None = None

    async def find(self, query: str, count: int = 5) -> tuple[Found, ...]:
        """At most `count` tools that share words with the query, the best first."""
        return await asyncio.to_thread(self.ranked, query, count)

    def ranked(self, query: str, count: int = 5) -> tuple[Found, ...]:
        """The same where there is no event loop to keep free."""
        asked = [word for word in dict.fromkeys(_words(query[:_READ])) if word not in _EMPTY]
        if not asked or not self._specs:
            return ()
        with self._lock:
            if self._index is None:
                self._index = _Index(self._specs)
            index = self._index
            near = index.candidates(asked)
        judged = [found for entry in near if (found := index.judged(entry, asked)).score > 0]
        made = sorted(judged, key=lambda one: (-one.score, one.spec.name))
        return tuple(one if one.score >= _BEHIND * made[0].score else _unsure(one) for one in made[:count])


def _unsure(found: Found) -> Found:
    return Found(found.spec, found.score, False)


class _Index:
    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self._entries = [_entry(spec) for spec in specs]
        self._seen = Counter(word for entry in self._entries for word in entry.all)
        self._base = _tables(self._entries)

    def candidates(self, asked: Sequence[str]) -> list[_Entry]:
        if self._base is None:
            return self._entries
        stems = " OR ".join(f'"{_stem(word)}"*' for word in asked)
        parts = " OR ".join(dict.fromkeys(f'"{word[at : at + 3]}"' for word in asked if len(word) > 3 for at in range(len(word) - 2)))
        rows = [row for table, match in (("words", stems), ("parts", parts)) if match for row in _matching(self._base, table, match)]
        return [self._entries[row] for row in dict.fromkeys(rows)]

    def judged(self, entry: _Entry, asked: Sequence[str]) -> Found:
        """The sum over the words that are asked for, rare ones counting more."""
        score, beside = 0.0, 0
        named: dict[str, float] = {}
        for word in asked:
            rare = self._rare(word)
            name, match = max(((one, _alike(word, one)) for one in entry.name), key=lambda pair: pair[1], default=("", 0.0))
            told, taken = _best(word, entry.told), _best(word, entry.taken)
            score += rare * max(match, 0.5 * told, 0.3 * taken)
            if match:
                named[name] = max(named.get(name, 0.0), match)
            elif max(told, taken) > _ALIKE and word not in _GENERIC:
                beside += 1
        subject = [word for word in entry.name if word not in _GENERIC and word not in _EMPTY]
        known = sum(named.get(word, 0.0) for word in subject) / len(subject) if subject else 0.0
        if entry.name:
            score *= 1 + sum(named.values()) / len(entry.name)
        return Found(entry.spec, round(score, 3), known > _ALIKE or (known >= 0.3 and beside >= 1) or beside >= 3)

    def _rare(self, word: str) -> float:
        weight = math.log(1 + len(self._entries) / (1 + self._seen[word]))
        return max(weight, 0.1) * (0.4 if word in _GENERIC else 1.0)


def _entry(spec: ToolSpec) -> _Entry:
    taken = " ".join(_told(spec.parameters))[:_READ]
    return _Entry(spec, tuple(dict.fromkeys(_words(spec.name))), _content(spec.description[:_READ]), _content(taken))


def _content(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if word not in _EMPTY)


def _told(schema: Any, depth: int = 0) -> Iterator[str]:
    """Names, descriptions and choices of the parameters."""
    if not isinstance(schema, Mapping) or depth > 3:
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        yield str(name)
        if isinstance(inner, Mapping):
            yield str(inner.get("description", ""))[:400]
            choices = inner.get("enum")
            yield from (str(choice)[:40] for choice in choices[:40]) if isinstance(choices, list | tuple) else ()
            yield from _told(inner, depth + 1)
            yield from _told(inner.get("items"), depth + 1)


def _words(text: str) -> Iterator[str]:
    """Words in small letters without accents; of scripts without spaces each pair of letters."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub(" ", text.replace("'s ", " ").replace("\u2019s ", " ")))
    plain = unicodedata.normalize("NFC", "".join(ch for ch in plain if not unicodedata.combining(ch))).casefold()
    for run in _RUNS.findall(plain):
        if run[0] >= "\u3040" and len(run) > 2:
            yield from (run[at : at + 2] for at in range(len(run) - 1))
        elif len(run) > 1 or run.isdigit() or run[0] >= "\u3040":
            yield run


def _stem(word: str) -> str:
    return word[: max(4, len(word) - 2)] if len(word) > 4 else word


def _best(word: str, among: Collection[str]) -> float:
    return 1.0 if word in among else max((_alike(word, one) for one in among), default=0.0)


def _alike(one: str, other: str) -> float:
    """1 for the same word, less for another ending or a slip, 0 for another word."""
    if one == other:
        return 1.0
    low, high = sorted((len(one), len(other)))
    if low < 4 or high - low > 4 or one[0] != other[0]:
        return 0.0
    shared = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), low)
    if shared >= max(4, low - 1) and high - shared <= 3:
        return 0.9 if shared == low else 0.8
    if low < 5:
        return 0.0
    pairs = Counter(one[at : at + 2] for at in range(len(one) - 1))
    common = (pairs & Counter(other[at : at + 2] for at in range(len(other) - 1))).total()
    return 0.75 if 2 * common / (low + high - 2) >= _ALIKE else 0.0


def _tables(entries: Sequence[_Entry]) -> sqlite3.Connection | None:
    """The words of each tool under its number, and their parts; None where this SQLite cannot index texts."""
    import sqlite3

    base = sqlite3.connect(":memory:", check_same_thread=False)
    rows = [(at, " ".join(entry.name), " ".join(entry.told), " ".join(entry.taken)) for at, entry in enumerate(entries)]
    try:
        for table, tokens in (("words", "unicode61"), ("parts", "trigram")):
            base.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(name, told, taken, tokenize='{tokens}')")
            base.executemany(f"INSERT INTO {table}(rowid, name, told, taken) VALUES (?, ?, ?, ?)", rows)
    except sqlite3.OperationalError:
        base.close()
        return None
    return base


def _matching(base: sqlite3.Connection, table: str, match: str) -> list[int]:
    asked = f"SELECT rowid FROM {table} WHERE {table} MATCH ? ORDER BY bm25({table}, 8.0, 2.0, 1.0) LIMIT {_CANDIDATES}"
    return [row for (row,) in base.execute(asked, (match,))]
