"""One answer: where free text ends and a call begins, what ends it, and what is told of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from localagent.engine import answer as answer_module
from localagent.engine import llama
from localagent.engine.answer import Answer
from localagent.engine.base import CallGrammar, Sampling, Template, Trigger, Untrusted
from localagent.engine.grammars import Grammars
from localagent.engine.prefix import Prefix
from localagent.engine.protocol import Request
from localagent.engine.watch import Stops, Watch
from localagent.errors import PromptTooLong

TAG = Trigger("<tool_call>", "g")
FENCE = Trigger("```json\n", "g", at_line_start=True)


def _fed(watch: Watch, *pieces: str) -> list[tuple[Trigger, int] | None]:
    return [watch.feed(piece.encode()) for piece in pieces]


def test_a_trigger_in_one_piece_over_several_and_with_more_behind_it():
    assert _fed(Watch([TAG]), "hi ", "<tool_call>") == [None, (TAG, 11)]
    assert _fed(Watch([TAG]), "hi <to", "ol_", "call", ">\n{") == [None, None, None, (TAG, 1)]
    assert _fed(Watch([TAG]), "x<tool_call>y<tool_call>") == [(TAG, 12)]
    assert _fed(Watch([TAG]), "<tool_cal", "<tool_call>") == [None, (TAG, 11)]
    assert _fed(Watch([]), "anything") == [None]


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        (("```json\n",), True),
        (("  ```json\n",), True),
        (("text\n", "  ", "```", "json", "\n"), True),
        (("text ```json\n",), False),
        (("text ```json\n", "```json\n"), True),
        (("x" * 5000, "```json\n"), False),
        (("x" * 5000 + "\n", "```json\n"), True),
        ((" " * 5000, "```json\n"), False),
    ],
)
def test_some_triggers_count_at_the_start_of_a_line_only(pieces: tuple[str, ...], found: bool):
    assert (_fed(Watch([FENCE]), *pieces)[-1] is not None) == found


def test_text_made_under_a_grammar_starts_no_trigger():
    watch = Watch([TAG])
    watch.take(b"<tool_ca")
    assert watch.feed(b"ll>") is None
    assert watch.feed(b"<tool_call>") == (TAG, 11)


def test_the_trigger_that_ends_first_wins():
    short = Trigger("```", "g")
    assert _fed(Watch([FENCE, short]), "```json\n") == [(short, 3)]


# ---------------------------------------------------------------- whole answers of a random-weight model


class Setting:
    """One model with everything an answer needs; `script` says what is sampled, where the model should not."""

    def __init__(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model = llama.Model(path)
        self.context = llama.Context(self.model, n_ctx=1024, threads=1)
        self.prefix = Prefix(self.context)
        self.grammars = Grammars(self.model)
        self._monkeypatch = monkeypatch

    def close(self) -> None:
        self.grammars.close()
        self.context.close()
        self.model.close()

    def script(self, *said: str | int) -> None:
        """Each text as one control token, or as plain ones; a number is a token."""
        ids = [t for one in said for t in ([one] if isinstance(one, int) else self.spelt(one))]
        tokens = iter(ids)
        self._monkeypatch.setattr(answer_module, "sample", lambda *_: next(tokens))

    def spelt(self, text: str) -> Sequence[int]:
        named = self.model.named(text)
        return self.model.untrusted(text) if named is None else [named]

    def answer(
        self, *segments: Any, stopped: Callable[[], bool] = lambda: False, **options: Any
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The token events and the last one."""
        given = {"sampling": Sampling(temperature=1.0, seed=4), "max_tokens": 40, **options}
        prompt = segments or (Template("<|im_start|>user\n"), Untrusted("hi"), Template("<|im_start|>assistant\n"))
        events: list[dict[str, Any]] = []
        request = Request(path="", context=1024, segments=prompt, **given)
        made = Answer(
            self.context, self.prefix, self.grammars, request, events.append, stopped, lambda _: None
        )  # fmt: skip
        done = made.run()
        return [event for event in events if event["event"] == "token"], done


@pytest.fixture
def setting(dense: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    made = Setting(dense, monkeypatch)
    yield made
    made.close()


def _text(events: list[dict[str, Any]], done: dict[str, Any]) -> str:
    return "".join(event["text"] for event in events) + done["text"]


def _ids(events: list[dict[str, Any]]) -> list[int]:
    return [token for event in events for token in event["ids"]]


def test_a_stop_text_cuts_exactly_before_itself(setting: Setting):
    whole = "def äußern(self): return [🙂, 'ünï', 12345]  # nothing more is to be said about it"
    for start in range(0, len(whole), 7):
        stop = whole[start : start + 1 + start % 7]
        setting.script(whole)
        events, done = setting.answer(stops=("no such text", stop), max_tokens=200)
        assert done["stop"] == "stop"
        assert _text(events, done) == whole[: whole.index(stop)]
        assert setting.model.text(_ids(events)) == whole[: whole.index(stop)]


def test_what_may_become_a_stop_text_is_held_until_it_does_not(setting: Setting):
    setting.script("say ", "<", "e", "n", "x", "<e", "nd>", "more")
    events, done = setting.answer(stops=("<end>",))
    assert (_text(events, done), done["stop"]) == ("say <enx", "stop")
    assert [event["text"] for event in events if event["text"].startswith("<")] == ["<enx"]
    setting.script("a<en", "<|im_end|>")
    events, done = setting.answer(stops=("<end>",))
    assert (_text(events, done), done["stop"]) == ("a<en", "end")


def test_no_stop_text_is_looked_for_in_a_call(setting: Setting):
    call = CallGrammar((Trigger("<call>", 'root ::= "{" [a-z]+ "}"'),))
    setting.script("<call", ">", "{", "stop", "}", "st", "op", "x")
    events, done = setting.answer(grammar=call, stops=("stop", "p}"))
    assert (_text(events, done), done["stop"]) == ("<call>{stop}", "stop")
    setting.script("x<ca", "ll>")
    events, done = setting.answer(grammar=call, stops=("<call>",))
    assert (_text(events, done), done["stop"]) == ("x", "stop")


def test_stop_texts_across_pieces():
    stops = Stops(["aab", "c"])
    assert [stops.feed(piece) for piece in (b"xa", b"a")] == [None, None] and stops.undecided == 2
    assert stops.feed(b"ab") == -1
    assert Stops(["aab", "b"]).feed(b"xaab") == 1
    assert not Stops([]) and Stops([]).feed(b"x") is None


def test_only_the_ends_that_were_asked_for_end_an_answer(setting: Setting):
    setting.script("one", "<|quad_start|>", "two", "<|box_end|>", "three")
    events, done = setting.answer(ends=("<|box_end|>", "not a token", "<tool_call>"))
    assert (_text(events, done), done["stop"]) == ("one<|quad_start|>two", "end")
    setting.script("one", "<|im_start|>", "user")
    events, done = setting.answer()
    assert (_text(events, done), done["stop"]) == ("one", "end")


def test_a_model_may_open_its_own_turn_again_but_no_other(setting: Setting):
    prompt = (Template("<|im_start|>user<|im_end|>"), Untrusted("hi"), Template("<|im_start|>assistant 42"))
    ends = ("<|box_end|>",)
    own = setting.spelt("assistant 42")
    assert len(own) > 1
    setting.script("one", "<|im_start|>", *own, "<|quad_start|>", "two", "<|box_end|>")
    events, done = setting.answer(*prompt, ends=ends)
    assert (_text(events, done), done["stop"]) == ("one<|im_start|>assistant 42<|quad_start|>two", "end")
    setting.script("one", "<|im_start|>", own[0], "user", "x")
    events, done = setting.answer(*prompt, ends=ends)
    assert (_text(events, done), done["stop"]) == ("one", "end")
    setting.script("one", "<|im_start|>", "<|box_end|>")
    assert _text(*setting.answer(*prompt, ends=ends)) == "one"
    setting.script("one", "<|im_start|>", *own)
    events, done = setting.answer(*prompt, ends=(*ends, "<|im_start|>"))
    assert (_text(events, done), done["stop"]) == ("one", "end")


def test_one_call_ends_the_answer_where_only_one_may_come(setting: Setting):
    trigger = Trigger("<c>", 'root ::= "{" [0-9] "}"')
    for once, text in ((True, "x<c>{1}"), (False, "x<c>{1}<c>{2}y")):
        setting.script("x<c>", "{", "1", "}", "<c>", "{", "2", "}", "y", "<|im_end|>")
        events, done = setting.answer(grammar=CallGrammar((trigger,), once=once))
        assert (_text(events, done), done["stop"]) == (text, "end")
    setting.script("{", "7", "}")
    events, done = setting.answer(grammar=CallGrammar((trigger,), "<c>", once=True))
    assert (_text(events, done), done["stop"]) == ("<c>{7}", "end")


def test_a_control_token_opens_a_call_and_ends_it(setting: Setting):
    grammar = 'root ::= "{" [0-9]+ @"<|fim_pad|>" "." @"<|im_end|>"'
    call = CallGrammar((Trigger("<|box_start|>", grammar),))
    setting.script("x", "<|box_start|>", "{", "1", "<|fim_pad|>", ".", "<|im_end|>", "never")
    events, done = setting.answer(grammar=call)
    assert (_text(events, done), done["stop"]) == ("x<|box_start|>{1<|fim_pad|>.", "end")


def test_log_probabilities_are_those_of_the_model_alone(setting: Setting):
    prompt = (Template("<|im_start|>user\n"), Untrusted("tell me"))
    call = CallGrammar((Trigger("<c>", 'root ::= "{" [0-9] "}"'),), "<c>")
    sampling = Sampling(temperature=1.7, top_k=5, seed=1)
    events, done = setting.answer(*prompt, grammar=call, logprobs=3, max_tokens=12, sampling=sampling)
    assert "logprobs" not in events[0] and events[0]["text"] == "<c>"
    told = [(ids, one) for event in events[1:] for ids, one in zip(event["ids"], event["logprobs"], strict=True)]
    assert len(told) == done["usage"]["output"] - len(events[0]["ids"])
    tokens = [*setting.model.template("<|im_start|>user\n"), *setting.model.untrusted("tell me"), *events[0]["ids"]]
    for token, (piece, value, top) in told:
        setting.context.clear()
        assert setting.context.decode(tokens) == 0
        logits = setting.context.logits().astype(np.float64)
        expected = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        assert piece.encode("latin-1") == setting.model.piece(token)
        assert value == pytest.approx(expected[token], abs=0.05)
        best = np.argsort(-expected)[:3]
        assert [one for one, _ in top] == [setting.model.piece(int(t)).decode("latin-1") for t in best]
        assert [lower for _, lower in top] == pytest.approx(expected[best].tolist(), abs=0.05)
        tokens.append(token)
    setting.prefix = Prefix(setting.context)
    setting.context.clear()
    events, _ = setting.answer(*prompt, logprobs=0, max_tokens=2)
    assert all(top == [] for event in events for _, _, top in event["logprobs"])
    assert "logprobs" not in setting.answer(*prompt, max_tokens=2)[0][0]


def test_of_a_text_far_above_the_context_only_so_much_is_read(setting: Setting, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    spell = setting.model.spell
    monkeypatch.setattr(setting.model, "spell", lambda text, special: (read.append(len(text)), spell(text, special))[1])
    log = Untrusted("a whole log file\n" * 200_000)
    with pytest.raises(PromptTooLong, match="more than 1024 tokens"):
        setting.answer(Untrusted("hi"), log)
    assert sum(read) < 40_000
    assert setting.answer(Untrusted("hi"), log, stopped=lambda: True)[1]["stop"] == "cancelled"
    # What is long and yet no more tokens than there is room for is read as it is.
    monkeypatch.setattr(answer_module, "SURE", 1)
    assert 900 <= setting.answer(Untrusted(" the" * 900), max_tokens=1)[1]["usage"]["input"] <= 1000
