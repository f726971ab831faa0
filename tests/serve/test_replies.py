"""Answers in OpenAI's form, whole and in chunks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest

from localagent.engine.base import Delta, Logprobs, TokenLogprob
from localagent.events import MessageDone, PrefillProgress, TextDelta, ThinkingDelta
from localagent.serve import replies
from localagent.serve.replies import Chunks, Whole
from localagent.values import Message, Text
from tests.serve.support import call, done

ROME, OSLO = call("weather", city="Rome \u2600"), call("weather", city="Oslo")


def whole(*deltas: Delta, logprobs: bool = False, bare: bool = False) -> dict[str, Any]:
    made = Whole("small", logprobs=logprobs, bare=bare)
    for delta in deltas:
        made.feed(delta)
    return json.loads(replies.encoded(made.body()))


def chunked(*deltas: Delta, logprobs: bool = False, bare: bool = False, include_usage: bool = False) -> list[Any]:
    made = Chunks("small", logprobs=logprobs, bare=bare, include_usage=include_usage)
    return [json.loads(replies.encoded(one)) for one in (*made.begin(), *(c for d in deltas for c in made.feed(d)))]


def joined(chunks: Sequence[Any], key: str = "content") -> str:
    return "".join(chunk["choices"][0]["delta"].get(key) or "" for chunk in chunks if chunk["choices"])


@pytest.mark.parametrize(
    ("last", "content", "calls", "finish"),
    [
        (done("Hello"), "Hello", 0, "stop"),
        (done(""), "", 0, "stop"),
        (done("Hel", stop="length"), "Hel", 0, "length"),
        (done("", ROME), None, 1, "tool_calls"),
        (done("I look.", ROME, OSLO), "I look.", 2, "tool_calls"),
        (done("", cut=True), "", 0, "length"),
        (done("", ROME, cut=True), None, 1, "length"),
    ],
)
def test_how_an_answer_ends(last: MessageDone, content: str | None, calls: int, finish: str) -> None:
    body = whole(TextDelta(last.message.text), last)
    choice = body["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, finish)
    assert len(choice["message"].get("tool_calls", [])) == calls
    assert body["usage"] == {
        "prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 4},
    }  # fmt: skip
    chunks = chunked(TextDelta(last.message.text), last)
    assert joined(chunks) == (content or "")
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None] * (len(chunks) - 1) + [finish]


def test_calls_whole_and_in_chunks_have_ids_of_their_own_and_arguments_as_a_string() -> None:
    calls = whole(done("", ROME, OSLO))["choices"][0]["message"]["tool_calls"]
    assert len({one["id"] for one in calls}) == 2 and all(re.fullmatch(r"call_\w{24}", one["id"]) for one in calls)
    assert [json.loads(one["function"]["arguments"]) for one in calls] == [ROME.args, OSLO.args]
    seen: dict[int, dict[str, Any]] = {}
    for chunk in chunked(done("", ROME, OSLO)):
        for part in chunk["choices"][0]["delta"].get("tool_calls", []):
            if part["index"] not in seen:
                assert part["id"] and part["type"] == "function" and part["function"]["name"] == "weather"
                seen[part["index"]] = {"arguments": ""}
            seen[part["index"]]["arguments"] += part["function"]["arguments"]
    assert [json.loads(one["arguments"]) for one in seen.values()] == [ROME.args, OSLO.args]


def test_thoughts_are_kept_apart() -> None:
    last = MessageDone(Message("assistant", (Text("4"),), thinking="\n2 + 2\n"))
    deltas = (ThinkingDelta("2 +"), ThinkingDelta(" 2"), TextDelta("4"), last)
    message = whole(*deltas)["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("4", "2 + 2")
    chunks = chunked(*deltas)
    assert (joined(chunks), joined(chunks, "reasoning_content")) == ("4", "2 + 2")


def test_text_that_only_the_end_shows_is_not_lost() -> None:
    assert joined(chunked(TextDelta("He"), done("Hello"))) == "Hello"


def test_progress_says_nothing() -> None:
    assert len(chunked(PrefillProgress(1, 2, 0))) == 1


def test_usage_in_chunks_only_where_it_is_wanted() -> None:
    assert not any("usage" in chunk for chunk in chunked(done("x")))
    chunks = chunked(done("x"), include_usage=True)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] == 4


def token(piece: bytes, logprob: float = -0.5) -> Logprobs:
    return Logprobs((TokenLogprob(piece, logprob, ((piece, logprob), (b"?", -math.inf))),))


def test_log_probabilities() -> None:
    content = whole(token(b"Hi"), TextDelta("Hi"), done("Hi"), logprobs=True)["choices"][0]["logprobs"]["content"]
    assert content == [
        {
            "token": "Hi", "logprob": -0.5, "bytes": [72, 105],
            "top_logprobs": [
                {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}, {"token": "?", "logprob": -9999.0, "bytes": [63]},
            ],
        }
    ]  # fmt: skip
    assert whole(TextDelta("Hi"), done("Hi"))["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(
    ("deltas", "shown"),
    [
        # The parser held the first text back until it had seen more.
        ([token(b"a"), token(b"b"), TextDelta("a"), token(b"c"), TextDelta("bc")], ["a", "b", "c"]),
        # One character of two tokens.
        ([token(b"\xc3"), token(b"\xa9"), TextDelta("\u00e9")], ["\ufffd", "\ufffd"]),
        # A token whose text comes in two parts.
        ([token(b"ab"), TextDelta("a"), token(b"c"), TextDelta("bc")], ["ab", "c"]),
        # What became a call is no text.
        ([token(b"<call>"), token(b"x"), token(b"\n"), TextDelta("\n"), token(b"ok"), TextDelta("ok")], ["\n", "ok"]),
        ([token(b"hm"), ThinkingDelta("hm"), token(b"ok"), TextDelta("ok"), token(b"<end>")], ["ok"]),
    ],
    ids=["held back", "split character", "split text", "call", "thought and end"],
)
def test_log_probabilities_stand_with_their_text(deltas: list[Delta], shown: list[str]) -> None:
    whole_shown = whole(*deltas, done(""), logprobs=True)["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in whole_shown] == shown
    chunks = [chunk["choices"][0] for chunk in chunked(*deltas, done(""), logprobs=True)]
    found = [one["token"] for choice in chunks if choice["logprobs"] for one in choice["logprobs"]["content"]]
    assert found == shown


def test_half_a_pair_does_not_break_the_json() -> None:
    assert whole(TextDelta("a\ud83d"), done("a\ud83d"))["choices"][0]["message"]["content"] == "a?"


def test_an_engine_that_ends_without_a_message() -> None:
    with pytest.raises(ValueError, match="without a message"):
        whole(TextDelta("a"))


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        ([token(b"{"), token(b"}"), token(b"\n```"), TextDelta("```json\n{"), TextDelta("}"), TextDelta("\n```"), done("{}")], "{}"),
        ([token(b"Hi"), token(b"!"), TextDelta("Hi"), done("Hi!")], "Hi!"),
        ([token(b"<c>"), token(b"{}"), done("{}")], "{}"),
    ],
)  # fmt: skip
def test_the_tokens_are_those_of_the_text_that_is_shown_whole_or_in_chunks(deltas: list[Delta], text: str) -> None:
    shown = whole(*deltas, logprobs=True, bare=True)["choices"][0]
    assert "".join(one["token"] for one in shown["logprobs"]["content"]) == text == shown["message"]["content"]
    chunks = chunked(*deltas, logprobs=True, bare=True)
    found = [one for chunk in chunks for one in (chunk["choices"][0]["logprobs"] or {}).get("content", ())]
    assert "".join(one["token"] for one in found) == text == joined(chunks)
