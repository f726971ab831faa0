"""A type hint -> the JSON Schema of its values. Runs inside the worker.

Anything it cannot describe is refused with line and fix, never dropped silently.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from . import docstrings
from .plugin_api import OneOf

SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}
KNOWN = (
    "str, int, float, bool, Path, date, datetime, Literal, Enum, list[...], tuple[...], set[...], dict[str, ...], dataclasses, "
    "TypedDict and Optional or | of these"
)
TIMES = {datetime.datetime: "date-time", datetime.date: "date", datetime.time: "time"}
LISTS: tuple[type, ...] = (list, tuple, set, frozenset)
_WRAPPERS = (typing.Required, typing.NotRequired)
_DEEP = 6
# A limit, and its word in a schema for numbers, for text and for lists.
LIMITS: Mapping[str, tuple[str, str, str]] = {
    "ge": ("minimum", "", ""),
    "gt": ("exclusiveMinimum", "", ""),
    "le": ("maximum", "", ""),
    "lt": ("exclusiveMaximum", "", ""),
    "multiple_of": ("multipleOf", "", ""),
    "min_length": ("", "minLength", "minItems"),
    "max_length": ("", "maxLength", "maxItems"),
    "pattern": ("", "pattern", ""),
}


class Refused(Exception):
    """A function that is no tool yet: `line` of its file and what to write there."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def of(function: Callable[..., Any] | type, line: int) -> dict[str, Any]:
    """The hints of a function, a dataclass or a TypedDict. Raises Refused."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise Refused(line, f"a type hint cannot be read: {error}") from error


def shape(hint: Any, name: str, line: int, depth: int = 0) -> tuple[dict[str, Any], bool]:
    """The schema of one hint, and whether None is among its values. Raises Refused."""
    if depth > _DEEP:
        raise Refused(line, f"parameter {name!r}: its type goes deeper than {_DEEP} levels or into itself; use a flatter one")
    origin, args = typing.get_origin(hint), typing.get_args(hint)

    def inner(one: Any) -> dict[str, Any]:
        return {} if one is Any else shape(one, name, line, depth + 1)[0]

    if origin is Annotated:
        return _noted(args, name, line, depth)
    if origin in _WRAPPERS:
        return shape(args[0], name, line, depth)
    if origin in (typing.Union, types.UnionType):
        return _union(args, name, line, depth)
    if hint in SIMPLE:
        return {"type": SIMPLE[hint]}, False
    if hint is Path or hint in TIMES:
        return {"type": "string", "format": TIMES.get(hint, "path")}, False
    if origin is Literal:
        return _choice(list(args), name, line), False
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice([member.value for member in hint], name, line), False
    if origin in LISTS or hint in LISTS:
        return _many(origin or hint, args, inner), False
    if hint is dict or origin is dict:
        if args and args[0] is not str:
            raise Refused(line, f"parameter {name!r}: the keys of a dict must be str")
        return {"type": "object", "additionalProperties": (inner(args[1]) if args else {}) or True}, False
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint):
        return fields(hint, name, line, depth), False
    raise Refused(line, f"parameter {name!r}: the type hint {_spell(hint)} is not supported; use {KNOWN}")


def _union(args: tuple[Any, ...], name: str, line: int, depth: int) -> tuple[dict[str, Any], bool]:
    rest = [arg for arg in args if arg is not type(None)]
    optional = len(rest) < len(args)
    if len(rest) == 1:
        return shape(rest[0], name, line, depth)[0], optional
    if set(rest) == {str, Path}:
        return shape(Path, name, line, depth)[0], optional
    return {"anyOf": [shape(one, name, line, depth + 1)[0] for one in rest]}, optional


def _many(kind: type, args: tuple[Any, ...], inner: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    if kind is tuple and args and args[-1] is not Ellipsis:
        each = [inner(one) for one in args]
        return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}
    made: dict[str, Any] = {"type": "array", "items": inner(args[0]) if args else {"type": "string"}}
    return made | ({"uniqueItems": True} if kind in (set, frozenset) else {})


def fields(kind: Any, name: str, line: int, depth: int) -> dict[str, Any]:
    """The closed object of a dataclass or a TypedDict."""
    notes = docstrings.read(kind.__doc__ or "")[1]
    found = of(kind, line)
    made = {field: shape(hint, f"{name}.{field}", line, depth + 1) for field, hint in found.items()}
    properties = {}
    for field, (one, _) in made.items():
        properties[field] = one | ({"description": notes[field]} if notes.get(field) else {})
    properties = {field: properties[field] for field in given(kind, found)}
    return {"type": "object", "properties": properties, "required": required(kind, found), "additionalProperties": False}


def given(kind: Any, found: Mapping[str, Any]) -> list[str]:
    """The fields that one of this kind is made with."""
    return list(found) if typing.is_typeddict(kind) else [field.name for field in dataclasses.fields(kind) if field.init]


def required(kind: Any, found: Mapping[str, Any]) -> list[str]:
    """Those of them that must be given."""
    if typing.is_typeddict(kind):
        # What the class itself keeps of this is wrong where its hints were texts.
        total = getattr(kind, "__total__", True)
        said = {field: typing.get_origin(hint) for field, hint in found.items()}
        return [field for field in found if said[field] is typing.Required or (total and said[field] is not typing.NotRequired)]
    missing = dataclasses.MISSING
    fields = [field for field in dataclasses.fields(kind) if field.init]
    return [field.name for field in fields if field.default is missing and field.default_factory is missing]


def limits(notes: tuple[Any, ...]) -> dict[str, Any]:
    """The limits among what stands behind a hint: ours, those of `annotated_types`, and others with these names."""
    found = {}
    for note in notes:
        if not isinstance(note, str | type):
            found |= {word: value for word in LIMITS if (value := getattr(note, word, None)) is not None}
    return found


def _noted(args: tuple[Any, ...], name: str, line: int, depth: int) -> tuple[dict[str, Any], bool]:
    """A hint with notes behind it: a text describes, `Limit` and its like bound, `OneOf` names a set that texts come from."""
    made, optional = shape(args[0], name, line, depth)
    for note in args[1:]:
        if isinstance(note, str):
            made["description"] = " ".join(note.split())
        if isinstance(note, OneOf):
            text = made["items"] if made.get("type") == "array" else made
            if text.get("type") != "string" or "enum" in text:
                raise Refused(line, f"parameter {name!r}: OneOf({note.name!r}) is for str, Path, or a list of these")
            text["x-choices"] = note.name
    kind = {"integer": 0, "number": 0, "string": 1, "array": 2}.get(made.get("type", ""), 3)
    for word, value in limits(args[1:]).items():
        keyword = (*LIMITS[word], "")[kind]
        fits = isinstance(value, str) if word == "pattern" else isinstance(value, int | float) and not isinstance(value, bool)
        if not keyword or not fits:
            raise Refused(line, f"parameter {name!r}: the limit {word}={value!r} does not fit {_spell(args[0])}")
        made[keyword] = value
    return made, optional


def _choice(values: list[Any], name: str, line: int) -> dict[str, Any]:
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= set(SIMPLE):
        raise Refused(line, f"parameter {name!r}: the choices must all be text or all be numbers")
    return {"type": SIMPLE[kinds.pop()], "enum": values}


def _spell(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint).removeprefix("typing.")
