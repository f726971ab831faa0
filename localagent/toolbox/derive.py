"""A typed function with a docstring -> what the model is told about it, and back: JSON -> its arguments.

Runs inside the worker. Anything it cannot describe is refused with line and fix, never
dropped silently.
"""

from __future__ import annotations

import enum
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from .plugin_api import MARK, Declared, OneOf

EFFECTS = ("compute", "read:fs", "read:mail", "write:fs", "run", "net", "send", "persist")
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}
_KNOWN = "str, int, float, bool, Path, Literal, Enum, list[...], dict and Optional of these"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?")
"""A host that a tool may declare, with or without a port."""


class Refused(Exception):
    """A function that is no tool yet: `line` of its file and what to write there."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """The plain description of one marked function. Raises Refused."""
    declared: Declared = getattr(function, MARK)
    line = function.__code__.co_firstlineno
    summary, notes = read_docstring(function.__doc__ or "")
    if not summary:
        raise Refused(line, f"{declared.name} has no docstring; say in one sentence what it does")
    if not _NAME.match(declared.name):
        raise Refused(line, f"{declared.name!r} is no tool name; use lower-case letters, digits and _")
    unknown = [effect for effect in declared.effects or () if effect not in EFFECTS]
    if unknown:
        raise Refused(
            line, f"{declared.name} declares the unknown effect {unknown[0]!r}; known are {', '.join(EFFECTS)}"
        )
    if declared.hosts and "net" not in (declared.effects or ()):
        raise Refused(line, f"{declared.name} names hosts but does not declare the effect 'net'")
    if wrong := [host for host in declared.hosts if not HOST.fullmatch(host)]:
        raise Refused(line, f"{declared.name} names the host {wrong[0]!r}; write a name such as 'api.example.org', or 'name:port'")
    effects = list(declared.effects if declared.effects != () else ("compute",)) if declared.effects is not None else []
    return {
        "name": declared.name,
        "description": summary,
        "parameters": parameters(function, notes),
        "effects": list(effects),
        "timeout": declared.timeout,
        "hosts": list(declared.hosts),
    }


def parameters(function: Callable[..., Any], notes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The closed JSON Schema object of a function's parameters. Raises Refused."""
    line = function.__code__.co_firstlineno
    hints = _hints(function)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise Refused(line, f"parameter {name!r}: *args, **kwargs and positional-only ones cannot be described")
        if name not in hints:
            raise Refused(line, f"parameter {name!r} has no type hint; use {_KNOWN}")
        shape, optional = _shape(hints[name], name, line)
        if notes and notes.get(name):
            shape["description"] = notes[name]
        if parameter.default is parameter.empty and not optional:
            required.append(name)
        elif (default := _plain_default(parameter.default)) is not None:
            shape["default"] = default
        properties[name] = shape
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise Refused(function.__code__.co_firstlineno, f"a type hint cannot be read: {error}") from error


def _shape(hint: Any, name: str, line: int) -> tuple[dict[str, Any], bool]:
    """The schema of one hint, and whether None is among its values."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _named(args, name, line)
    if origin in (typing.Union, types.UnionType):
        rest = [arg for arg in args if arg is not type(None)]
        if len(rest) == 1:
            return _shape(rest[0], name, line)[0], len(rest) < len(args)
        if set(rest) == {str, Path}:
            return _shape(Path, name, line)[0], len(rest) < len(args)
        raise Refused(line, f"parameter {name!r}: {_spell(hint)} is a choice of types; use one of {_KNOWN}")
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}, False
    if hint is Path:
        return {"type": "string", "format": "path"}, False
    if origin is Literal:
        return _choice(list(args), name, line), False
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice([member.value for member in hint], name, line), False
    if hint is list or origin is list:
        items = _shape(args[0], name, line)[0] if args else {"type": "string"}
        return {"type": "array", "items": items}, False
    if hint is dict or origin is dict:
        if args and args[0] is not str:
            raise Refused(line, f"parameter {name!r}: the keys of a dict must be str")
        values = {} if not args or args[1] is Any else _shape(args[1], name, line)[0]
        return {"type": "object", "additionalProperties": values or True}, False
    raise Refused(line, f"parameter {name!r}: the type hint {_spell(hint)} is not supported; use {_KNOWN}")


def _named(args: tuple[Any, ...], name: str, line: int) -> tuple[dict[str, Any], bool]:
    """A hint with notes behind it: `OneOf` names the set that a text, or each text of a list, comes from."""
    shape, optional = _shape(args[0], name, line)
    for note in args[1:]:
        if isinstance(note, OneOf):
            text = shape["items"] if shape["type"] == "array" else shape
            if text["type"] != "string" or "enum" in text:
                raise Refused(line, f"parameter {name!r}: OneOf({note.name!r}) is for str, Path, or a list of these")
            text["x-choices"] = note.name
    return shape, optional


def _choice(values: list[Any], name: str, line: int) -> dict[str, Any]:
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= set(_SIMPLE):
        raise Refused(line, f"parameter {name!r}: the choices must all be text or all be numbers")
    return {"type": _SIMPLE[kinds.pop()], "enum": values}


def _spell(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint).removeprefix("typing.")


def _plain_default(value: Any) -> Any:
    """The default as the model is told it; None where there is nothing worth saying."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str | int | float | bool) or (isinstance(value, list | dict) and value):
        return value
    return None


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph on one line, and the lines of Google's `Args:` by parameter."""
    lines = inspect.cleandoc(text).splitlines()
    summary: list[str] = []
    for line in lines:
        if not line.strip() or line.strip() == "Args:":
            break
        summary.append(line.strip())
    notes: dict[str, str] = {}
    inside, depth, name = False, 0, ""
    for line in lines:
        if line.strip() == "Args:":
            inside, depth, name = True, 0, ""
            continue
        if not inside or not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            inside = False
            continue
        depth = depth or indent
        entry = re.match(r"\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)", line)
        if entry and indent <= depth:
            name = entry[1]
            notes[name] = entry[2].strip()
        elif name:
            notes[name] = f"{notes[name]} {line.strip()}".strip()
    return " ".join(summary), notes


def convert(function: Callable[..., Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """JSON arguments as the function's own types: `Path`, Enum members, lists of these. Raises ValueError.

    `str | Path` takes a path as it was written, with its trailing slash.
    """
    hints = _hints(function)
    return {name: _value(hints.get(name), value) for name, value in args.items()}


def _value(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin is Annotated:
        return _value(args[0], value)
    if origin in (typing.Union, types.UnionType):
        rest = [arg for arg in args if arg is not type(None)]
        return os.path.expanduser(value) if set(rest) == {str, Path} else _value(rest[0], value)
    if hint is Path:
        return Path(os.path.expanduser(value))
    if hint is float and isinstance(value, int):
        return float(value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if origin is list and args:
        return [_value(args[0], item) for item in value]
    if origin is dict and args:
        return {key: _value(args[1], item) for key, item in value.items()}
    return value
