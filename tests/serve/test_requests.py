"""The fields of a request: what each becomes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.engine.base import Options, Sampling
from localagent.serve import requests
from localagent.serve.refusals import Refused
from tests.serve.support import USER, WEATHER

TIME = {"type": "function", "function": {"name": "time"}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DEEP: dict[str, Any] = {}
for _ in range(60):
    DEEP = {"type": "object", "properties": {"x": DEEP}}


def read(**body: Any) -> requests.Chat:
    return requests.read({"messages": USER, **body})


def options(model: dict[str, Any] | None = None, **body: Any) -> Options:
    known = {"thinks": True, "context": 1000, "acting": Sampling(top_k=7), "thoughtful": Sampling(top_p=0.5)}
    return read(**body).for_model(**(known | (model or {})))


def test_nothing_but_messages() -> None:
    chat = read()
    assert (chat.model, chat.specs, chat.stream, chat.include_usage) == ("", (), False, False)
    assert options() == Options(max_tokens=1000)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"max_tokens": 99999}, {"max_tokens": 1000}),
        ({"max_tokens": -1}, {"max_tokens": 1000}),
        ({"max_tokens": None}, {"max_tokens": 1000}),
        ({"max_tokens": 5.0}, {"max_tokens": 5}),
        ({"stop": "END"}, {"stop": ("END",)}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"stop": []}, {"stop": ()}),
        ({"logprobs": True}, {"logprobs": 0}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": 3}),
        ({"logprobs": False, "top_logprobs": 0}, {"logprobs": None}),
        ({"parallel_tool_calls": False}, {"parallel": False}),
        ({"temperature": 0.5, "seed": 3}, {"sampling": Sampling(temperature=0.5, top_k=7, seed=3)}),
        ({"seed": -1}, {"sampling": Sampling(top_k=7, seed=0x7FFFFFFF)}),
        ({"top_p": 0.9, "top_k": 5, "min_p": 0.1}, {"sampling": Sampling(top_p=0.9, top_k=5, min_p=0.1)}),
        ({"temperature": None, "n": None, "stream": None, "tools": None, "tool_choice": None}, {}),
        ({"n": 1, "store": True, "metadata": {"a": 1}}, {}),
        ({"frequency_penalty": 0}, {"sampling": Sampling(top_k=7)}),
        ({"frequency_penalty": 1.5}, {"sampling": Sampling(top_k=7, frequency_penalty=1.5)}),
        ({"user": "ann"}, {"client": "ann"}),
        ({"user": "ann", "safety_identifier": "bob"}, {"client": "bob"}),
        ({"user": 5}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"schema": {"type": "object"}}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}, {"schema": SCHEMA}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, {"schema": {"type": "object"}}),
        ({"chat_template_kwargs": {"enable_thinking": True}}, {"thinking": True}),
        ({"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "high"}, {}),
        ({"chat_template_kwargs": {"other": 1}}, {}),
        ({"reasoning_effort": "low"}, {"thinking": True}),
        ({"reasoning_effort": "minimal"}, {}),
    ],
)  # fmt: skip
def test_what_a_field_becomes(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert options(**body) == Options(**({"max_tokens": 1000} | expected))


def test_a_thinking_model_gets_its_own_sampling() -> None:
    made = options(reasoning_effort="high", seed=1)
    assert made.thinking and made.sampling == Sampling(top_p=0.5, seed=1)
    assert not options({"thinks": False}, reasoning_effort="high").thinking


def test_what_is_forced_is_not_thought_about() -> None:
    thinking = {"reasoning_effort": "high"}
    assert not options(**thinking, response_format={"type": "json_object"}).thinking
    assert not options(**thinking, tools=[WEATHER], tool_choice="required").thinking
    assert options(**thinking, tools=[WEATHER]).thinking


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ("auto", "", 2)),
        ("auto", ("auto", "", 2)),
        ("none", ("none", "", 2)),
        ("required", ("required", "", 2)),
        ({"type": "function", "function": {"name": "time"}}, ("required", "time", 2)),
        ({"type": "function", "name": "time"}, ("required", "time", 2)),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}}, ("auto", "", 1)),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME]}}, ("required", "", 1)),
    ],
)
def test_tool_choice(choice: Any, expected: tuple[str, str, int]) -> None:
    chat = read(tools=[WEATHER, TIME], tool_choice=choice)
    assert (chat.options.tool_choice, chat.options.tool, len(chat.specs)) == expected


def test_a_tool_becomes_a_spec() -> None:
    weather, time = read(tools=[WEATHER, TIME]).specs
    assert (weather.name, weather.description) == ("weather", "The weather of a city.")
    assert weather.parameters == WEATHER["function"]["parameters"] and not weather.effects
    assert (time.description, time.parameters) == ("", {"type": "object", "properties": {}})


def test_empty_lists_written_as_null_are_left_out() -> None:
    given = {"type": "object", "required": None, "properties": {"x": {"type": "string", "enum": None, "default": None}}}
    (spec,) = read(tools=[{"type": "function", "function": {"name": "a", "parameters": given}}]).specs
    assert spec.parameters == {"type": "object", "properties": {"x": {"type": "string", "default": None}}}


def test_items_by_position_in_the_old_form() -> None:
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "null"}]}
    given = {"properties": {"pair": pair, "none": {"type": "array", "items": []}}}
    (spec,) = read(tools=[{"type": "function", "function": {"name": "a", "parameters": given}}]).specs
    assert spec.parameters["properties"] == {
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]}, "none": {"type": "array"},
    }  # fmt: skip


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "a", **function}}]}


def prop(schema: Any) -> dict[str, Any]:
    return tool(parameters={"type": "object", "properties": {"x": schema}})


X = "tools[0].function.parameters.properties.x"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": 5}, "model"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 1 << 70}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": -2}, "max_completion_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": "\udc00"}, "stop"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": 5, "stream": True}, "stream_options"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": "audio"}, "modalities"),
        ({"functions": [{"name": "a"}]}, "functions"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
        ({"chat_template_kwargs": []}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"enable_thinking": "on"}}, "enable_thinking"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "b"}}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": 5}, "tool_choice"),
        ({"tools": {}}, "tools"),
        ({"tools": ["weather"]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
        (tool(name=None), "tools[0].function.name"),
        (tool(name=""), "tools[0].function.name"),
        (tool(name='a", "b'), "tools[0].function.name"),
        (tool(name="a" * 129), "tools[0].function.name"),
        (tool(description=5), "tools[0].function.description"),
        (tool(parameters=[]), "tools[0].function.parameters"),
        (tool(parameters={"type": "string"}), "tools[0].function.parameters.type"),
        (tool(parameters={"properties": []}), "tools[0].function.parameters.properties"),
        (tool(parameters={"required": "x"}), "tools[0].function.parameters.required"),
        (tool(parameters={"required": [5]}), "tools[0].function.parameters.required"),
        (prop("string"), X),
        (prop({"type": "text"}), f"{X}.type"),
        (prop({"type": {}}), f"{X}.type"),
        (prop({"enum": []}), f"{X}.enum"),
        (prop({"enum": "a"}), f"{X}.enum"),
        (prop({"anyOf": []}), f"{X}.anyOf"),
        (prop({"anyOf": [5]}), f"{X}.anyOf[0]"),
        (prop({"items": 5}), f"{X}.items"),
        (prop({"items": [5]}), f"{X}.prefixItems[0]"),
        (prop({"pattern": 5}), f"{X}.pattern"),
        (prop({"minLength": "5"}), f"{X}.minLength"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}}, "response_format.json_schema.schema.type"),
    ],
)  # fmt: skip
def test_what_is_refused_and_which_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        read(**body)
    assert (refused.value.status, refused.value.param) == (400, param)


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_body_that_is_no_object(body: Any) -> None:
    with pytest.raises(Refused):
        requests.read(body)


def test_a_long_name_is_not_carried_through_the_whole_schema() -> None:
    schema: dict[str, Any] = {"type": "no"}
    for _ in range(40):
        schema = {"properties": {"k" * 100_000: schema}}
    with pytest.raises(Refused) as refused:
        read(**prop(schema))
    assert len(refused.value.param or "") < 4000


def test_a_schema_without_end() -> None:
    with pytest.raises(Refused, match="too deeply"):
        read(**prop(DEEP))
