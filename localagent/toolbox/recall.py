"""What is remembered and has to do with a request: found by the index, judged by the words that both have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..store import memory_index
from ..store.memory import Book
from ..store.memory_index import Index, Remembered
from .finding import relevance, terms

_JUDGED = 60


@dataclass(frozen=True, slots=True)
class Hit:
    """`shown`: it fits well enough to be shown to a model although nobody searched for it."""

    one: Remembered
    score: float
    shown: bool


def find(words: str, books: Sequence[Book], count: int = 20) -> list[Hit]:
    """The entries that share words with the request, the best first. Raises StoreError."""
    there = [book for book in books if book.path.exists()]
    asked = terms.terms(words)
    if not there or not asked:
        return []

    def work(index: Index) -> list[Hit]:
        held = {term.key: index.held(term.key, term.start) for term in asked}
        of = index.count()
        near = index.search([(term.key, term.start) for term in asked], _JUDGED)
        judged = [(relevance.score(asked, one.entry.text, held, of), one) for one in near]
        scored = sorted((pair for pair in judged if pair[0].value), key=lambda pair: -pair[0].value)[:count]
        return [Hit(one, score.value, shown) for (score, one), shown in zip(scored, relevance.kept(scored), strict=True)]

    return memory_index.with_index(there, _keys, terms.VERSION, work)


def newest(books: Sequence[Book], count: int) -> list[Remembered]:
    """What was written down last. Raises StoreError."""
    there = [book for book in books if book.path.exists()]
    return memory_index.with_index(there, _keys, terms.VERSION, lambda index: index.newest(count)) if there else []


def _keys(text: str) -> list[str]:
    return [term.key for term in terms.terms(text)]
