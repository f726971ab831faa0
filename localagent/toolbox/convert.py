"""JSON arguments as the function's own types. Runs inside the worker.

What does not fit a hint or its limits is a ToolError that tells the model what to give instead.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from ..errors import ToolError
from . import hints

_PLAIN: Mapping[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,), Path: (str,)}
_WORDS = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path",
    datetime.datetime: "a time such as 2026-05-31T14:30:00", datetime.date: "a date such as 2026-05-31",
    datetime.time: "a time of day such as 14:30",
}  # fmt: skip


class Unfit(ToolError, ValueError):
    """A value that is none of the parameter's."""


def arguments(function: Callable[..., Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Each argument as what its hint says. Raises Unfit.

    `str | Path` takes a path as it was written, with its trailing slash.
    """
    found = hints.of(function, function.__code__.co_firstlineno)
    return {name: value(found[name], given, name) if name in found else given for name, given in args.items()}


def value(hint: Any, given: Any, name: str) -> Any:
    """One value. None stays what it is: only what may be None is ever given it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if given is None or hint is Any:
        return given
    if origin is Annotated:
        return _bounded(value(args[0], given, name), hints.limits(args[1:]), name)
    if origin in (typing.Required, typing.NotRequired):
        return value(args[0], given, name)
    if origin in (typing.Union, types.UnionType):
        return _union(args, given, name)
    if hint in hints.TIMES:
        return _time(hint, given, name)
    if hint in _PLAIN:
        if not isinstance(given, _PLAIN[hint]) or (isinstance(given, bool) and hint is not bool):
            raise Unfit(f"{name!r} must be {_WORDS[hint]}, not {given!r:.80}.")
        return Path(os.path.expanduser(given)) if hint is Path else float(given) if hint is float else given
    if origin is Literal or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
        return _choice(hint, args, given, name)
    if origin in hints.LISTS or hint in hints.LISTS:
        return _many(origin or hint, args, given, name)
    if origin is dict and args:
        return {key: value(args[1], item, f"{name}.{key}") for key, item in _mapping(given, name).items()}
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint):
        return _fields(hint, given, name)
    return given


def _choice(hint: Any, args: tuple[Any, ...], given: Any, name: str) -> Any:
    known = {one.value: one for one in hint} if not args else {one: one for one in args}
    try:
        return known[given]
    except (KeyError, TypeError):
        raise Unfit(f"{name!r} must be one of {', '.join(map(str, known))}, not {given!r:.80}.") from None


def _union(args: tuple[Any, ...], given: Any, name: str) -> Any:
    rest = [arg for arg in args if arg is not type(None)]
    if set(rest) == {str, Path}:
        return os.path.expanduser(value(str, given, name))
    if len(rest) == 1:
        return value(rest[0], given, name)
    # A text is almost anything; what says more about it goes first.
    for one in sorted(rest, key=lambda one: one is str):
        try:
            return value(one, given, name)
        except Unfit:
            continue
    raise Unfit(f"{name!r} is none of what it may be: {given!r:.80}.")


def _time(hint: Any, given: Any, name: str) -> Any:
    try:
        if hint is datetime.date:
            # A whole time names its day too.
            return datetime.datetime.fromisoformat(given.strip()).date()
        return hint.fromisoformat(given.strip())
    except (ValueError, TypeError, AttributeError):
        raise Unfit(f"{name!r} must be {_WORDS[hint]}, not {given!r:.80}.") from None


def _many(kind: type, args: tuple[Any, ...], given: Any, name: str) -> Any:
    if not isinstance(given, list | tuple):
        raise Unfit(f"{name!r} must be a list, not {given!r:.80}.")
    if kind is tuple and args and args[-1] is not Ellipsis:
        if len(given) != len(args):
            raise Unfit(f"{name!r} must be a list of exactly {len(args)} values, not {len(given)}.")
        return tuple(value(one, item, f"{name}[{at}]") for at, (one, item) in enumerate(zip(args, given, strict=True)))
    each = args[0] if args else Any
    return kind(value(each, item, f"{name}[{at}]") for at, item in enumerate(given))


def _mapping(given: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Unfit(f"{name!r} must be an object with named values, not {given!r:.80}.")
    return given


def _fields(kind: Any, given: Any, name: str) -> Any:
    found, given = hints.of(kind, 1), _mapping(given, name)
    known = hints.given(kind, found)
    if missing := [field for field in hints.required(kind, found) if field not in given]:
        raise Unfit(f"{name!r} lacks {missing[0]!r}. Its values are named {', '.join(known)}.")
    if foreign := [field for field in given if field not in known]:
        raise Unfit(f"{name!r} has no {foreign[0]!r}. Its values are named {', '.join(known)}.")
    made = {field: value(found[field], item, f"{name}.{field}") for field, item in given.items()}
    if typing.is_typeddict(kind):
        return made
    try:
        return kind(**made)
    except ValueError as error:
        raise Unfit(f"{name!r} cannot be that: {error}") from error


def _bounded(made: Any, limits: Mapping[str, Any], name: str) -> Any:
    for word, limit in limits.items():
        if word == "pattern":
            if not re.search(limit, made):
                raise Unfit(f"{name!r} must match the pattern {limit!r}; {made!r:.80} does not.")
        elif word in ("min_length", "max_length"):
            size = len(made)
            if (size < limit) if word == "min_length" else (size > limit):
                raise Unfit(f"{name!r} must have at {'least' if word == 'min_length' else 'most'} {limit}, not {size}.")
        elif not _TESTS[word](made, limit):
            raise Unfit(f"{name!r} must be {_BOUNDS[word]} {limit}, not {made}.")
    return made


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": lambda one, limit: one >= limit,
    "gt": lambda one, limit: one > limit,
    "le": lambda one, limit: one <= limit,
    "lt": lambda one, limit: one < limit,
    "multiple_of": lambda one, limit: one % limit == 0,
}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "multiple_of": "a multiple of"}
