"""When guessing is worth it: prices that are learned, chances that are watched, and a bound on what is lost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from localagent.engine.lookup import LONGEST
from localagent.engine.worth import FORCED, LARGE, SMALL, Costs, Worth

PROCESSOR = {1: 1.0, 2: 1.45, 3: 1.76, 4: 2.1, 16: 4.6}
GRAPHICS = {1: 1.0, 2: 1.02, 3: 1.03, 4: 1.05, 16: 1.25}
DEAR = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 16: 16.0}


def _price(table: dict[int, float], size: int) -> float:
    return next(price for at, price in sorted(table.items()) if at >= size)


def _spend(
    tokens: int, table: dict[int, float], length: Callable[[random.Random], int], right: float, recurrent: bool = False
) -> tuple[float, float, Worth]:
    """Time and guessed batches for an answer whose guesses come true with chance `right`."""
    rng, costs = random.Random(4), Costs()
    worth = Worth(costs, recurrent)
    spent = said = batches = 0.0
    while said < tokens:
        worth.said()
        at = length(rng)
        count = worth.count(at, LARGE)[1] if at else 0
        if not count:
            spent, said = spent + 1.0, said + 1
            costs.alone(0.1)
            if at:
                worth.odds.saw(at, rng.random() < right)
            continue
        batches += 1
        price = _price(table, count + 1)
        spent += price
        worth.paid(at, costs.together(count + 1, 0.1 * price) - 1.0)
        said += 1
        for _ in range(count):
            hit = rng.random() < right
            if not hit:
                worth.odds.saw(at, False)
                break
            said += 1
            worth.said()
            worth.won(at)
            at = min(at + 1, LONGEST)
    return spent, batches, worth


def test_text_that_copies_is_much_faster():
    spent, batches, _ = _spend(400, PROCESSOR, lambda _: 12, 0.97)
    assert 400 / spent > 2.0 and batches < 60
    assert 400 / _spend(400, GRAPHICS, lambda _: 12, 0.97)[0] > 5.0


@pytest.mark.parametrize("table", [PROCESSOR, GRAPHICS, DEAR])
@pytest.mark.parametrize("right", [0.0, 0.2, 0.5])
def test_guesses_that_fail_cost_next_to_nothing(table: dict[int, float], right: float):
    for tokens in (120, 1000):
        spent, _, _ = _spend(tokens, table, lambda rng: rng.choice([0, 0, 2, 3, 4, 6, 12]), right)
        assert tokens / spent > 0.98 - 5.0 / tokens


def test_a_machine_on_which_batches_do_not_pay_is_found_out_and_asked_again():
    spent, batches, _ = _spend(3000, DEAR, lambda _: 12, 0.9)
    assert 3000 / spent > 0.97 and 1 < batches < 60


def test_short_matches_are_watched_before_they_are_believed():
    worth = Worth(Costs(), False)
    for _ in range(3):
        worth.costs.alone(0.1)
    assert worth.count(2, LARGE)[1] == 0
    for _ in range(20):
        worth.odds.saw(2, True)
        worth.odds.saw(3, True)
        worth.odds.saw(4, True)
    assert worth.count(2, LARGE)[1] == SMALL


def test_sizes_between_are_not_guessed():
    worth = Worth(Costs(), False)
    for _ in range(3):
        worth.costs.alone(0.1)
    worth.costs.together(4, 0.22)
    assert [worth.count(LONGEST, n)[1] for n in (0, 1, 2, 3, 4, 8, 14)] == [0, 1, 2, 3, 3, 3, 3]
    for _ in range(2):
        worth.won(LONGEST)
    assert worth.count(LONGEST, 15)[1] == LARGE
    assert worth.count(FORCED, 6)[1] == 6


def test_a_state_that_must_be_copied_asks_for_longer_matches():
    dense, recurrent = (Worth(Costs(), kind) for kind in (False, True))
    for worth in (dense, recurrent):
        for _ in range(3):
            worth.costs.alone(0.1)
        for length in (4, 5, 6, 7):
            for _ in range(30):
                worth.odds.saw(length, True)
    assert dense.count(4, LARGE)[1] and not recurrent.count(4, LARGE)[1]
    assert dense.count(6, LARGE)[0] > recurrent.count(6, LARGE)[0] > 1.0
    for _ in range(20):
        recurrent.costs.copied(1.0, back=False)
    assert recurrent.count(6, LARGE)[1] == 0


def test_nothing_is_guessed_before_the_price_of_a_token_is_known():
    worth = Worth(Costs(), False)
    assert worth.count(LONGEST, LARGE) == (0.0, 0)
    worth.costs.alone(0.1)
    assert worth.count(LONGEST, LARGE) == (0.0, 0)
    worth.costs.alone(0.1)
    assert worth.count(LONGEST, LARGE)[1] == SMALL
    worth.costs.together(4, 0.22)
    for _ in range(2):
        worth.won(LONGEST)
    assert worth.count(LONGEST, LARGE)[1] == LARGE
