"""What a sequence keeps, over a pretended backend with llama.cpp's rules and over real models."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from localagent.engine.prefix import ROLLING, Cancelled, Prefix
from localagent.engine.snapshots import shared
from localagent.errors import EngineError


class Pretended:
    """Attention and recurrent memory as llama.cpp keeps them, the wrong state after an abort included."""

    def __init__(self, recurrent: bool, n_ctx: int = 4096, n_batch: int = 16) -> None:
        self.recurrent, self.n_ctx, self.n_batch = recurrent, n_ctx, n_batch
        self.attention: list[int] = []
        self.state: list[int] = []
        self.decoded = 0
        self.abort_after: int | None = None
        self.batches: list[int] = []

    def decode(self, tokens: Sequence[int]) -> int:
        assert 0 < len(tokens) <= self.n_batch
        if len(self.attention) + len(tokens) > self.n_ctx:
            return 1
        if self.abort_after is not None:
            self.abort_after -= 1
            if self.abort_after < 0:
                self.abort_after = None
                if self.recurrent:
                    self.attention += tokens
                    self.state += [-1]
                return 2
        self.attention += tokens
        self.state += tokens
        self.decoded += len(tokens)
        self.batches.append(len(tokens))
        return 0

    def last_position(self) -> int:
        return len(self.attention) - 1

    def truncate(self, length: int) -> bool:
        if self.recurrent and len(self.state) > length:
            return False
        del self.attention[length:]
        if not self.recurrent:
            del self.state[length:]
        return True

    def clear(self) -> None:
        self.attention, self.state = [], []

    def size(self, partial: bool) -> int:
        return 3

    def save(self, partial: bool) -> Any:
        return bytes(64), tuple(self.state), None if partial else tuple(self.attention)

    def load(self, state: Any, partial: bool) -> bool:
        assert partial == (state[2] is None)
        self.state = list(state[1])
        if not partial:
            self.attention = list(state[2])
        return True

    def holds(self, tokens: Sequence[int]) -> bool:
        return self.attention == list(tokens) and self.state == list(tokens)


def test_shared_is_the_longest_common_prefix():
    one = list(range(2000))
    assert shared(one, one) == 2000
    assert shared(one, [*one[:1500], -1, *one[1501:]]) == 1500
    assert shared(one, []) == 0
    assert shared(one, [*one, 5]) == 2000


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_the_context_always_holds_what_was_asked(recurrent: bool, seed: int):
    rng = random.Random(seed)
    backend = Pretended(recurrent)
    prefix = Prefix(backend, budget=rng.choice([0, 3000, 1 << 30]))
    heads = [[rng.randrange(9) for _ in range(rng.choice([5, 300, 600]))] for _ in range(3)]
    target = list(heads[0])
    for _ in range(60):
        match rng.randrange(4):
            case 0:
                target = [*rng.choice(heads), *(rng.randrange(9) for _ in range(rng.randrange(1, 40)))]
            case 1:
                target = [*target[: rng.randrange(1, len(target) + 1)], rng.randrange(9)]
            case _:
                target = [*target, *(rng.randrange(9) for _ in range(rng.randrange(1, 300)))]
        target = target[:3000]
        marks = [rng.randrange(len(target)) for _ in range(2)]
        backend.abort_after = rng.randrange(6) if rng.random() < 0.3 else None
        try:
            before = backend.decoded
            cached = prefix.sync(target, marks=marks, fixed=rng.choice([0, min(300, len(target) - 1)]))
        except Cancelled:
            continue
        assert backend.holds(target)
        assert list(prefix.tokens) == target
        assert 0 <= cached < len(target)
        assert backend.decoded - before == len(target) - cached
        if rng.random() < 0.5:
            backend.abort_after = 0 if rng.random() < 0.3 else None
            try:
                prefix.extend([7])
            except Cancelled:
                continue
            target = [*target, 7]
            assert backend.holds(target)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_growing_conversation_costs_only_its_new_tokens(recurrent: bool):
    prefix = Prefix(Pretended(recurrent))
    history = list(range(400))
    assert prefix.sync(history, fixed=300) == 0
    prefix.extend([1])
    prefix.extend([2])
    history += [1, 2, 50, 51]
    assert prefix.sync(history) == 402


def test_a_recurrent_context_returns_to_the_start_of_the_last_user_message():
    prefix = Prefix(Pretended(True))
    history = list(range(500))
    prefix.sync(history, marks=[450], fixed=300)
    assert prefix.sync([*history[:480], 7, 7, 7]) == 450
    assert prefix.sync([*history[:320], 8, 8, 8]) == 300


def test_the_same_prompt_again_decodes_at_least_one_token():
    prefix = Prefix(Pretended(False))
    prefix.sync(list(range(100)))
    assert prefix.sync(list(range(100))) == 99


@pytest.mark.parametrize("recurrent", [False, True])
def test_two_conversations_in_turn_are_restored_not_computed(recurrent: bool):
    prefix = Prefix(Pretended(recurrent))
    one, two = list(range(1000)), [5] * 800
    prefix.sync(one, fixed=600)
    prefix.sync(two, fixed=600)
    assert prefix.sync([*one, 1, 2, 3], fixed=600) == 1000
    assert prefix.sync([*two, 1, 2, 3], fixed=600) == 800
    assert prefix.sync([*one[:600], 9, 9], fixed=600) == 600


@pytest.mark.parametrize("at", [5, 333, 900, 1411, 1999, 2300, 2807])
def test_a_divergence_costs_a_recurrent_context_at_most_512_tokens_more(at: int):
    prefix = Prefix(Pretended(True))
    talk = list(range(2000))
    prefix.sync(talk[:700], marks=[350], fixed=300, tail=690)
    prefix.sync(talk, marks=[350], fixed=300, tail=1990)
    for token in range(2000, 2820):
        prefix.extend([token])
        talk.append(token)
    assert prefix.sync([*talk[:at], -1]) >= at - ROLLING


@pytest.mark.parametrize("right", [1, 9, 16])
def test_what_was_only_guessed_is_in_no_snapshot_and_costs_none(right: int):
    prefix = Prefix(Pretended(True))
    talk = list(range(700))
    prefix.sync(talk, marks=[350], fixed=300)
    while len(talk) < 2100:
        state = prefix.backend.save(True)
        prefix.extend([len(talk) + at if at < right else -at for at in range(16)])
        if right < 16:
            prefix.cut(len(talk), state)
            prefix.extend(range(len(talk), len(talk) + right))
        talk += range(len(talk), len(talk) + right)
        assert list(prefix.tokens) == talk
    assert all(list(s.tokens) == talk[: len(s.tokens)] for s in prefix.snapshots)
    for at in (2050, 1500, 1000):
        assert prefix.sync([*talk[:at], -1]) >= at - ROLLING


@pytest.mark.parametrize("recurrent", [False, True])
def test_both_ways_from_a_fork_are_kept_and_the_points_on_them(recurrent: bool):
    prefix = Prefix(Pretended(recurrent))
    trunk = list(range(600))
    one, two = [*trunk, *range(1000, 1700)], [*trunk, *range(2000, 2700)]
    prefix.sync(trunk, marks=[500], fixed=300)
    prefix.sync(one, marks=[1000], fixed=300)
    assert prefix.sync(two, marks=[900], fixed=300) == 600
    assert prefix.sync([*one, 1], marks=[1000], fixed=300) == 1300
    assert prefix.sync([*two, 1], marks=[900], fixed=300) == 1300
    # Back to the middle of the first way: its snapshots live on with its whole state.
    assert prefix.sync([*one[:1005], 7], marks=[1000], fixed=300) == (1000 if recurrent else 1005)


def test_snapshots_stay_within_the_budget_and_pinned_ones_go_last():
    prefix = Prefix(Pretended(True), budget=6000)
    prefix.sync(list(range(300)), fixed=200)
    for start in range(300, 900, 50):
        prefix.sync(list(range(start + 50)), marks=[start])
        assert prefix.used <= 6000
    assert any(s.pinned for s in prefix.snapshots)


def test_a_smaller_budget_is_kept_at_once_and_from_then_on():
    prefix = Prefix(Pretended(True), budget=1 << 30)
    prefix.sync(list(range(2000)), marks=[500, 1000, 1500], fixed=500)
    assert len(prefix.snapshots) > 2
    prefix.shrink(max(s.size for s in prefix.snapshots if s.pinned))
    assert [s.pinned for s in prefix.snapshots] == [True]
    prefix.shrink(0)
    assert prefix.used == 0
    prefix.sync(list(range(3000)), marks=[2500])
    assert prefix.used == 0


def test_progress_and_stop_between_batches():
    seen: list[tuple[int, int, int]] = []
    prefix = Prefix(Pretended(False))
    prefix.sync(list(range(40)), progress=lambda *p: seen.append(p))
    assert seen == [(0, 40, 0), (16, 40, 0), (32, 40, 0), (40, 40, 0)]
    with pytest.raises(Cancelled):
        prefix.sync(list(range(100)), stop=lambda: True)
    assert not prefix.dirty


def test_a_prompt_that_does_not_fit_says_the_numbers():
    prefix = Prefix(Pretended(False, n_ctx=100))
    with pytest.raises(EngineError, match=r"120 tokens and the context holds 100"):
        prefix.sync(list(range(120)))
    with pytest.raises(EngineError, match="empty"):
        prefix.sync([])
    prefix.sync(list(range(99)))
    prefix.extend([1])
    with pytest.raises(EngineError, match="100 tokens is full"):
        prefix.extend([1])
    assert prefix.sync(list(range(90))) == 89


# ---------------------------------------------------------------- real models


@pytest.fixture(scope="module", params=["tiny", "dense"])
def model(request: pytest.FixtureRequest) -> Any:
    from localagent.engine.llama import Model

    loaded = Model(request.getfixturevalue(request.param))
    yield loaded
    loaded.close()


def _context(model: Any) -> Any:
    from localagent.engine.llama import Context

    return Context(model, n_ctx=4096, threads=1)


def _clean(model: Any, tokens: Sequence[int], cuts: Sequence[int]) -> int:
    """The likeliest next token after an evaluation from nothing in these batches."""
    context = _context(model)
    start = 0
    for end in [*cuts, len(tokens)]:
        while start < end:
            stop = min(start + context.n_batch, end)
            assert context.decode(tokens[start:stop]) == 0
            start = stop
    best = int(context.logits().argmax())
    context.close()
    return best


def test_cached_and_clean_evaluation_agree(model: Any):
    rng = random.Random(1)
    base = [rng.randrange(256) for _ in range(700)]
    context = _context(model)
    prefix = Prefix(context)
    prefix.sync(base, marks=[600], fixed=400)
    for token in (3, 4, 5):
        prefix.extend([token])
    grown = [*base, 3, 4, 5, *(rng.randrange(256) for _ in range(40))]
    prefix.sync(grown, marks=[600], fixed=400)
    assert int(context.logits().argmax()) == _clean(model, grown, [400, 600, 700, 701, 702, 703])
    turned = [*base[:650], *(rng.randrange(256) for _ in range(60))]
    kept = prefix.sync(turned)
    assert kept == (600 if model.recurrent else 650)
    assert int(context.logits().argmax()) == _clean(model, turned, [400, 600, kept])
    other = [rng.randrange(256) for _ in range(500)]
    assert prefix.sync(other) < 10
    back = [*turned, 1, 2, 3]
    assert prefix.sync(back) == len(turned)
    assert int(context.logits().argmax()) == _clean(model, back, [400, 600, kept, len(turned)])
    context.close()


def test_going_on_after_an_abort_gives_the_same_as_a_clean_start(model: Any):
    rng = random.Random(2)
    base = [rng.randrange(256) for _ in range(900)]
    context = _context(model)
    prefix = Prefix(context)
    prefix.sync(base[:600], marks=[500])
    context.abort(True)
    with pytest.raises(Cancelled):
        prefix.sync(base)
    context.abort(False)
    prefix.sync(base, marks=[500])
    cuts = [500, 600]
    assert int(context.logits().argmax()) == _clean(model, base, cuts)
    context.abort(True)
    with pytest.raises(Cancelled):
        prefix.extend([1])
    context.abort(False)
    prefix.sync([*base, 1, 2])
    assert int(context.logits().argmax()) == _clean(model, [*base, 1, 2], [*cuts, 900])
    context.close()
