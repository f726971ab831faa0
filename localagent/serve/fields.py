"""Reading one field of a request, with an error that names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .refusals import Refused

MAX_DEPTH = 200
"""Of arrays and objects in each other: deeper ones can be read that cannot be written again."""


def text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Refused(f"{where} must be a string.", param=where)
    return value


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(f"{where} must be an object.", param=where)
    return value


def items(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"{where} must be an array.", param=where)
    return value


def flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    """A boolean; absent and null mean the default."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refused(f"{name} must be true or false.", param=name)
    return value


def number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    # Compared before anything else: a whole number may be too large for a float, and NaN is in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(f"{name} must be a number from {low:g} to {high:g}.", param=name)
    return float(value)


def integer(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """A whole number; one written as 3.0 is meant as 3."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refused(f"{name} must be a whole number from {low} to {high}.", param=name)
    return value


def is_deep(value: Any) -> bool:
    """Whether arrays and objects lie deeper in each other than `MAX_DEPTH`. Takes no stack of its own."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, list | dict)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, list | dict)
        ]
        if not level:
            return False
    return True
