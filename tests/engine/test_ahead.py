"""Guessed tokens change nothing but the time: the same answers as without, whatever is guessed.

LOCALAGENT_TEST_GUESSES multiplies how often each thing is tried (once by default).
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from localagent.engine import llama
from localagent.engine.ahead import Guesses
from localagent.engine.answer import Answer
from localagent.engine.base import CallGrammar, Sampling, Template, Trigger, Untrusted
from localagent.engine.grammars import Grammars
from localagent.engine.lookup import Index
from localagent.engine.prefix import Prefix
from localagent.engine.protocol import Request
from localagent.engine.worth import FORCED, Worth

pytestmark = pytest.mark.slow

TIMES = int(os.environ.get("LOCALAGENT_TEST_GUESSES", "1"))
WORDS = [
    "function",
    "the file",
    " to",
    "user",
    "name ünï 漢字",
    "🙂",
    "\n",
    "    ",
    "path/to",
    "read",
    "42",
    '{"a": 1}',
]
JSON = r'root ::= "{\"name\": \"" [^"\\\x00-\x1f\x7f]{4,24} "\", \"size\": " [0-9]{1,3} ", \"kind\": \"file\"}"'


class Always(Worth):
    """Guesses as much as a test says, whatever it costs."""

    size = 3

    def count(self, length: int, available: int) -> tuple[float, int]:
        return (9.0 if length == FORCED else 2.0, min(self.size, available)) if available > 0 else (0.0, 0)


class Oracle(Index):
    """Guesses what an answer is known to say, with a slip now and then."""

    def __init__(self, said: Sequence[int], slips: float, rng: random.Random, n_vocab: int) -> None:
        super().__init__()
        self._said, self._slips, self._rng, self._n_vocab = list(said), slips, rng, n_vocab
        self._start = 0

    def follow(self, tokens: Sequence[int]) -> None:
        super().follow(tokens)
        self._start = len(self.tokens)

    def find(self) -> tuple[int, int]:
        return 8, 0

    def behind(self, place: int, count: int) -> list[int]:
        at = len(self.tokens) - self._start
        right = (self._said[at : at + count] + [0] * count)[:count]
        return [self._rng.randrange(200) if self._rng.random() < self._slips else token for token in right]


def _segments(prompt: str) -> tuple[Any, ...]:
    return Template("<|im_start|>user\n"), Untrusted(prompt), Template("<|im_start|>assistant\n")


class Setting:
    """One model with everything an answer needs."""

    def __init__(self, path: str) -> None:
        self.model = llama.Model(path)
        self.context = llama.Context(self.model, n_ctx=256, threads=1)
        self.prefix = Prefix(self.context)
        self.grammars = Grammars(self.model)
        self.made: Answer | None = None

    def close(self) -> None:
        self.grammars.close()
        self.context.close()
        self.model.close()

    def answer(self, guesses: Guesses | None = None, prompt: str = "hi", stop: Any = None, **options: Any) -> Any:
        """Token ids, text, the token events and the last event, from an empty context."""
        given = {"sampling": Sampling(temperature=1.0, seed=4), "max_tokens": 40, **options}
        events: list[dict[str, Any]] = []
        request = Request(path="", context=256, segments=_segments(prompt), **given)
        self.context.clear()
        self.prefix = Prefix(self.context)
        self.made = Answer(
            self.context, self.prefix, self.grammars, request, events.append, stop or (lambda: False), lambda _: None,
            guesses,
        )  # fmt: skip
        done = self.made.run()
        tokens = [event for event in events if event["event"] == "token"]
        ids = [token for event in tokens for token in event["ids"]]
        return ids, "".join(event["text"] for event in tokens) + done["text"], tokens, done

    def long(self, tokens: int, **given: Any) -> dict[str, Any]:
        """Options of an answer that does not end by itself before so many tokens."""
        rng = random.Random(9)
        for seed in range(200):
            sampling = given.get("sampling") or Sampling(temperature=1.0, top_k=40, seed=seed)
            found = {"max_tokens": tokens, **given, "prompt": _prompt(rng), "sampling": sampling}
            if len(self.answer(**found)[0]) >= tokens:
                return found
        raise AssertionError("the model has nothing to say")

    def oracle(self, said: Sequence[int], slips: float, seed: int, size: int) -> Guesses:
        always = type("Sized", (Always,), {"size": size})
        guesses = Guesses(always)
        guesses.index = Oracle(said, slips, random.Random(seed), self.model.n_vocab)
        return guesses

    def in_place(self, ids: Sequence[int], prompt: str = "hi", behind: int = 17) -> bool:
        """Whether the context holds only what was read and said, and goes on from there as a clean one does."""
        held, segments = self.prefix.tokens.tolist(), _segments(prompt)
        whole = [
            t for s in segments for t in (self.model.untrusted if s is segments[1] else self.model.template)(s.text)
        ]
        whole += ids
        assert held == whole[: len(held)] and len(held) >= len(whole) - behind
        assert not self.prefix.dirty and self.context.last_position() == len(held) - 1
        goal = [*whole, 65]
        assert self.prefix.sync(goal) == len(held)
        logits = self.context.logits().copy()
        self.context.clear()
        assert self.context.decode(goal) == 0
        # Batches that are split in another way differ by as much.
        return bool(np.abs(logits - self.context.logits()).max() < 1.0 < self.context.logits().std())


@pytest.fixture(scope="module", params=["dense", "tiny"])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    made = Setting(request.getfixturevalue(request.param))
    yield made
    made.close()


def _prompt(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randrange(1, 12)))


@pytest.mark.parametrize("size", [3, 15])
@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_answers_are_the_same_whatever_is_guessed(setting: Setting, temperature: float, size: int):
    rng = random.Random(size)
    tried = taken = long = 0
    for seed in range(6 * TIMES):
        given = {"prompt": _prompt(rng), "sampling": Sampling(temperature=temperature, top_k=40, seed=seed)}
        plain = setting.answer(**given)
        guesses = setting.oracle(plain[0], rng.choice([0.0, 0.05, 0.3, 1.0]), seed, size)
        guessed = setting.answer(guesses, **given)
        assert guessed[:2] == plain[:2] and guessed[3]["stop"] == plain[3]["stop"]
        assert setting.made is not None
        tried, taken = tried + setting.made.ahead.tried, taken + setting.made.ahead.taken
        long += len(plain[0]) > size
        assert setting.in_place(guessed[0], given["prompt"])
    assert long > TIMES and tried > 20 * TIMES and 0 < taken < tried


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.4, seed=3)])
@pytest.mark.parametrize("size", [3, 15])
def test_calls_are_the_same_whatever_is_guessed(setting: Setting, sampling: Sampling, size: int):
    call = CallGrammar((Trigger("<call>", JSON),), forced="<call>")
    rng = random.Random(5)
    taken = 0
    for seed in range(2 * TIMES):
        given = {"prompt": _prompt(rng), "sampling": sampling, "grammar": call, "max_tokens": 90}
        plain = setting.answer(**given)
        for index in (None, Oracle(plain[0][len(setting.model.template("<call>")) :], 0.1, random.Random(seed), 200)):
            guesses = setting.oracle([], 1.0, seed, size)
            guesses.index = index or Index()
            guessed = setting.answer(guesses, **given)
            assert guessed[:2] == plain[:2] and guessed[3]["stop"] == plain[3]["stop"]
            assert setting.made is not None
            taken += setting.made.ahead.taken
            assert setting.in_place(guessed[0], given["prompt"], behind=40)
        assert re.search(r'", "size": \d+, "kind": "file"}', plain[1])
    assert taken > 10


def test_text_that_a_grammar_forces_is_computed_at_once(setting: Setting):
    call = CallGrammar((Trigger("<call>", JSON),), forced="<call>")
    guesses = Guesses(type("Sized", (Always,), {"size": 15, "count": _forced_only}))
    plain, batches = setting.answer(grammar=call, max_tokens=90, sampling=Sampling()), []
    real = setting.context._decode
    setting.context._decode = lambda tokens, outputs: batches.append(outputs) or real(tokens, outputs)
    try:
        assert setting.answer(guesses, grammar=call, max_tokens=90, sampling=Sampling())[:2] == plain[:2]
    finally:
        del setting.context._decode
    assert setting.made is not None
    told = setting.made.ahead
    assert told.taken > 0.8 * told.tried > 10
    assert max(batches) > 5 and sum(batches) - len(batches) >= told.taken


def _forced_only(self: Always, length: int, available: int) -> tuple[float, int]:
    return Always.count(self, length, available) if length == FORCED else (0.0, 0)


@pytest.mark.parametrize("limit", [1, 4, 5, 16, 17, 33])
def test_the_token_limit_cuts_where_it_would_without(setting: Setting, limit: int):
    given = setting.long(36, sampling=Sampling())
    whole = setting.answer(**given)[0]
    for size in (3, 15):
        guessed = setting.answer(setting.oracle(whole, 0.0, 1, size), **{**given, "max_tokens": limit})
        assert guessed[0] == whole[:limit]
        assert (guessed[3]["stop"], guessed[3]["usage"]["output"]) == ("length", limit)
        assert setting.in_place(guessed[0], given["prompt"])


def test_the_context_is_filled_to_its_last_token(setting: Setting):
    filler = "the file path name " * 32
    for seed in range(200):
        given = {"prompt": filler, "max_tokens": 400, "sampling": Sampling(temperature=1.0, top_k=20, seed=seed)}
        plain = setting.answer(**given)
        if plain[3]["stop"] == "length":
            break
    assert plain[3]["stop"] == "length" and len(plain[0]) > 20 and len(setting.prefix.tokens) == 256
    guessed = setting.answer(setting.oracle(plain[0] + [65] * 99, 0.05, 1, 15), **given)
    assert guessed[:2] == plain[:2] and guessed[3]["stop"] == "length"
    assert len(setting.prefix.tokens) >= 256 - 17 and setting.context.last_position() == len(setting.prefix.tokens) - 1


def test_stop_texts_and_characters_in_pieces_inside_guesses(setting: Setting):
    given = setting.long(60)
    said = setting.answer(**given)
    assert any(
        len(setting.model.piece(t).decode("utf-8", "ignore").encode()) < len(setting.model.piece(t)) for t in said[0]
    )
    for start in range(0, len(said[1]) - 3, max(1, 30 // TIMES)):
        stop = said[1][start : start + 3]
        plain = setting.answer(**given, stops=(stop,))
        guessed = setting.answer(setting.oracle(said[0], 0.1, start, 15), **given, stops=(stop,))
        assert guessed[:2] == plain[:2] and guessed[3]["stop"] == plain[3]["stop"]
        assert [event["text"] for event in guessed[2]] == [event["text"] for event in plain[2]]
        assert len(setting.prefix.tokens) - 1 == setting.context.last_position()


def test_log_probabilities_are_told_of_guessed_tokens_too(setting: Setting):
    given = setting.long(30)
    plain = setting.answer(**given, logprobs=2)
    guessed = setting.answer(setting.oracle(plain[0], 0.1, 2, 15), **given, logprobs=2)
    assert guessed[0] == plain[0]
    for one, other in zip(guessed[2], plain[2], strict=True):
        for (piece, value, top), (piece_, value_, top_) in zip(one["logprobs"], other["logprobs"], strict=True):
            assert piece == piece_ and value == pytest.approx(value_, abs=0.5)
            assert {p for p, _ in top} == {p for p, _ in top_} or top[-1][1] == pytest.approx(top_[-1][1], abs=0.5)


def test_nothing_is_guessed_where_repetition_is_punished(setting: Setting):
    sampling = Sampling(temperature=1.0, seed=4, presence_penalty=0.5)
    setting.answer(setting.oracle([65] * 40, 0.0, 1, 3), sampling=sampling)
    assert setting.made is not None and setting.made.ahead.tried == 0


@pytest.mark.parametrize("after", [0, 3, 9])
def test_cancelling_between_and_inside_batches(setting: Setting, after: int):
    given = setting.long(36)
    plain = setting.answer(**given)
    # Between tokens, some of them computed ahead.
    asked = iter(range(99))
    guesses = setting.oracle(plain[0], 0.2, after, 15)
    cut = setting.answer(guesses, **given, stop=lambda: next(asked) > after)
    assert cut[3]["stop"] == "cancelled" and cut[0] == plain[0][: len(cut[0])]
    assert setting.in_place(cut[0], given["prompt"])
    # Inside a batch.
    count, real = 0, setting.context.decode_all

    def aborted(tokens: Sequence[int]) -> int:
        nonlocal count
        count += 1
        setting.context.abort(count > after // 3)
        return real(tokens)

    setting.context.decode_all = aborted
    try:
        cut = setting.answer(setting.oracle(plain[0], 0.2, after, 3), **given)
    finally:
        del setting.context.decode_all
        setting.context.abort(False)
    assert cut[3]["stop"] == "cancelled" and cut[0] == plain[0][: len(cut[0])] and count > after // 3
    if setting.context.recurrent:
        assert setting.in_place(cut[0], given["prompt"])
    again = setting.answer(**given)
    assert again[:2] == plain[:2]


def test_the_same_conversation_goes_on_behind_guesses(setting: Setting):
    given = setting.long(30)
    plain = setting.answer(**given)
    setting.answer(setting.oracle(plain[0], 0.2, 4, 15), **given)
    held = setting.prefix.tokens.tolist()
    goal = [*held, *setting.model.template("<|im_end|>\n<|im_start|>user\nmore")]
    assert setting.prefix.sync(goal) == len(held)


def test_a_state_that_cannot_be_copied_is_not_guessed_behind(tiny: str):
    setting = Setting(tiny)
    try:
        given = setting.long(30)
        plain = setting.answer(**given)
        setting.context.save = lambda partial, into=None: None
        guessed = setting.answer(setting.oracle(plain[0], 0.0, 1, 3), **given)
        assert guessed[:2] == plain[:2]
        assert setting.made is not None and setting.made.ahead.tried == 0
    finally:
        setting.close()
