"""Every hint that a tool may be written with: what the model is told, and what the function gets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from localagent import Limit, ToolError
from localagent.engine import gbnf
from localagent.toolbox import docstrings
from localagent.toolbox.convert import arguments
from localagent.toolbox.derive import Refused, parameters


@dataclass
class Room:
    """Where it is.

    Args:
        name: What people call it.
    """

    name: str
    floor: int = 0
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name == "none":
            raise ValueError("there is no such room")


class Person(TypedDict):
    name: str
    born: NotRequired[dt.date]


class Ge:
    """As `annotated_types` has it."""

    ge = 1


def book(
    room: Room,
    day: dt.date,
    guests: list[Person],
    at: dt.datetime | None = None,
    size: tuple[int, float] = (1, 2.5),
    days: set[Literal["mon", "tue"]] = frozenset(),  # type: ignore[assignment]
    how: int | list[str] = 1,
    count: Annotated[int, Ge(), Limit(le=5), "How many."] = 1,
    code: Annotated[str, Limit(min_length=2, max_length=4, pattern="^[a-z]+$")] = "ab",
    until: dt.time = dt.time(18, 30),
) -> str:
    """Book."""
    return ""


def test_the_model_is_told_each_shape() -> None:
    shown = parameters(book)
    properties = shown["properties"]
    assert shown["required"] == ["room", "day", "guests"]
    assert properties["room"] == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "What people call it."},
            "floor": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    assert properties["guests"]["items"]["required"] == ["name"]
    assert properties["guests"]["items"]["properties"]["born"] == {"type": "string", "format": "date"}
    assert properties["at"] == {"type": "string", "format": "date-time"}
    prefix = [{"type": "integer"}, {"type": "number"}]
    assert properties["size"] == {"type": "array", "prefixItems": prefix, "minItems": 2, "maxItems": 2, "default": [1, 2.5]}
    assert properties["days"] == {"type": "array", "items": {"type": "string", "enum": ["mon", "tue"]}, "uniqueItems": True}
    assert properties["how"]["anyOf"] == [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]
    assert properties["count"] == {"type": "integer", "description": "How many.", "minimum": 1, "maximum": 5, "default": 1}
    assert properties["code"] == {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$", "default": "ab"}
    assert properties["until"]["default"] == "18:30:00"


def test_the_function_gets_the_types_of_its_hints() -> None:
    given = {
        "room": {"name": "Blue", "floor": 2},
        "day": "2026-05-31",
        "guests": [{"name": "Ann", "born": "1990-01-02T00:00:00"}],
        "at": "2026-05-31T14:30:00Z",
        "size": [3, 4],
        "days": ["mon", "mon"],
        "how": ["x"],
        "until": "09:00",
    }
    made = arguments(book, given)
    assert made["room"] == Room("Blue", 2)
    assert made["day"] == dt.date(2026, 5, 31) and made["until"] == dt.time(9)
    assert made["guests"] == [{"name": "Ann", "born": dt.date(1990, 1, 2)}]
    assert made["at"] == dt.datetime(2026, 5, 31, 14, 30, tzinfo=dt.UTC)
    assert made["size"] == (3, 4.0) and isinstance(made["size"][1], float)
    assert made["days"] == {"mon"} and made["how"] == ["x"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"day": "tomorrow"}, "'day' must be a date such as 2026-05-31, not 'tomorrow'"),
        ({"room": {"floor": 1}}, "'room' lacks 'name'"),
        ({"room": {"name": "a", "wing": "b"}}, "'room' has no 'wing'"),
        ({"room": {"name": "none"}}, "there is no such room"),
        ({"room": "Blue"}, "'room' must be an object"),
        ({"guests": [{"name": 1}]}, r"'guests\[0\].name' must be a text"),
        ({"size": [1]}, "exactly 2 values, not 1"),
        ({"days": ["sun"]}, r"'days\[0\]' must be one of mon, tue"),
        ({"how": "x"}, "none of what it may be"),
        ({"count": 0}, "'count' must be at least 1, not 0"),
        ({"count": 6}, "at most 5"),
        ({"code": "abcde"}, "at most 4, not 5"),
        ({"code": "A1"}, "must match the pattern"),
    ],
)
def test_what_does_not_fit_is_told_with_what_to_give(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ToolError, match=told):
        arguments(book, given)


def test_a_limit_that_does_not_fit_its_type_is_refused() -> None:
    def wrong(count: Annotated[int, Limit(max_length=3)]) -> str:
        """Do."""
        return ""

    with pytest.raises(Refused, match="the limit max_length=3 does not fit int"):
        parameters(wrong)


GOOGLE = """Sum up.

Parameters:
    a (int): The first
        of them.
    *b: The rest.
Returns:
    c: no.
"""
NUMPY = """Sum up.

Parameters
----------
a : int
    The first
    of them.
b, c
    The rest.

Returns
-------
d : int
    No.
"""
REST = """Sum up.
:param int a: The first
    of them.
:param b: The rest.
:returns: no
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST])
def test_docstrings_of_three_forms(text: str) -> None:
    summary, notes = docstrings.read(text)
    assert (summary, notes["a"], notes["b"]) == ("Sum up.", "The first of them.", "The rest.")
    assert set(notes) <= {"a", "b", "c"} and notes.get("c", "The rest.") == "The rest."


def test_calls_can_be_held_to_all_of_it() -> None:
    assert "root" in gbnf.json_value(parameters(book), after="")
    for name in ("room", "day", "guests", "size", "count", "code"):
        assert not gbnf.unheld(parameters(book)["properties"][name])
