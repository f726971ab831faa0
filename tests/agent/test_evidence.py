"""What a conversation says, and what was made up."""

from __future__ import annotations

import time

import pytest

from localagent.agent.evidence import Source, backing, named, support
from localagent.values import ToolCall, ToolSpec


@pytest.mark.parametrize(
    ("value", "said", "share"),
    [
        ("Oslo", "Will it rain in Oslo?", 1.0),
        ("Bergen", "Will it rain in Oslo?", 0.0),
        ("Oslo, Norway", "Will it rain in Oslo?", 0.5),
        ("pumpkin", "three pumpkins please", 1.0),
        ("EUR", "convert 150 euros", 1.0),
        ("fr", "translate it into French", 1.0),
        ("notes_2024", "open the notes of 2024", 1.0),
        (150, "convert 150 euros", 1.0),
        (151, "convert 150 euros", 0.0),
        (3, "three of them", 1.0),
        (12, "a dozen eggs", 1.0),
        (1000, "invest $1,000 now", 1.0),
        (0.05, "at 0,05 a day", 1.0),
        (0.6, "a 60% chance", 1.0),
        ([46.6, -1.88], "at 46.6,1.880", 1.0),
        (0.125, "12.5 percent of it", 1.0),
        ("2019-12-13", "on December 13, 2019", 1.0),
        (["Oslo", "Bergen"], "from Oslo", 0.5),
        ({"city": "Oslo", "days": 3}, "Oslo for three days", 1.0),
        ("東京", "明日の東京の天気は?", 1.0),
        ("大阪", "明日の東京の天気は?", 0.0),
        ("", "anything", 0.0),
        (40.7128, "the weather in New York", None),
        (40.7128, "the weather at 40.7128, -74.006", 1.0),
        ({"lat": 40.7128, "lon": -74.006, "place": "Oslo"}, "the weather in New York", 0.0),
        (40.71, "the weather in New York", 0.0),
        (True, "anything", None),
        (None, "anything", None),
        ([], "anything", None),
        (-5, "5 degrees below zero", 1.0),
        (10**400, "a googol", 0.0),
        (float("inf"), "for ever", 0.0),
        ("\u1369 \u1372", "no float reads these digits", 0.0),
        ("\u0663", "3 of them", 1.0),
    ],
)
def test_a_value_is_supported_by_what_was_said(value: object, said: str, share: float | None) -> None:
    assert support(value, Source.of([said])) == share


@pytest.mark.parametrize("text", ["1." * 50_000 + "%", "9" * 100_000, "1%" * 20_000])
def test_long_numbers_are_read_in_linear_time(text: str) -> None:
    began = time.process_time()
    Source.of([text])
    assert time.process_time() - began < 2


def test_many_short_words_against_many_words_take_no_time() -> None:
    source = Source.of([" ".join(f"w{number}" for number in range(50_000))])
    began = time.process_time()
    assert support(" ".join(f"z{number % 90}" for number in range(5000)), source) == 0.0
    assert time.process_time() - began < 2


def _spec(**properties: object) -> ToolSpec:
    return ToolSpec("book", "", {"type": "object", "properties": properties, "required": list(properties)})


def test_the_value_said_least_counts_most_whether_it_was_required_or_not() -> None:
    call = ToolCall("1", "book", {"city": "Oslo", "name": "Jane Doe"})
    noted = ToolCall("1", "book", {"city": "Oslo", "name": "Jane Doe", "note": "invented"})
    spec = ToolSpec(
        "book",
        "",
        {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("city", "name", "note")},
            "required": ["city", "name"],
        },
    )
    assert backing(call, spec, Source.of(["A room in Oslo"])) == 0.25
    assert backing(call, spec, Source.of(["A room in Oslo for Jane Doe"])) == 1.0
    assert backing(noted, spec, Source.of(["A room in Oslo for Jane Doe"])) == pytest.approx(1 / 3)


def test_a_value_chosen_from_a_list_needs_no_words() -> None:
    spec = _spec(kind={"type": "string", "enum": ["delete", "add"]})
    assert backing(ToolCall("1", "book", {"kind": "delete"}), spec, Source.of(["remove it"])) is None


def test_a_value_that_the_schema_itself_gives_needs_no_words() -> None:
    spec = _spec(nights={"type": "integer", "default": 1})
    assert backing(ToolCall("1", "book", {"nights": 1}), spec, Source.of(["a room"])) is None
    assert backing(ToolCall("1", "book", {"nights": 2}), spec, Source.of(["a room"])) == 0.0


@pytest.mark.parametrize(
    ("name", "description", "said", "share"),
    [
        ("get_weather", "", "What is the weather in Oslo?", 0.5),
        ("get_weather", "The current temperature of a city.", "the current weather of that city", 0.5 + 1 / 3),
        ("Hotels_4_SearchHotel", "Finds rooms for the night.", "a cheap hotel", 1 / 3),
        ("searchCVEs", "Known holes in programs, by product", "are there known holes in this product?", 0.5),
        ("wetter_für_übermorgen", "", "Wie wird das Wetter?", 1 / 6),
        ("天気", "", "東京の天気", 0.5),
        ("x1", "", "x1", 0.0),
    ],
)
def test_a_request_speaks_of_a_tool_by_its_name_and_description(
    name: str, description: str, said: str, share: float
) -> None:
    spec = ToolSpec(name, description, {"type": "object"})
    assert named(ToolCall("1", name, {}), spec, Source.of([said])) == pytest.approx(share)
