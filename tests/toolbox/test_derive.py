"""Hints and docstrings become schemas, or are refused with line and fix."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest

from localagent import OneOf, tool
from localagent.toolbox.derive import Refused, convert, describe, parameters, read_docstring


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def test_a_typed_function_with_a_docstring_is_described_whole() -> None:
    @tool(effects=["read:fs"], timeout=5)
    def count_words(path: Path, least: int = 1, kind: Literal["all", "unique"] = "all") -> str:
        """Count the words
        in a text file.

        More that the model does not need.

        Args:
            path: The file to read.
            least: How long a word
                must be.

        Returns:
            kind: not an argument.
        """
        return ""

    told = describe(count_words)
    assert told.pop("line") == count_words.__code__.co_firstlineno
    assert told == {
        "name": "count_words",
        "description": "Count the words in a text file.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "format": "path", "description": "The file to read."},
                "least": {"type": "integer", "description": "How long a word must be.", "default": 1},
                "kind": {"type": "string", "enum": ["all", "unique"], "default": "all"},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
        "effects": ["read:fs"],
        "timeout": 5.0,
        "hosts": [],
        "secrets": [],
        "confirm": False,
    }


def test_no_effects_compute_and_undeclared_effects_are_none() -> None:
    @tool(effects=[])
    def pure() -> str:
        """Compute."""
        return ""

    @tool
    def unknown() -> str:
        """Do something."""
        return ""

    assert describe(pure)["effects"] == ["compute"]
    assert describe(unknown)["effects"] == []


@pytest.mark.parametrize(
    ("effects", "hosts", "said"),
    [
        (["net"], ["https://api.example.org"], "write a name such as"),
        (["net"], ["*"], "write a name such as"),
        (["compute"], ["api.example.org"], "does not declare the effect 'net'"),
    ],
)
def test_hosts_that_cannot_be_declared(effects: list[str], hosts: list[str], said: str) -> None:
    @tool(effects=effects, hosts=hosts)
    def ask() -> str:
        """Ask."""
        return ""

    with pytest.raises(Refused, match=said):
        describe(ask)


@pytest.mark.parametrize(
    ("hint", "shape"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Path, {"type": "string", "format": "path"}),
        (str | Path, {"type": "string", "format": "path"}),
        (Literal[1, 2], {"type": "integer", "enum": [1, 2]}),
        (Colour, {"type": "string", "enum": ["red", "blue"]}),
        (list, {"type": "array", "items": {"type": "string"}}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list[Path], {"type": "array", "items": {"type": "string", "format": "path"}}),
        (dict, {"type": "object", "additionalProperties": True}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    ],
)
def test_every_supported_hint_has_a_schema(hint: Any, shape: dict[str, Any]) -> None:
    def function(value):
        """Do."""

    function.__annotations__ = {"value": hint}
    assert parameters(function)["properties"]["value"] == shape
    assert parameters(function)["required"] == ["value"]


@pytest.mark.parametrize("hint", [int | None, Optional[int], None | int])  # noqa: UP045
def test_an_optional_parameter_is_not_required(hint: Any) -> None:
    def function(value):
        """Do."""

    function.__annotations__ = {"value": hint}
    assert parameters(function) == {
        "type": "object",
        "properties": {"value": {"type": "integer"}},
        "required": [],
        "additionalProperties": False,
    }


def _no_hint(value):
    """Do."""


def _odd_hint(value: complex) -> None:
    """Do."""


@dataclass
class Tree:
    inner: Tree | None = None


def _endless(value: Tree) -> None:
    """Do."""


def _mixed(value: Literal["a", 1]) -> None:
    """Do."""


def _rest(*values: int) -> None:
    """Do."""


def _silent(value: int) -> None:
    pass


def _unreadable(value: "Nowhere") -> None:  # noqa: F821, UP037
    """Do."""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (_no_hint, "has no type hint"),
        (_odd_hint, "complex is not supported; use str"),
        (_endless, "deeper than 6 levels or into itself"),
        (_mixed, "all be text or all be numbers"),
        (_rest, "cannot be described"),
        (_silent, "has no docstring"),
        (_unreadable, "cannot be read"),
    ],
)
def test_what_cannot_be_described_is_refused_with_its_line(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        describe(tool(effects=[], name="odd")(function))
    assert caught.value.line == function.__code__.co_firstlineno


def test_an_unknown_effect_and_a_bad_name_are_refused() -> None:
    with pytest.raises(Refused, match="unknown effect 'fly'"):
        describe(_marked(effects=["fly"], name="odd"))
    with pytest.raises(Refused, match="no tool name"):
        describe(_marked(effects=[], name="Two Words"))


def _marked(**options: Any) -> Callable[[], None]:
    @tool(**options)
    def function() -> None:
        """Do."""

    return function


def test_arguments_become_the_types_of_the_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")

    def function(
        path: Path,
        raw: str | Path,
        colour: Colour,
        many: list[Path],
        named: dict[str, Colour],
        size: float,
        no: int | None,
    ) -> None:
        """Do."""

    made = convert(
        function,
        {"path": "~/a", "raw": "~/b/", "colour": "red", "many": ["x"], "named": {"k": "blue"}, "size": 1, "no": None},
    )
    assert made == {
        "path": Path("/somewhere/a"),
        "raw": "/somewhere/b/",
        "colour": Colour.RED,
        "many": [Path("x")],
        "named": {"k": Colour.BLUE},
        "size": 1.0,
        "no": None,
    }
    assert isinstance(made["size"], float)


def test_a_docstring_without_a_summary_line_break() -> None:
    assert read_docstring("One.\nArgs:\n  a (int): first\n  b: second\n") == ("One.", {"a": "first", "b": "second"})
    assert read_docstring("") == ("", {})


def test_a_hint_can_name_the_set_that_its_values_come_from() -> None:
    def copy(
        source: Annotated[Path, OneOf("paths")],
        to: list[Annotated[str, OneOf("contacts")]],
        more: Annotated[list[str], OneOf("contacts")],
        why: Annotated[str, "why"] = "",
        other: Annotated[str, OneOf("paths")] | None = None,
    ) -> str:
        return ""

    shown = parameters(copy)
    one = {"type": "string", "x-choices": "contacts"}
    assert shown["properties"]["source"] == {"type": "string", "format": "path", "x-choices": "paths"}
    assert shown["properties"]["to"] == shown["properties"]["more"] == {"type": "array", "items": one}
    assert shown["properties"]["why"] == {"type": "string", "description": "why", "default": ""}
    assert shown["properties"]["other"] == {"type": "string", "x-choices": "paths"}
    assert shown["required"] == ["source", "to", "more"]
    given = convert(copy, {"source": "a.txt", "to": ["x"], "other": "b"})
    assert given == {"source": Path("a.txt"), "to": ["x"], "other": "b"}


@pytest.mark.parametrize("hint", [Annotated[int, OneOf("x")], Annotated[Literal["a"], OneOf("x")]])
def test_a_named_set_is_for_texts(hint: Any) -> None:
    def odd(value: Any) -> str:
        return ""

    odd.__annotations__["value"] = hint
    with pytest.raises(Refused, match="OneOf"):
        parameters(odd)
