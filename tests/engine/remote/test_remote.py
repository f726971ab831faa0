"""Models behind endpoints: what is asked and read, against a server on this machine that answers as each of them documents."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import catalogue
from localagent.engine.base import UNSEEN, Options, Sampling
from localagent.engine.entry import Entry, Remote
from localagent.engine.remote import RemoteEngine, wire
from localagent.engine.remote.reading import Reading
from localagent.errors import EngineError, LocalAgentError, ModelError, PromptTooLong
from localagent.events import EngineProgress, MessageDone, TextDelta, ThinkingDelta
from localagent.store import picture
from localagent.values import Image, Message, Text, ToolCall, ToolResult, ToolSpec
from tests.engine.remote.endpoint import Endpoint, Reply, called, chunk, endpoint

SPEC = ToolSpec("read_file", "Read.", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
ASKED = [Message("system", (Text("Be brief."),)), Message("user", (Text("Hello"),))]
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}


def entry(url: str, **more: Any) -> Entry:
    fields = {"thinking": "", "echo": ""} | {key: more.pop(key) for key in ("thinking", "echo") if key in more}
    return Entry("far", "Far", remote=Remote(url, "", "far-1", fields["thinking"], fields["echo"], "test"), **more)


def answer(
    engine: RemoteEngine, messages: Sequence[Message] = ASKED, specs: Sequence[ToolSpec] = (SPEC,), options: Options = Options()
) -> tuple[MessageDone, list[Any]]:
    async def run() -> list[Any]:
        try:
            return [delta async for delta in engine.stream(messages, specs, options)]
        finally:
            await engine.close()

    deltas = asyncio.run(run())
    assert isinstance(deltas[-1], MessageDone)
    return deltas[-1], deltas[:-1]


def read(*events: Any, **more: Any) -> tuple[MessageDone, list[Any], Endpoint]:
    with endpoint(Reply(events)) as far:
        done, deltas = answer(RemoteEngine(entry(far.url, **more), "k-1"))
    return done, deltas, far


# ---------------------------------------------------------------- what is read


def test_words_as_they_come_and_what_they_cost() -> None:
    done, deltas, far = read(chunk(content="Hel"), chunk(content="lo"), chunk("stop"), {"choices": [], "usage": USAGE})
    assert deltas == [TextDelta("Hel"), TextDelta("lo")]
    assert (done.message.text, done.stop, done.usage.input_tokens, done.usage.cached_tokens) == ("Hello", "end", 12, 8)
    assert far.headers[0]["Authorization"] == "Bearer k-1"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_in_a_field_of_their_own(field: str) -> None:
    done, deltas, _ = read(chunk(**{field: "Hm. "}), chunk(**{field: "Yes."}), chunk(content="Hi"), chunk("stop"))
    assert deltas == [ThinkingDelta("Hm. "), ThinkingDelta("Yes."), TextDelta("Hi")]
    assert (done.message.thinking, done.message.text) == ("Hm. Yes.", "Hi")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_thoughts_between_marks(size: int) -> None:
    text = "<think>\nIs 1 < 2? </thin\n</think>\n\nYes, and <think> is a word."
    done, _, _ = read(*(chunk(content=text[at : at + size]) for at in range(0, len(text), size)), chunk("stop"))
    assert (done.message.thinking, done.message.text) == ("Is 1 < 2? </thin\n", "Yes, and <think> is a word.")


CALL = ToolCall("call_1", "read_file", {"path": "a b.txt"})


@pytest.mark.parametrize(
    "pieces",
    [
        [[called("read_file", "", id="x")], [called(None, '{"path": "a')], [called(None, ' b.txt"}')]],
        [[called("read_file", '{"path": "a b.txt"}', id="x")]],
        [[called("read_file", {"path": "a b.txt"})]],  # type: ignore[arg-type]
        [[called("read_file", '{"path": "a b.txt"')]],
        [[called("read_file", "{'path': 'a b.txt',}")]],
        [[called("read_file", "")], [called("read_file", '{"path": "a b.txt"}')]],
    ],
    ids=["pieces", "whole", "object", "unclosed", "python", "named-twice"],
)
def test_a_call_however_it_is_written(pieces: list[list[dict[str, Any]]]) -> None:
    done, _, _ = read(*(chunk(tool_calls=one) for one in pieces), chunk("tool_calls"))
    assert done.message.calls == (CALL,) and not done.cut


def test_several_calls_also_where_all_have_one_number() -> None:
    two = (CALL, ToolCall("call_2", "list_files", {}))
    done, _, _ = read(chunk(tool_calls=[called("read_file", '{"path": "a b.txt"}'), called("list_files", "{}", 1)]), chunk("tool_calls"))
    assert done.message.calls == two
    done, _, _ = read(chunk(tool_calls=[called("read_file", '{"path": "a b.txt"}')]), chunk(tool_calls=[called("list_files", "{}")]))
    assert done.message.calls == two


def test_a_call_that_was_cut_is_told_as_that() -> None:
    done, _, _ = read(chunk(tool_calls=[called("read_file", '{"path": "a')]), chunk("length"))
    assert done.cut and done.stop == "length"


def test_an_endpoint_that_does_not_stream() -> None:
    message = {"content": "Hi", "tool_calls": [called("read_file", '{"path": "a b.txt"}')]}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}]}
    with endpoint(Reply([whole | {"usage": USAGE}], stream=False)) as far:
        done, _ = answer(RemoteEngine(entry(far.url), ""))
    assert (done.message.text, done.message.calls, done.usage.output_tokens) == ("Hi", (CALL,), 5)
    assert "Authorization" not in far.headers[0]


def test_calls_where_there_are_no_tools_are_text() -> None:
    with endpoint(Reply([chunk(tool_calls=[called("x", "{}")]), chunk("stop")])) as far:
        done, _ = answer(RemoteEngine(entry(far.url), ""), specs=())
    assert done.message.calls == () and '"name": "x"' in done.message.text


@pytest.mark.parametrize(
    "junk", [None, 3, "x", [], {"choices": 3}, {"choices": [None]}, {"choices": [{"delta": {"tool_calls": [7, None]}}]}]
)
def test_nonsense_is_passed_over(junk: Any) -> None:
    reading = Reading(frozenset())
    assert list(reading.feed(junk)) == [] and reading.calls() == ((), (), False)


# ---------------------------------------------------------------- what is asked

HISTORY = [
    *ASKED,
    Message("assistant", (), "I should look.", (CALL,)),
    Message("tool", result=ToolResult("call_1", (Text("forty-two"),))),
    Message("host", (Text("The file has changed."),)),
    Message("assistant", (Text("It says 42."),)),
    Message("steer", (Text("And b?"),)),
]


def asked(
    messages: Sequence[Message] = ASKED, options: Options = Options(), specs: Sequence[ToolSpec] = (SPEC,), **more: Any
) -> dict[str, Any]:
    with endpoint(Reply([chunk("stop", content="x")])) as far:
        answer(RemoteEngine(entry(far.url, **more), ""), messages, specs, options)
    return far.asked[0]


def test_a_history_in_the_endpoints_words() -> None:
    sent = asked(HISTORY)["messages"]
    assert [one["role"] for one in sent] == ["system", "user", "assistant", "tool", "user", "assistant", "user"]
    assert sent[2]["tool_calls"][0] == {
        "id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a b.txt"}'},
    }  # fmt: skip
    assert sent[2]["content"] == "" and "reasoning_content" not in sent[2]
    assert sent[3] == {"role": "tool", "tool_call_id": "call_1", "content": "forty-two"}


def test_thoughts_are_told_again_in_each_ones_form() -> None:
    assert asked(HISTORY, echo="reasoning_content")["messages"][2]["reasoning_content"] == "I should look."
    assert asked(HISTORY, echo="think")["messages"][2]["content"].startswith("<think>\nI should look.\n</think>")


def test_opaque_reasoning_goes_back_as_it_came() -> None:
    parts = [
        {"type": "reasoning.text", "text": "I ", "index": 0, "format": "x"},
        {"type": "reasoning.text", "text": "look.", "index": 0, "signature": "s"},
        {"type": "reasoning.encrypted", "data": "abc", "index": 1},
    ]
    last = chunk("tool_calls", tool_calls=[called("read_file", '{"path": "a b.txt"}')])
    first = Reply([*(chunk(reasoning_details=[one]) for one in parts), last])

    async def run(far: Endpoint) -> None:
        engine = RemoteEngine(entry(far.url), "")
        done = [delta async for delta in engine.stream(ASKED, (SPEC,), Options())][-1]
        renamed = replace(done.message, calls=(replace(done.message.calls[0], id="call_9"),))
        result = Message("tool", result=ToolResult("call_9", (Text("x"),)))
        _ = [delta async for delta in engine.stream([*ASKED, renamed, result], (SPEC,), Options())]
        await engine.close()

    with endpoint(first, Reply([chunk("stop", content="x")])) as far:
        asyncio.run(run(far))
    assert far.asked[1]["messages"][2]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "I look.", "index": 0, "format": "x", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "abc", "index": 1},
    ]


@pytest.mark.parametrize(
    ("how", "on", "off"),
    [
        ("enable_thinking", {"enable_thinking": True}, {"enable_thinking": False}),
        ("thinking.type", {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}),
        ("reasoning", {"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}),
        ("reasoning_effort", {"reasoning_effort": "medium"}, {"reasoning_effort": "none"}),
        ("chat_template_kwargs", {"chat_template_kwargs": {"enable_thinking": True}}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("always", {}, {}),
    ],
)
def test_thinking_is_switched_in_each_ones_form(how: str, on: dict[str, Any], off: dict[str, Any]) -> None:
    for thinking, expected in ((True, on), (False, off)):
        sent = asked(options=Options(thinking=thinking), thinking=how, thinks=True)
        assert {key: value for key, value in sent.items() if key in expected} == expected
        known = {"enable_thinking", "thinking", "reasoning", "reasoning_effort", "chat_template_kwargs"}
        assert set(sent) & known == set(expected)


def test_options_in_the_endpoints_words() -> None:
    sent = asked(options=Options(max_tokens=7, tool_choice="required", parallel=False, stop=("x",)))
    assert (sent["max_tokens"], sent["tool_choice"], sent["parallel_tool_calls"], sent["stop"]) == (7, "required", False, ["x"])
    assert sent["tools"][0]["function"]["name"] == "read_file" and "temperature" not in sent
    assert asked(options=Options(tool="read_file"))["tool_choice"] == {"type": "function", "function": {"name": "read_file"}}
    assert "tools" not in asked(options=Options(tool_choice="none"))
    sampled = asked(sampling=Sampling(temperature=0.0, top_p=0.9, top_k=20, seed=3))
    assert (sampled["temperature"], sampled["top_p"], sampled["top_k"], sampled["seed"]) == (0.0, 0.9, 20, 3)
    schema = asked(options=Options(schema={"type": "object"}))
    assert schema["response_format"]["json_schema"]["schema"] == {"type": "object"} and "tools" not in schema
    people = {"type": "object", "properties": {"to": {"type": "string", "x-one-of": "people"}}}
    assert asked(specs=[replace(SPEC, parameters=people)])["tools"][0]["function"]["parameters"]["properties"]["to"]["type"] == "string"


def test_every_hosted_model_of_the_catalogue_is_one() -> None:
    hosted = [one for one in catalogue.load().entries.values() if one.hosted]
    assert {"qwen3.5-plus", "glm-5", "minimax-m2.5", "kimi-k2.5"} <= {one.id for one in hosted}
    for one in hosted:
        assert RemoteEngine(one, "k").model == one.id
        assert one.remote is not None and one.remote.base_url.startswith("https://") and one.remote.provider


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, {"error": {"message": "Bad key k-1"}}, ModelError, "Bad key …. `localagent model key test`"),
        (403, "no", ModelError, "model key"),
        (404, {"error": {"message": "no model"}}, ModelError, "'far-1'"),
        (402, {}, ModelError, "no credit"),
        (400, {"error": {"message": "This model's maximum context length is 8 tokens"}}, PromptTooLong, "new conversation"),
        (400, {"detail": "bad field"}, EngineError, "bad field"),
        (418, b"\xff\xfe", EngineError, "418"),
    ],
)
def test_a_refusal_names_the_next_step(status: int, body: Any, kind: type, said: str) -> None:
    with endpoint(Reply([body], status)) as far, pytest.raises(kind) as refused:
        answer(RemoteEngine(entry(far.url), "k-1"))
    assert said in str(refused.value) and "k-1" not in str(refused.value)
    assert len(far.asked) == 1


def test_what_may_pass_is_tried_again_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_WAIT_S", 0.01)
    busy = Reply([{"error": "busy"}], 429, {"retry-after": "0.01"})
    with endpoint(busy, Reply(["x"], 503), Reply([chunk("stop", content="Hi")])) as far:
        done, deltas = answer(RemoteEngine(entry(far.url), ""))
    assert done.message.text == "Hi" and len(far.asked) == 3 and any(isinstance(one, EngineProgress) for one in deltas)
    with endpoint(*[busy] * 4) as far, pytest.raises(EngineError, match=r"429.*busy"):
        answer(RemoteEngine(entry(far.url), ""))


@pytest.mark.parametrize(
    "reply",
    [
        Reply([chunk(content="Hi"), {"error": {"message": "overloaded"}}]),
        Reply([b"<html>"]),
        Reply([]),
        Reply([b"<html>login</html>"], stream=False),
        Reply([""], 302, {"Location": "http://127.0.0.1:1/steal"}),
    ],
    ids=["error-in-stream", "no-json", "nothing", "a-page", "redirect"],
)
def test_a_broken_answer_is_an_error_and_no_answer(reply: Reply) -> None:
    with endpoint(reply) as far, pytest.raises(LocalAgentError):
        answer(RemoteEngine(entry(far.url), "k-1"))
    assert len(far.asked) == 1


def test_nobody_there() -> None:
    with pytest.raises(EngineError, match="cannot be reached"):
        answer(RemoteEngine(entry("http://127.0.0.1:1/v1"), ""))


def test_leaving_ends_the_request_at_once() -> None:
    async def run(far: Endpoint) -> None:
        engine = RemoteEngine(entry(far.url), "")
        async for _ in engine.stream(ASKED, (), Options()):
            break
        await engine.close()

    with endpoint(Reply([chunk(content="x")] * 1000, pause=0.05)) as far:
        asyncio.run(asyncio.wait_for(run(far), 3))


def test_the_models_of_an_endpoint() -> None:
    async def run(far: Endpoint) -> list[str]:
        engine = RemoteEngine(entry(far.url), "k")
        try:
            return await engine.models()
        finally:
            await engine.close()

    with endpoint(Reply([{"data": [{"id": "a"}, {"id": "b"}]}], stream=False)) as far:
        assert asyncio.run(run(far)) == ["a", "b"]
    with endpoint(Reply([{}], 401)) as far, pytest.raises(ModelError):
        asyncio.run(run(far))


# ---------------------------------------------------------------- pictures


def test_pictures_arrive_as_they_are_kept_and_only_where_the_model_sees(tmp_path: Path) -> None:
    kept = {}
    for name, fill in (("cat", 1), ("chart", 2)):
        file = picture.encode(8, 4, bytes([fill]) * 96)
        kept[name] = Image(picture.keep(tmp_path, file)), file
    made = ToolResult("call_1", (Text("Drawn."), kept["chart"][0]))
    asked = [
        Message("user", (Text("What is it?"), Text("\n[picture 1: cat.png, 8 x 4]"), kept["cat"][0], Image("f" * 64))),
        Message("assistant", calls=(CALL,)),
        Message("tool", made.parts, result=made),
    ]
    options = Options(pictures=str(tmp_path))
    with endpoint(Reply([chunk(content="A cat."), chunk("stop")]), Reply([chunk(content="?"), chunk("stop")])) as far:
        answer(RemoteEngine(entry(far.url, sees=True), ""), asked, options=options)
        answer(RemoteEngine(entry(far.url), ""), asked, options=options)
    user, _, result, behind = far.asked[0]["messages"]
    heads = [part["image_url"]["url"].partition(",")[0] for part in (user["content"][2], behind["content"][1])]
    bodies = [base64.b64decode(part["image_url"]["url"].partition(",")[2]) for part in (user["content"][2], behind["content"][1])]
    assert heads == ["data:image/png;base64"] * 2 and bodies == [kept["cat"][1], kept["chart"][1]]
    assert user["content"][3] == {"type": "text", "text": UNSEEN} and len(user["content"]) == 4
    assert (result["role"], result["content"], behind["role"]) == ("tool", "Drawn.", "user")
    blind = far.asked[1]["messages"]
    assert len(blind) == 3 and UNSEEN in blind[0]["content"] and blind[2]["content"] == "Drawn." + UNSEEN
    assert "base64" not in str(blind)


def test_which_hosted_models_see_is_known() -> None:
    known = catalogue.load()
    assert [known.get(id).can_see for id in ("qwen3.5-plus", "kimi-k2.5", "glm-5", "minimax-m2.5")] == [True, True, False, False]
    assert known.find("openai/anything").sees and not known.get("starter").can_see and known.get("qwen3.5-9b").can_see
