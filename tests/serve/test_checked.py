"""No call goes out that breaks its tool's schema, and none where there is no such tool."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from localagent.engine.base import JSON_FENCE, Options
from localagent.errors import GrammarRefused, PromptTooLong
from localagent.events import TextDelta
from localagent.serve import checked, requests
from localagent.values import Generated
from tests.serve.support import USER, WEATHER, Client, Engine, call, done
from tests.serve.test_streams import until

DAYS = {
    "type": "function",
    "function": {
        "name": "forecast",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "multipleOf": 5},
                "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TOOLS = [WEATHER, DAYS]
ROME, SEVEN, FIVE = (
    call("weather", city="Rome"),
    call("forecast", city="Rome", days=7),
    call("forecast", city="Rome", days=5),
)


def message(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["choices"][0]["message"]


def calls(said: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(one["function"]["name"], json.loads(one["function"]["arguments"])) for one in said.get("tool_calls", [])]


def streamed(chunks: list[dict[str, Any]]) -> tuple[str, list[tuple[str, Any]], str]:
    """The text, the calls and the finish reason of a stream."""
    text, made, finish = "", {}, ""
    for chunk in chunks:
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
            for part in choice["delta"].get("tool_calls", []):
                one = made.setdefault(part["index"], {"name": "", "arguments": ""})
                for key, value in part["function"].items():
                    one[key] += value
    return text, [(one["name"], json.loads(one["arguments"])) for one in made.values()], finish


def test_a_call_that_can_be_read_in_one_way_is_mended() -> None:
    client = Client(done("", call("Forecast", City="Rome", days="10"), ROME, ids=(1, 2)))
    assert calls(message(client.answer(tools=TOOLS))) == [
        ("forecast", {"city": "Rome", "days": 10}),
        ("weather", {"city": "Rome"}),
    ]
    assert len(client.engine.asked) == 1


def test_a_mended_call_that_comes_back_is_known_by_its_tokens() -> None:
    client = Client(done("", call("forecast", city="Rome", days="10"), ids=(1, 2)), "Dry.")
    said = message(client.answer(tools=TOOLS))
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "dry"}
    client.answer(messages=[*USER, said, result], tools=TOOLS)
    assert client.asked.messages[1].generated == Generated("m", (1, 2))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "wrong", [SEVEN, call("forecast"), call("forecast", city="Rome", x=1), call("forecast", city=["a", "b"])]
)
def test_a_call_that_breaks_its_schema_is_asked_for_once_more(wrong: Any, stream: bool) -> None:
    client = Client(done("", ROME, wrong, ids=(1, 2)), done("", FIVE, ids=(3,)))
    if stream:
        _, found, finish = streamed(client.chunks(tools=TOOLS, max_tokens=50))
        assert finish == "tool_calls"
    else:
        answer = client.answer(tools=TOOLS, max_tokens=50)
        found = calls(message(answer))
        assert answer["usage"] == {
            "prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16, "prompt_tokens_details": {"cached_tokens": 4},
        }  # fmt: skip
    assert found == [("weather", {"city": "Rome"}), ("forecast", {"city": "Rome", "days": 5})]
    options = client.asked.options
    assert (options.tool_choice, options.tool, options.parallel, options.max_tokens) == (
        "required",
        "forecast",
        False,
        47,
    )
    assert len(client.asked.specs) == 2 and client.asked.messages[-1].role == "host"
    assert "forecast" in client.asked.messages[-1].text


def test_tokens_that_say_another_call_are_not_remembered() -> None:
    client = Client(done("", SEVEN, ids=(1, 2)), done("", FIVE, ids=(3,)), "Dry.")
    said = message(client.answer(tools=TOOLS))
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "dry"}
    client.answer(messages=[*USER, said, result], tools=TOOLS)
    assert client.asked.messages[1].generated is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("second", [done("", SEVEN), done("", FIVE, cut=True), done("No.")])
def test_a_call_that_is_wrong_twice_is_left_out_and_the_answer_is_text(second: Any, stream: bool) -> None:
    client = Client(done("", SEVEN), second, "I cannot tell.")
    if stream:
        assert streamed(client.chunks(tools=TOOLS)) == ("I cannot tell.", [], "stop")
    else:
        answer = client.answer(tools=TOOLS)
        assert message(answer) == {"role": "assistant", "content": "I cannot tell.", "refusal": None}
        assert answer["choices"][0]["finish_reason"] == "stop" and answer["usage"]["completion_tokens"] == 9
    assert [len(asked.specs) for asked in client.engine.asked] == [2, 2, 0]
    assert client.asked.messages[-1].text == "Hello"


def test_the_other_calls_stay_where_one_is_left_out() -> None:
    client = Client(done("", SEVEN, ROME), done("", SEVEN))
    assert calls(message(client.answer(tools=TOOLS))) == [("weather", {"city": "Rome"})]


def test_only_so_many_calls_are_asked_for_once_more() -> None:
    client = Client(done("", *[SEVEN] * 5), *[done("", FIVE)] * 5)
    assert len(calls(message(client.answer(tools=TOOLS)))) == 3 and len(client.engine.asked) == 4


@pytest.mark.parametrize("error", [PromptTooLong("too long"), GrammarRefused("too large")])
def test_a_question_that_cannot_be_asked_costs_that_call_alone(error: Exception) -> None:
    client = Client(done("", ROME, SEVEN), error)
    assert calls(message(client.answer(tools=TOOLS))) == [("weather", {"city": "Rome"})]


def test_nothing_is_asked_behind_the_token_limit() -> None:
    client = Client(done("", SEVEN))
    answer = client.answer(tools=TOOLS, max_tokens=3)
    assert message(answer)["content"] == "" and "tool_calls" not in message(answer) and len(client.engine.asked) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_no_tool_never_go_out(stream: bool) -> None:
    wrong = call("delete_everything", path="/")
    client = Client(done("", wrong), "There is no such tool.", done("I try.", wrong), done("", wrong, ROME))
    if stream:
        assert streamed(client.chunks(tools=TOOLS)) == ("There is no such tool.", [], "stop")
        assert streamed(client.chunks(tools=TOOLS)) == ("I try.", [], "stop")
        assert streamed(client.chunks(tools=TOOLS)) == ("", [("weather", {"city": "Rome"})], "tool_calls")
    else:
        assert message(client.answer(tools=TOOLS))["content"] == "There is no such tool."
        assert message(client.answer(tools=TOOLS)) == {"role": "assistant", "content": "I try.", "refusal": None}
        assert calls(message(client.answer(tools=TOOLS))) == [("weather", {"city": "Rome"})]
    assert len(client.engine.asked) == 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", [None, "none"])
def test_without_tools_what_was_read_as_a_call_stays_text(choice: str | None, stream: bool) -> None:
    client = Client([TextDelta("Like this:"), done("Like this:", ROME, call("other"))], done("", ROME, cut=True))
    for text in (
        'Like this:\n{"name": "weather", "arguments": {"city": "Rome"}}\n{"name": "other", "arguments": {}}',
        '{"name": "weather", "arguments": {"city": "Rome"}}',
    ):
        if stream:
            assert streamed(client.chunks(tool_choice=choice)) == (text, [], "stop")
        else:
            answer = client.answer(tool_choice=choice)
            assert message(answer) == {"role": "assistant", "content": text, "refusal": None}
            assert answer["choices"][0]["finish_reason"] == "stop"
    assert len(client.engine.asked) == 2


def test_a_wrong_call_before_an_answer_as_json_does_not_stand_in_its_way() -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    client = Client(done("", call("gone")), "Words.", JSON_FENCE + "{}\n```")
    assert message(client.answer(tools=TOOLS, response_format=schema))["content"] == "{}"


def test_the_one_call_that_is_wanted_is_the_one_that_is_checked() -> None:
    client = Client(done("", ROME, SEVEN), done("", FIVE, call("forecast", city="Rome", days=3)))
    assert calls(message(client.answer(tools=TOOLS, parallel_tool_calls=False))) == [("weather", {"city": "Rome"})]
    named = {"type": "function", "function": {"name": "forecast"}}
    found = client.answer(tools=TOOLS, tool_choice=named, parallel_tool_calls=False)
    assert calls(message(found)) == [("forecast", {"city": "Rome", "days": 5})] and len(client.engine.asked) == 2


@pytest.mark.parametrize("parallel", [True, False])
def test_a_cut_call_is_left_out_and_not_asked_for_again(parallel: bool) -> None:
    client = Client(done("", ROME, call("forecast"), cut=True))
    answer = client.answer(tools=TOOLS, parallel_tool_calls=parallel)
    assert calls(message(answer)) == [("weather", {"city": "Rome"})] and len(client.engine.asked) == 1
    assert answer["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_the_start_of_a_forced_call_is_no_text(stream: bool) -> None:
    client = Client(*[done('{"name":', stop="length"), [TextDelta("I try. "), done("I try. {", stop="length")]] * 2)
    for text in ("", "I try. {"):
        if stream:
            assert streamed(client.chunks(tools=TOOLS, tool_choice="required", max_tokens=3)) == (text, [], "length")
        else:
            choice = client.answer(tools=TOOLS, tool_choice="required", max_tokens=3)["choices"][0]
            assert (choice["message"]["content"], choice["finish_reason"]) == (text, "length")


def test_arguments_are_json_whatever_the_model_wrote() -> None:
    client = Client(done("", call("anything", value=float("inf"))), done("", call("anything", value=1.5)))
    tool = {"type": "function", "function": {"name": "anything"}}
    (one,) = message(client.answer(tools=[tool]))["tool_calls"]
    assert one["function"]["arguments"] == '{"value": 1.5}'


def test_whoever_stops_listening_while_a_call_is_made_again_leaves_no_answer_running() -> None:
    engine = Engine([done("", SEVEN), [TextDelta("."), done("", FIVE)]], slow=0.05)
    specs = requests.read({"messages": USER, "tools": TOOLS}).specs

    async def body() -> None:
        async def listen() -> None:
            async for _ in checked.stream(engine, (), specs, Options()):
                pass

        task = asyncio.create_task(listen())
        await until(lambda: len(engine.asked) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert engine.running == 0

    asyncio.run(body())
