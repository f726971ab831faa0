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

_MEANT, _HALF, _PART = 0.6, 0.45, 0.26
_CLEAR, _AHEAD, _BESIDE, _PARTLY = 9.0, 0.2, 0.9, 0.2
_FEW = 10
SERVED = 0.5
"""Whatever serves the purpose of a request so well fits."""
_UNKNOWN = 2.0
"""What a word counts that no tool knows."""


def matched(name: str, asked: Sequence[Word]) -> float:
    """How well a word of a name is meant by the request, at most 1."""
    return max((word.means.get(name, 0.0) for word in asked), default=0.0)


def named(entry: Entry, asked: Sequence[Word], index: Index) -> float:
    """The part of a tool's name that the request has, rare words counting more."""
    words = [word for word in entry.name if word not in EMPTY]
    whole = sum(index.rare(word) for word in words)
    return sum(index.rare(word) * matched(word, asked) for word in words) / whole if whole else 0.0


def spoken(entry: Entry, said: str) -> bool:
    """Whether a request, in stems with a space around each, says the words of a name one behind the other."""
    words = [word for word in entry.name if word not in EMPTY]
    return len(words) > 1 and f" {' '.join(words)} " in said


def fits(spec: ToolSpec, number: int, asked: Sequence[Word], index: Index) -> bool:
    """Whether the request has the subject of the tool's name, and not much beside it that this tool knows nothing of."""
    if any(hints.stands_for(spec.name, one) for word in asked for one, strength in word.means.items() if strength > _MEANT):
        return True
    entry = index.entries[number]
    subject = [word for word in entry.name if word not in GENERIC and word not in EMPTY]
    whole = sum(index.rare(word) for word in subject)
    known = sum(index.rare(word) * matched(word, asked) for word in subject) / whole if whole else 0.0
    if len(subject) > 1 and all(matched(word, asked) == 1.0 for word in entry.name):
        return True
    part = known_part(number, asked, index)
    # Pairs of signs overlap: of a name of two words one is not more than a third of them.
    if known > (_MEANT if any(word < "\u3040" for word in subject) else _MEANT / 2):
        return part > _PART or any(word in index.servers and matched(word, asked) > 0.7 for word in entry.server)
    return known > _HALF and part > _MEANT


def known_part(number: int, asked: Sequence[Word], index: Index) -> float:
    """The part of the request that a tool has words for, rare ones counting more."""
    whole = had = 0.0
    unknown = min(_UNKNOWN, index.rare(""))
    for word in asked:
        whole += word.weight * max((index.rare(one) for one in word.means), default=unknown)
        had += word.weight * max((index.rare(one) * how for one, how in word.means.items() if number in index.impacts(one)), default=0.0)
    return had / whole if whole else 0.0


def leads(scores: Sequence[float], served: float) -> bool:
    """Whether the best, which serves the purpose of the request so well, leaves the second far behind; of a few one always does."""
    return len(scores) >= _FEW and served > _PARTLY and scores[0] > max(_CLEAR, scores[1] / (1 - _AHEAD))


def kept(found: Sequence[Found]) -> tuple[Found, ...]:
    """Sure is the first, where it is, and the second with it, where it is as good."""
    made = [replace(one, sure=at == 0 and one.sure) for at, one in enumerate(found)]
    if len(made) > 1 and made[0].sure and made[1].score > _BESIDE * made[0].score:
        made[1] = replace(made[1], sure=True)
    return tuple(made)
