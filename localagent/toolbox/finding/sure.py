"""When a tool fits so well that it is offered although nobody searched: a wrong one in sight costs a small model more than a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...values import ToolSpec
from . import hints
from .asked import GENERIC, Word
from .index import Entry, Index
from .words import EMPTY

if TYPE_CHECKING:
    from ..search import Found


def matched(name: str, asked: Sequence[Word]) -> float:
    """How well a word of a name is meant by the request, at most 1."""
    return max((word.means.get(name, 0.0) for word in asked), default=0.0)


def named(entry: Entry, asked: Sequence[Word], index: Index) -> float:
    """The part of a tool's name that the request has, rare words counting more."""
    words = [word for word in entry.name if word not in EMPTY]
    whole = sum(index.rare(word) for word in words)
    return sum(index.rare(word) * matched(word, asked) for word in words) / whole if whole else 0.0


def fits(spec: ToolSpec, entry: Entry, asked: Sequence[Word], index: Index) -> bool:
    if any(hints.stands_for(spec.name, one) for word in asked for one, strength in word.means.items() if strength > 0.6):
        return True
    subject = [word for word in entry.name if word not in GENERIC and word not in EMPTY]
    whole = sum(index.rare(word) for word in subject)
    known = sum(index.rare(word) * matched(word, asked) for word in subject) / whole if whole else 0.0
    return known > 0.6


def kept(found: list[Found]) -> tuple[Found, ...]:
    """Those far behind the best are another subject."""
    return tuple(one if one.score >= 0.6 * found[0].score else replace(one, sure=False) for one in found)
