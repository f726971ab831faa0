"""Tool sets of every size: grammars within what the engine reads, that hold as much as they can."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from localagent.engine import gbnf
from localagent.engine.automaton import Automaton
from localagent.engine.dialects import by_name
from localagent.engine.gbnf_count import BLOCK, Count, Steps
from localagent.engine.gbnf_rules import Rules
from localagent.values import ToolSpec
from tests.rounds import LONG

FORMS = {"hermes": '\n{"name": "', "qwen35": "\n<function=", "gemma": "call:"}
"""What stands before the tool's name."""
TEXT = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def words(count: int, length: int) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices("abcdefghijklmnop", k=length)) for _ in range(count)]


SETS: dict[str, list[dict[str, Any]]] = {
    "a thousand lengths": [
        obj(**{f"p{m}": {**TEXT, "maxLength": 100 + (n * 10 + m) % 900} for m in range(10)}) for n in range(100)
    ],
    "lengths and least lengths": [
        obj(**{f"p{m}": {**TEXT, "minLength": n + m, "maxLength": 40 * n + m + 50} for m in range(5)}) for n in range(40)
    ],
    "many lists": [
        obj(**{f"p{m}": {"type": "array", "items": TEXT, "maxItems": 50 + (n * 10 + m) % 900} for m in range(10)}) for n in range(90)
    ],
    "two huge enums": [obj(a={"enum": words(9000, 28)}), obj(b={"enum": words(9000, 28)[::-1]})],
    "512 tools": [
        obj(a={**TEXT, "maxLength": 200_000}, b={"type": "array", "items": TEXT, "maxItems": 5000},
            c={"enum": [f"v{n}_{m}" for m in range(50)]}, d={"type": "integer", "minimum": 1, "maximum": 100 + n})
        for n in range(512)
    ],
    "patterns that all differ": [
        obj(**{f"p{m}": {**TEXT, "pattern": f"^[a-z]{{1,{n + 5}}}-{m}.*[0-9]$"} for m in range(5)}) for n in range(40)
    ],
    "patterns too large": [obj(p={**TEXT, "pattern": f"(a|b)*a.{{{n + 12}}}c{n}"}) for n in range(12)],
    "nested bounds": [
        obj(a={"type": "array", "maxItems": 100, "items": {"type": "array", "maxItems": 90 + n, "items": {**TEXT, "maxLength": 300 + n}}})
        for n in range(50)
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "form"),
    # Every set in one form, and those that the forms write differently in each (the dearest of them where there is time).
    [
        (name, form)
        for name in SETS
        for form in FORMS
        if form == "hermes" or "length" in name or "too large" in name or (LONG and "pattern" in name)
    ],
)
def test_a_tool_set_of_any_size_gives_a_grammar_that_is_read(form: str, name: str) -> None:
    specs = [ToolSpec(f"tool_{n}", "", parameters) for n, parameters in enumerate(SETS[name])]
    began = time.process_time()
    text = by_name(form).grammar(specs, "required").triggers[0].grammar
    assert time.process_time() - began < 20
    start = Automaton.read(text).start()
    assert start.cost < 5000
    assert all(start.feed(f"{FORMS[form]}tool_{n}") for n in range(len(specs)))
    assert start.feed(f"{FORMS[form]}tool_{len(specs)}0") is None


def test_a_thousand_lengths_are_all_held() -> None:
    specs = [ToolSpec(f"tool_{n}", "", parameters) for n, parameters in enumerate(SETS["a thousand lengths"])]
    start = Automaton.read(gbnf.json_calls(specs, before="", between=" ", after="")).start()
    for number in (0, 57, 99):
        bound = specs[number].parameters["properties"]["p0"]["maxLength"]
        held = start.feed(f'tool_{number} {{"p0": "' + "x" * bound)
        assert held is not None and held.feed("x") is None and held.feed('"') is not None


@pytest.mark.parametrize("longest", [149, 150, 180, 199, 200, 600])
def test_every_length_can_be_said_in_gemmas_form(longest: int) -> None:
    spec = ToolSpec("t", "", obj(a={**TEXT, "maxLength": longest}))
    start = Automaton.read(by_name("gemma").grammar([spec], "required").triggers[0].grammar).start()
    held = start.feed('call:t{a:<|"|>' + "<" * longest)
    assert held is not None and held.feed("<x") is None and held.feed('<|"|>}') is not None


def test_one_tool_may_need_more_than_its_share_where_the_others_need_less() -> None:
    large = ToolSpec("large", "", obj(**{f"p{n}": {"enum": words(300, 20)[n:]} for n in range(20)}))
    small = [ToolSpec(f"small_{n}", "", obj(day={**TEXT, "format": "date"})) for n in range(200)]
    text = gbnf.json_calls([*small, large], before="", between=" ", after="")
    start = Automaton.read(text).start()
    assert start.feed('small_7 {"day": "2024-01-31"}') is not None and start.feed('small_7 {"day": "t') is None
    assert start.feed('large {"p0": "' + words(1, 20)[0]) is not None and start.feed('large {"p0": "zz') is None


def test_only_the_largest_are_held_less_closely() -> None:
    many = words(54_000, 20)
    huge = ToolSpec("huge", "", obj(**{f"p{n}": {"enum": many[n::60]} for n in range(60)}))
    middle = ToolSpec("middle", "", obj(**{f"p{n}": {"enum": words(300, 20)[n:]} for n in range(10)}))
    small = [ToolSpec(f"small_{n}", "", obj(n={"type": "integer", "maximum": n})) for n in range(50)]
    start = Automaton.read(gbnf.json_calls([huge, *small, middle], before="", between=" ", after="")).start()
    assert start.feed('small_7 {"n": 7}') is not None and start.feed('small_7 {"n": 8}') is None
    assert start.feed('middle {"p0": "zz') is None
    assert start.feed('huge {"p0": "zz') is not None and start.feed('huge {"q') is None


def test_counted_texts_have_their_length() -> None:
    steps = Steps(((("[a]", 0), ('"b"', 1)), (("[a]", 0),)), frozenset({0}), '"."')
    for low, high in [
        (0, 0),
        (0, 1),
        (0, BLOCK),
        (2, BLOCK + 3),
        (BLOCK, 2 * BLOCK),
        (BLOCK + 1, None),
        (70, 200),
        (5, 5),
    ]:
        rules = Rules()
        name = Count(rules, "k", steps, common=True).between(low, high)
        start = Automaton.read(rules.text(str(name))).start()
        for size in {0, 1, low - 1, low, low + 1, BLOCK, *([high - 1, high, high + 1] if high is not None else [500])}:
            if size >= 0:
                for text in ("a" * size, ("ba" * size)[-size:] if size else ""):
                    state = start.feed(text + ".")
                    assert (state is not None) == (low <= size and (high is None or size <= high)), (low, high, size)
        assert start.feed("bb") is None and start.feed("a" * (low - 1) + "b.") is None
    assert Count(Rules(), "k", Steps((((("x"), 1),), ()), frozenset({1}), '"."'), common=True).between(2, 3) is None
