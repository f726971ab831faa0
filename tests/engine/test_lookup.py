"""Where the last tokens stood before, against a search that looks everywhere."""

from __future__ import annotations

import random

import pytest

from localagent.engine import lookup
from localagent.engine.lookup import LONGEST, Index


def _longest(tokens: list[int]) -> tuple[int, int]:
    best = place = 0
    for end in range(len(tokens) - 2, 0, -1):
        length = 0
        while length < LONGEST and length <= end and tokens[end - length] == tokens[-1 - length]:
            length += 1
        if length >= 2 and length > best:
            best, place = length, end + 1
    return best, place


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_and_latest_place_is_found_in_any_text(seed: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lookup, "TRIES", 10**6)
    rng = random.Random(seed)
    index, tokens = Index(), [rng.randrange(4) for _ in range(rng.randrange(80))]
    index.follow(tokens)
    for _ in range(60):
        if rng.random() < 0.3:
            tokens = [*tokens[: rng.randrange(len(tokens) + 1)], *(rng.randrange(4) for _ in range(rng.randrange(40)))]
            index.follow(tokens)
        else:
            more = [rng.choice([0, 1, 2, 3, 300_000]) for _ in range(rng.randrange(1, 4))]
            tokens = [*tokens, *more]
            index.push(more)
        assert index.tokens.tolist() == tokens
        assert index.find() == _longest(tokens)


def test_what_comes_behind_a_place_goes_round_at_the_end():
    index = Index()
    index.follow([7, 1, 2, 3, 1, 2])
    length, place = index.find()
    assert (length, place) == (2, 3)
    assert index.behind(place, 2) == [3, 1]
    assert index.behind(place, 8) == [3, 1, 2, 3, 1, 2, 3, 1]


def test_few_places_are_looked_at_however_many_there_are():
    index = Index()
    index.follow([9, 8, 1, 2, *([3, 1, 2] * 500), 9, 8, 1, 2])
    assert index.find()[0] == 2
    index.follow([9, 8, 1, 2, *([3, 1, 2] * 5), 9, 8, 1, 2])
    assert index.find() == (4, 4)


def test_nothing_is_found_in_nothing():
    index = Index()
    assert index.find() == (0, 0)
    for token in (5, 6):
        index.push([token])
        assert index.find() == (0, 0)
