"""What a text breaks of `pattern`, `format` and its lengths."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import gbnf_pattern
from .gbnf_regular import ANY, Dfa

_STEPS = 200_000
"""Of Python's matcher, at most about so many for one text."""
_ZONED = re.compile(r"[Zz]|[+-]\d{2}:?\d{2}")
_MAX_PATTERN = 2000
_PARTS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:<?[=!]|[:>]|P?<\w+>))?|(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})\??|.",
    re.DOTALL,
)
_LOOKS = ("(?=", "(?!", "(?<=", "(?<!")


def problems(schema: Mapping[str, Any], text: str) -> Iterator[str]:
    """What is wrong with it, as the rest of a sentence."""
    low, high = schema.get("minLength"), schema.get("maxLength")
    if _is_number(low) and len(text) < low:
        yield f"must have at least {low} characters"
    if _is_number(high) and len(text) > high:
        yield f"must have at most {high} characters"
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not found(pattern, text):
        yield f"must match {pattern[:200]}"
    named = schema.get("format")
    check = _FORMATS.get(named) if isinstance(named, str) else None
    if check is not None and not _holds(check, text):
        yield f"must be of the format {named}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# ---------------------------------------------------------------- patterns


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text; True where that cannot be told in bounded time."""
    loops = _loops(pattern)
    if loops is not None and (len(text) + 2) ** loops <= _STEPS:
        compiled = _compiled(pattern)
        return compiled is None or compiled.search(text) is not None
    language = gbnf_pattern.strings((pattern,), 0, None, ANY.ranges)
    return language is None or _accepts(language, text)


@functools.lru_cache(256)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


@dataclass(slots=True)
class _Group:
    """`loops` of its own, whether it tries anything out at all, and whether it only looks around."""

    loops: int = 0
    tries: bool = False
    looks: bool = False


@functools.lru_cache(256)
def _loops(pattern: str) -> int | None:
    """How many quantifiers a search may try out against each other, its start one of them.

    None where one lies around another, or around branches: then there is no telling.
    """
    if len(pattern) > _MAX_PATTERN:
        return None
    anchored = pattern.startswith("^") and "|" not in pattern
    open_, worst, last = [_Group(0 if anchored else 1)], 0, _Group()
    for part in _PARTS.finditer(pattern):
        text = part.group()
        if text[0] in "*+?" or (text[0] == "{" and len(text) > 1):
            if last.tries:
                return None
            open_[-1].loops, open_[-1].tries = open_[-1].loops + 1, True
        elif text[0] == "(":
            open_.append(_Group(looks=text in _LOOKS))
        elif text == "|":
            open_[-1].tries = True
        last = _Group()
        if text == ")" and len(open_) > 1:
            last = open_.pop()
            worst = max(worst, last.loops + sum(group.loops for group in open_))
            # Nothing goes back into what has looked around.
            open_[-1].loops += 0 if last.looks else last.loops
            open_[-1].tries |= last.tries
    return max(worst, open_[0].loops)


def _accepts(language: Dfa, text: str) -> bool:
    state: int | None = 0
    for char in text:
        code, row = ord(char), language.moves[state]
        state = next(
            (to for atom, to in row.items() if language.atoms[atom][0] <= code <= language.atoms[atom][1]), None
        )
        if state is None:
            return False
    return state in language.ends


# ---------------------------------------------------------------- formats


def _holds(check: Callable[[str], object], text: str) -> bool:
    try:
        return check(text) is not False
    except ValueError:
        return False


def _date(text: str) -> bool:
    return len(text) == 10 and bool(datetime.date.fromisoformat(text))


def _time(text: str) -> object:
    zone = _ZONED.search(text)
    return text[2:3] == ":" and datetime.time.fromisoformat(text[: zone.start()] if zone else text) is not None


def _date_time(text: str) -> object:
    return len(text) > 15 and text[10] in "Tt " and _date(text[:10]) and _time(text[11:])


def _email(text: str) -> bool:
    name, _, host = text.rpartition("@")
    return bool(name and host) and not any(char.isspace() for char in text)


def _uri(text: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z", text) is not None


_FORMATS: Mapping[str, Callable[[str], object]] = {
    "date": _date,
    "time": _time,
    "date-time": _date_time,
    "email": _email,
    "uuid": lambda text: len(text) == 36 and uuid.UUID(text) is not None,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uri": _uri,
}
