"""Ranges of numbers as regular languages: every text of digits is a number in the range."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from . import gbnf_regular as regular
from .gbnf_regular import NEVER, NOTHING, Chars, Dfa, Either, Node, Repeat, Sequence_, text
from .gbnf_shape import is_number

_MAX_BOUND = 24
_MAX_DIGITS = 15
"""In front of the point and behind it, so that no reader rounds a number out of its range."""
_LONGEST = 19
_MAX_PLACES = 6
_MAX_UNITS = 500
_ATOMS = ((0x2D, 0x2D), (0x2E, 0x2E), *((code, code) for code in range(0x30, 0x3A)))


def in_bounds(schema: Mapping[str, Any], *, whole: bool) -> Dfa | None:
    """The numbers that `minimum`, `maximum`, their exclusive forms and `multipleOf` leave.

    None where they say nothing that can be used, or leave no number at all. `multipleOf` is left
    out where that makes the automaton small enough.
    """
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", ROUND_CEILING)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", ROUND_FLOOR)
    if whole and low is not None:
        low, low_open = Decimal(math.floor(low) + 1 if low_open else math.ceil(low)), False
    if whole and high is not None:
        high, high_open = Decimal(math.ceil(high) - 1 if high_open else math.floor(high)), False
    step = multiple(schema.get("multipleOf"))
    try:
        if low is None and high is None:
            return None if step is None else _multiples(*step, whole)
        found = _between(low, low_open, high, high_open, whole)
        if found is None:
            ends = () if whole or step else tuple(_ends(schema))
            return regular.compile(Either(tuple(map(text, ends)))) if ends else None
        both = None if step is None else regular.both(found, _multiples(*step, whole))
    except regular.TooLarge:
        return _between(low, low_open, high, high_open, whole)
    return found if both is None or both.empty else both


def left(schema: Mapping[str, Any], found: Dfa, *, whole: bool) -> set[str]:
    """The keywords among these that `found`, made of them, does not hold."""
    unread = {key for key, value in schema.items() if not is_number(value) or abs(value) >= 10**_MAX_BOUND}
    plain = {key: value for key, value in schema.items() if key != "multipleOf"}
    step = "multipleOf" in schema and (multiple(schema["multipleOf"]) is None or found is in_bounds(plain, whole=whole))
    return unread | ({"multipleOf"} if step else set())


def _ends(schema: Mapping[str, Any]) -> Iterator[str]:
    """The bounds themselves, where no shorter number lies between them."""
    low, high = schema.get("minimum"), schema.get("maximum")
    over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    for end in (low, high):
        if True in (over, under) or not is_number(end) or not math.isfinite(end):
            continue
        above = (not is_number(low) or low <= end) and (not is_number(over) or over < end)
        if above and (not is_number(high) or end <= high) and (not is_number(under) or end < under):
            yield repr(end)


def multiple(value: Any) -> tuple[int, int] | None:
    """`multipleOf` as a whole number of units, each the given number of digits behind the point; None for what is too large."""
    if not is_number(value) or not 0 < value < 1000:
        return None
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    size = int("".join(map(str, digits)))
    if not isinstance(exponent, int) or exponent < -_MAX_PLACES:
        return None
    units, places = (size * 10**exponent, 0) if exponent > 0 else (size, -exponent)
    return (units, places) if units * (places + 1) <= _MAX_UNITS else None


@functools.lru_cache(256)
def _multiples(units: int, places: int, whole: bool) -> Dfa:
    """Numbers that are so many units, each 10 ** -places, any number of times.

    A state is a place in the number and the remainder of the digits so far.
    """
    last = 0 if whole else places
    order: list[tuple[str, int, int]] = [("start", 0, 0)]
    index = {order[0]: 0}
    rows: list[dict[int, int]] = []
    ends: set[int] = set()
    for number, (place, rest, behind) in enumerate(order):
        row: dict[int, int] = {}
        for atom, char in enumerate("-.0123456789"):
            follow = _step(place, rest, behind, char, units, last)
            if follow is not None:
                if follow not in index:
                    index[follow] = len(order)
                    order.append(follow)
                row[atom] = index[follow]
        rows.append(row)
        if place in ("zero", "whole", "behind") and rest * 10 ** (places - behind) % units == 0:
            ends.add(number)
    found = regular.smallest(Dfa(_ATOMS, tuple(rows), frozenset(ends)))
    return regular.both(found, _modest()) if last else found


@functools.lru_cache(1)
def _modest() -> Dfa:
    """Numbers whose digits no reader loses: whole, or not above a billion."""
    sign, digits = Repeat(text("-"), 0, 1), Repeat(_DIGIT, 1, 9)
    return regular.compile(
        Sequence_(
            (
                sign,
                Either((Repeat(_DIGIT, 1, _LONGEST), Sequence_((digits, text("."), Repeat(_DIGIT, 1, _MAX_PLACES))))),
            )
        )
    )


def _step(place: str, rest: int, behind: int, char: str, units: int, last: int) -> tuple[str, int, int] | None:
    """Where one more character leads; None where it cannot stand there."""
    if char == "-":
        return ("sign", 0, 0) if place == "start" else None
    if char == ".":
        return ("point", rest, 0) if last and place in ("zero", "whole") else None
    rest = (rest * 10 + int(char)) % units
    if place in ("start", "sign"):
        return ("zero" if char == "0" else "whole", rest, 0)
    if place == "whole":
        return ("whole", rest, 0)
    return ("behind", rest, behind + 1) if place in ("point", "behind") and behind < last else None


def _bound(schema: Mapping[str, Any], name: str, open_name: str, inwards: str) -> tuple[Decimal | None, bool]:
    """The tighter bound, and whether it is itself left out (draft 4 marks that with `true`)."""
    closed, opened = _decimal(schema.get(name), inwards), _decimal(schema.get(open_name), inwards)
    if opened is None:
        return closed, schema.get(open_name) is True
    if closed is None or (opened >= closed if inwards == ROUND_CEILING else opened <= closed):
        return opened, True
    return closed, False


def _decimal(value: Any, inwards: str) -> Decimal | None:
    """A bound as it is written, cut to 15 digits behind the point; None for what is none, or has too many in front."""
    if not is_number(value):
        return None
    if isinstance(value, int) and abs(value) >= 10**_MAX_BOUND:
        return None
    exact = isinstance(value, float) and 2**53 <= abs(value) < 10**_MAX_BOUND
    found = Decimal(int(value)) if exact else Decimal(repr(value))
    if not found.is_finite() or found.adjusted() >= _MAX_BOUND:
        return None
    if found and found.as_tuple().exponent < -_MAX_DIGITS:  # type: ignore[operator]
        found = found.quantize(Decimal(1).scaleb(-_MAX_DIGITS), rounding=inwards, context=Context(prec=60))
    return found or Decimal(0)


@functools.lru_cache(1024)
def _between(low: Decimal | None, low_open: bool, high: Decimal | None, high_open: bool, whole: bool) -> Dfa | None:
    try:
        parts = [_all(whole)]
        if low is not None:
            parts.append(regular.compile(_from(low, low_open, whole)))
        if high is not None:
            parts.append(regular.compile(_to(high, high_open, whole)))
        found = functools.reduce(regular.both, parts)
    except regular.TooLarge:
        return None
    return None if found.empty else found


@functools.lru_cache(2)
def _all(whole: bool) -> Dfa:
    return regular.compile(Sequence_((Repeat(text("-"), 0, 1), _magnitude(whole))))


def _from(low: Decimal, opened: bool, whole: bool) -> Node:
    if low > 0 or (low == 0 and opened):
        return _at_least(low, opened, whole)
    return Either((_magnitude(whole), Sequence_((text("-"), _at_most(-low, opened, whole)))))


def _to(high: Decimal, opened: bool, whole: bool) -> Node:
    if high < 0 or (high == 0 and opened):
        return Sequence_((text("-"), _at_least(-high, opened, whole)))
    return Either((_at_most(high, opened, whole), Sequence_((text("-"), _magnitude(whole)))))


# ---------------------------------------------------------------- numbers without a sign


def _digits(low: str, high: str) -> Node:
    return Chars(((ord(low), ord(high)),)) if low <= high else NEVER


_DIGIT = _digits("0", "9")


def _any(count: int = _MAX_DIGITS) -> Node:
    return Repeat(_DIGIT, 0, max(count, 0))


def _magnitude(whole: bool) -> Node:
    """With a point never more than 15 digits: a reader keeps these apart from each other and from every bound."""
    large = Sequence_((_digits("1", "9"), _any(_MAX_BOUND)))
    if whole:
        return Either((text("0"), large))
    parts = [
        Sequence_(
            (_digits("1", "9"), Repeat(_DIGIT, before, before), text("."), Repeat(_DIGIT, 1, _MAX_DIGITS - 1 - before))
        )
        for before in range(_MAX_DIGITS - 1)
    ]
    return Either((_either(text("0"), tail=_tail(False)), large, *parts))


def _tail(whole: bool) -> Node:
    return NOTHING if whole else Repeat(Sequence_((text("."), Repeat(_DIGIT, 1, _MAX_DIGITS))), 0, 1)


def _either(*parts: Node, tail: Node = NOTHING) -> Node:
    return Sequence_((Either(parts), tail))


def _split(value: Decimal) -> tuple[str, str]:
    before, _, behind = f"{value:f}".partition(".")
    return before, behind.rstrip("0")


def _at_least(value: Decimal, opened: bool, whole: bool) -> Node:
    """Numbers not below `value`, which has no sign."""
    before, behind = _split(value)
    more = [_above(before), Sequence_((_digits("1", "9"), Repeat(_DIGIT, len(before), max(len(before), _LONGEST))))]
    if whole:
        return Either((*more, *(() if opened else (text(before),))))
    return Either((_either(*more, tail=_tail(False)), Sequence_((text(before), _fraction_from(behind, opened)))))


def _at_most(value: Decimal, opened: bool, whole: bool) -> Node:
    """Numbers not above `value`, which has no sign."""
    before, behind = _split(value)
    less = [_below(before)]
    if len(before) > 1:
        less += [text("0"), Sequence_((_digits("1", "9"), _any(len(before) - 2)))]
    if whole:
        return Either((*less, *(() if opened else (text(before),))))
    return Either((_either(*less, tail=_tail(False)), Sequence_((text(before), _fraction_to(behind, opened)))))


def _above(digits: str) -> Node:
    """As many digits, and more than these."""
    parts = [
        Sequence_((text(digits[:at]), _digits(chr(ord(digit) + 1), "9"), Repeat(_DIGIT, rest, rest)))
        for at, digit in enumerate(digits)
        if digit < "9" and (rest := len(digits) - at - 1) >= 0
    ]
    return Either(tuple(parts))


def _below(digits: str) -> Node:
    """As many digits, and less than these."""
    parts = [
        Sequence_(
            (
                text(digits[:at]),
                _digits("1" if at == 0 < rest else "0", chr(ord(digit) - 1)),
                Repeat(_DIGIT, rest, rest),
            )
        )
        for at, digit in enumerate(digits)
        if digit > "0" and (rest := len(digits) - at - 1) >= 0
    ]
    return Either(tuple(parts))


def _fraction_from(digits: str, opened: bool) -> Node:
    parts: list[Node] = [
        Sequence_((text("." + digits[:at]), _digits(chr(ord(digit) + 1), "9"), _any()))
        for at, digit in enumerate(digits)
        if digit < "9"
    ]
    same = text("." + digits)
    if opened:
        parts.append(Sequence_((same, Repeat(text("0"), 0, _MAX_DIGITS - 1), _digits("1", "9"), _any())))
    else:
        parts.append(Sequence_((same, _any())) if digits else _tail(False))
    return Either(tuple(parts))


def _fraction_to(digits: str, opened: bool) -> Node:
    parts: list[Node] = []
    for at, digit in enumerate(digits):
        parts.append(Sequence_((text("." + digits[:at]), _digits("0", chr(ord(digit) - 1)), _any())))
        parts.append(text("." + digits[:at]) if at else NOTHING)
    if not opened:
        zeros = Repeat(text("0"), 0 if digits else 1, _MAX_DIGITS)
        parts.append(Sequence_((text("." + digits), zeros)))
        parts.append(NOTHING if not digits else NEVER)
    return Either(tuple(parts))
