"""Whether a short text has to do with a request: by the terms that both have, rare ones counting more. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .terms import Term, alike, terms

_FEW = 20
"""Among fewer texts no term is told from others by how many have it."""
_TELLING, _PART, _WHOLE = 0.4, 0.25, 0.6
_BEHIND = 0.4


@dataclass(frozen=True, slots=True)
class Score:
    """`value` orders, more being better; `fits`: well enough to be shown although nobody asked for it."""

    value: float
    fits: bool


def rare(held: int, of: int) -> float:
    """How much a term tells that `held` of so many texts have, at most 1."""
    total = max(_FEW, of)
    return math.log(1 + (total - held + 0.5) / (held + 0.5)) / math.log(1 + (total + 0.5) / 0.5)


def score(asked: Sequence[Term], text: str, held: Mapping[str, int], of: int) -> Score:
    """`held` says how many of the texts have a term of the request, `of` how many texts there are."""
    here = terms(text)
    if not asked or not here:
        return Score(0.0, False)
    weights = {term.key: term.weight * rare(held.get(term.key, 0), of) for term in asked}
    given = {term.key: weights[term.key] * max(alike(term, one) for one in here) for term in asked}
    shared = sum(given.values())
    if not shared:
        return Score(0.0, False)
    request = shared / sum(weights.values())
    # Of the text as much as the request says of it.
    part = sum(one.weight * max(alike(term, one) for term in asked) for one in here) / sum(one.weight for one in here)
    known = max((given[term.key] / (rare(held.get(term.key, 0), of) or 1) for term in asked if term.weight >= 0.6), default=0.0)
    if all(term.weight < 0.6 for term in asked):
        fits = request >= _WHOLE
    elif all(term.kind == "piece" or term.weight < 0.6 for term in asked):
        fits = known >= _TELLING and max(request, part) >= _PART and _pairs(asked, here)
    else:
        fits = known >= _TELLING and max(request, part) >= _PART
    return Score(round(shared * (0.5 + max(request, part)), 4), fits)


def _pairs(asked: Sequence[Term], here: Sequence[Term]) -> bool:
    """A single sign in a long word is by chance."""
    return any(alike(term, one) == 1.0 for term in asked for one in here) or any(len(term.key) == 1 for term in asked)


def kept(found: Sequence[tuple[Score, object]]) -> list[bool]:
    """Which of these, the best first, are shown: those that fit, and none far behind the best."""
    best = max((score.value for score, _ in found), default=0.0)
    return [score.fits and score.value >= _BEHIND * best for score, _ in found]
