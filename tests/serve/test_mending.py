"""Arguments are read in the one way there is, or not at all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from localagent.serve.mending import mended, named

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "multipleOf": 5},
        "unit": {"enum": ["Celsius", "Fahrenheit", "fahrenheit"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "note": {"type": "string"},
        "id": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "switch": {"$ref": "#/$defs/switch"},
    },
    "required": ["count"],
    "additionalProperties": False,
    "$defs": {"switch": {"type": "object", "properties": {"isOn": {"type": "boolean"}}, "required": ["isOn"]}},
}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"count": "5"}, {"count": 5}),
        ({"count": 5.0}, {"count": 5}),
        ({"Count": " 10 "}, {"count": 10}),
        ({"arguments": {"count": 5}}, {"count": 5}),
        ({"count": 5, "unit": "celsius"}, {"count": 5, "unit": "Celsius"}),
        ({"count": 5, "tags": "a"}, {"count": 5, "tags": ["a"]}),
        ({"count": 5, "tags": '["a", 2]'}, {"count": 5, "tags": ["a", "2"]}),
        ({"count": 5, "note": None, "gone": None}, {"count": 5}),
        ({"count": 5, "note": 3, "id": "7"}, {"count": 5, "note": "3", "id": 7}),
        ({"count": 5, "switch": '{"is_on": "True"}'}, {"count": 5, "switch": {"isOn": True}}),
        ({"count": 7}, None),
        ({"count": 5.5}, None),
        ({"count": "5 km"}, None),
        ({"count": True}, None),
        ({"count": 5, "COUNT": 10}, None),
        ({"count": 5, "gone": 1}, None),
        ({"count": 5, "unit": "kelvin"}, None),
        ({"count": 5, "unit": "FAHRENHEIT"}, None),
        ({"count": 5, "note": ["a"]}, None),
        ({"count": 5, "id": "seven"}, None),
        ({"count": float("nan")}, None),
        ({}, None),
    ],
)
def test_what_is_plain_is_mended_and_nothing_is_guessed(given: dict[str, Any], meant: dict[str, Any] | None) -> None:
    found = mended(SCHEMA, given)
    assert found == meant
    assert found is None or {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in (meant or {}).items()
    }


def test_what_is_right_is_given_back_itself() -> None:
    given = {"count": 5, "switch": {"isOn": True, "more": 1}}
    assert mended(SCHEMA, given) is given


def test_a_tool_is_known_by_its_letters_where_no_other_has_them() -> None:
    assert named("get_weather", ["get_weather", "getWeather"]) == "get_weather"
    assert named("Get-Weather", ["get_weather", "x"]) == "get_weather"
    assert named("getweather", ["get_weather", "getWeather"]) is None
    assert named("...", ["---"]) is None and named("get_wether", ["get_weather"]) is None


def test_unions_within_unions_take_no_long_time() -> None:
    shape: Any = {"type": "integer"}
    for _ in range(12):
        shape = {"anyOf": [{"type": "array", "items": shape}, {"type": "object", "properties": {"a": shape}}] * 4}
    began = time.process_time()
    assert mended({"type": "object", "properties": {"a": shape}}, {"a": "x"}) is None
    assert time.process_time() - began < 5
