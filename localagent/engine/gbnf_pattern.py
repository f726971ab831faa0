"""Regular expressions of JSON Schema (`pattern`, `format`) as regular languages.

What is understood: characters, sets, `.`, `\\d \\w \\s` and their opposites, groups, `|`, every
quantifier, and `^`, `$` at the ends of a whole alternative. Anything else (look-around, references
back, word boundaries, flags, properties of characters) is `Unreadable`: the later check decides.
Where the dialects of regular expressions differ, only what all of them accept is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from . import gbnf_regular as regular
from .gbnf_regular import ANY, Chars, Dfa, Either, Node, Ranges, Repeat, Sequence_, inverse, normal
from .gbnf_shape import is_count

_MAX_PATTERN = 2000
_MAX_REPEAT = 1000
_MAX_NESTING = 40
MAX_NAME, MAX_LEAST_NAME = 200, 8
"""Lengths of the names of properties that are held."""


class Unreadable(Exception):
    """The pattern has something that no automaton of ours can say."""


def _points(chars: str) -> list[tuple[int, int]]:
    return [(ord(char), ord(char)) for char in chars]


_DIGIT = normal([(0x30, 0x39)])
_WORD = normal([*_DIGIT, (0x41, 0x5A), (0x61, 0x7A), (0x5F, 0x5F)])
_SPACE = normal([*_points(" \t\n\r\f\v")])
_ANY_SPACE = normal([*_SPACE, (0x1C, 0x1F), (0x85, 0x85), *_points("\xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"),
                     (0x2000, 0x200A)])  # fmt: skip
_SETS: dict[str, Ranges] = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    # No decimal digit of any script lies in these.
    "D": normal([(1, 0x2F), (0x3A, 0x65F), (0x3000, 0xA61F), (0x1F300, 0x1FAFF)]),
    # Letters beyond ASCII are word characters to some and not to others.
    "W": tuple(pair for pair in normal([(1, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7F)])),
    "S": inverse(_ANY_SPACE),
}
_DOT = inverse(normal(_points("\n\r\u2028\u2029\x85")))
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_LITERAL = frozenset("^$\\.*+?()[]{}|/-\"'#&~@%!,;:=<>` _")

_DAY = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
_LEAP = r"([12]\d(0[48]|[2468][048]|[13579][26])|(16|20|24)00)"
_DATE = rf"([12]\d{{3}}-{_DAY}|{_LEAP}-02-29)"
_ZONE = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?"
_HOUR = r"([01]\d|2[0-3]):[0-5]\d"
_SECOND = r":[0-5]\d(\.\d{1,6})?"
_BYTE = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
FORMATS = {
    "date": rf"^{_DATE}$",
    "time": rf"^{_HOUR}({_SECOND})?{_ZONE}$",
    "date-time": rf"^{_DATE}T{_HOUR}{_SECOND}{_ZONE}$",
    "uuid": r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    "email": r"^[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}$",
    "ipv4": rf"^{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}$",
    # Of our own tool `plan`: a name costs every prompt less than the expression.
    "check": r"^(exists|absent) [^ ].*$|^contains [^ ]+ [^ ].*$|^count [^ ]+ (>=|<=)?[0-9]{1,5}$"
    r"|^exit_code [0-9]{1,3} [^ ].*$|^receipt (changed|sent|ran) [^ ].*$",
    "rule": r"^(write|run|net|send|read|persist)\([^ ].*\)$",
}


def asked(leaf: Mapping[str, Any]) -> tuple[str, ...]:
    """The patterns that the `pattern` and the `format` of a plain schema (see `gbnf_shape`) ask for."""
    found = [one for one in leaf.get("pattern", ()) if isinstance(one, str)]
    return (*found, *(FORMATS[one] for one in leaf.get("format", ()) if isinstance(one, str) and one in FORMATS))


@functools.lru_cache(512)
def strings(patterns: tuple[str, ...], low: int, high: int | None, chars: Ranges) -> Dfa | None:
    """Texts of `chars` that every pattern is found in, `low` to `high` characters long.

    None where there is no such automaton: unreadable, too large, or no text at all.
    """
    try:
        found = regular.length(0, None, Chars(chars))
        for pattern in patterns:
            found = regular.both(found, regular.compile(parse(pattern)))
        found = regular.both(found, regular.length(low, high)) if low or high is not None else found
    except (Unreadable, regular.TooLarge):
        return None
    return None if found.empty else found


# ---------------------------------------------------------------- names of properties


def kinds_of_names(
    leaf: Mapping[str, Any], known: tuple[str, ...], *, closed: bool
) -> list[tuple[tuple[str, ...], tuple[str, ...], Any]]:
    """Names by the schema of their values: patterns that fit, patterns that do not, and that schema.

    [] where any name goes with any value, or where a pattern cannot be read: then nobody can say.
    `closed` objects have only the names that they list, unless they say otherwise.
    """
    given, extra = leaf.get("patternProperties"), leaf.get("additionalProperties")
    patterns = (
        {key: value for key, value in given.items() if isinstance(key, str)} if isinstance(given, Mapping) else {}
    )
    if not all(map(readable, patterns)) or (not (patterns or known) and not extra_names(leaf)):
        return []
    found = [
        ((pattern,), tuple(one for one in patterns if one != pattern), value)
        for pattern, value in patterns.items()
        if value is not False
    ]
    if extra is True or isinstance(extra, Mapping) or (extra is None and not closed and not patterns):
        found.append(((), tuple(patterns), {} if extra is None else extra))
    return found


def extra_names(leaf: Mapping[str, Any]) -> bool:
    """Whether `propertyNames` asks for something of names."""
    return allowed_names(leaf) != ((), None, 0, None)


def allowed_names(leaf: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...] | None, int, int | None]:
    """What `propertyNames` asks for: patterns, one of some names, fewest and most characters."""
    shape = leaf.get("propertyNames")
    if not isinstance(shape, Mapping) or not _plain_names(shape):
        return (), None, 0, None
    listed = [shape["const"]] if "const" in shape else shape.get("enum")
    choices = tuple(one for one in listed if isinstance(one, str)) if isinstance(listed, list) and listed else None
    plain = {key: [shape[key]] for key in ("pattern", "format") if isinstance(shape.get(key), str)}
    patterns = tuple(one for one in asked(plain) if readable(one))
    high = is_count(shape.get("maxLength"))
    return (
        patterns,
        choices,
        min(is_count(shape.get("minLength")) or 0, MAX_LEAST_NAME),
        high if (high or 999) <= MAX_NAME else None,
    )


def _plain_names(shape: Mapping[str, Any]) -> bool:
    return not {"$ref", "allOf", "anyOf", "oneOf", "not"} & shape.keys()


@functools.lru_cache(512)
def readable(pattern: str) -> bool:
    try:
        parse(pattern)
    except Unreadable:
        return False
    return True


@functools.lru_cache(128)
def keys(
    wanted: tuple[str, ...],
    foreign: tuple[str, ...],
    known: tuple[str, ...],
    allowed: tuple[tuple[str, ...], tuple[str, ...] | None, int, int | None],
    longest: int | None,
    chars: Ranges,
) -> Dfa | None:
    """Names in which all of `wanted` are found and none of `foreign`, and that are none of `known`."""
    patterns, choices, low, high = allowed
    most = min((one for one in (longest, high) if one is not None), default=None)
    try:
        found = regular.length(low, most, Chars(chars))
        for pattern in (*wanted, *patterns):
            found = regular.both(found, regular.compile(parse(pattern)))
        for pattern in foreign:
            found = regular.both(found, regular.without(parse(pattern)))
        if known:
            found = regular.both(found, regular.without(Either(tuple(regular.text(name) for name in known))))
        if choices is not None:
            found = regular.both(found, regular.compile(Either(tuple(regular.text(name) for name in choices))))
    except (Unreadable, regular.TooLarge):
        return None
    return None if found.empty else found


def parse(pattern: str) -> Node:
    """The texts in which `pattern` is found. Raises Unreadable."""
    if len(pattern) > _MAX_PATTERN:
        raise Unreadable
    return _Reader(pattern).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def whole(self) -> Node:
        options = []
        while True:
            fixed_start = self.take("^")
            body = self.sequence()
            fixed_end = self.take("$")
            before, behind = Repeat(ANY, 0, 0 if fixed_start else None), Repeat(ANY, 0, 0 if fixed_end else None)
            options.append(Sequence_((before, body, behind)))
            if not self.take("|"):
                break
        if self.at < len(self.text):
            raise Unreadable
        return Either(tuple(options))

    def take(self, text: str) -> bool:
        found = self.text.startswith(text, self.at)
        self.at += len(text) * found
        return found

    def next(self) -> str:
        if self.at >= len(self.text):
            raise Unreadable
        self.at += 1
        return self.text[self.at - 1]

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)$":
            parts.append(self.repeated(self.atom()))
        return Sequence_(tuple(parts))

    def atom(self) -> Node:
        char = self.next()
        if char == "(":
            return self.group()
        if char == "[":
            return Chars(self.bracket())
        if char == ".":
            return Chars(_DOT)
        if char == "\\":
            return Chars(self.escape())
        if char in "*+?{^":
            raise Unreadable
        return Chars(normal(_points(char)))

    def group(self) -> Node:
        if self.take("?"):
            if self.take("P<") or (
                self.text[self.at : self.at + 1] == "<" and self.text[self.at + 1 : self.at + 2] not in "=!"
            ):
                end = self.text.find(">", self.at)
                if end < 0:
                    raise Unreadable
                self.at = end + 1
            elif not self.take(":"):
                raise Unreadable
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise Unreadable
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        if not self.take(")"):
            raise Unreadable
        self.depth -= 1
        return options[0] if len(options) == 1 else Either(tuple(options))

    def repeated(self, part: Node) -> Node:
        while self.at < len(self.text):
            bounds = self.quantifier()
            if bounds is None:
                break
            part = Repeat(part, *bounds)
            if self.take("+"):
                raise Unreadable
            self.take("?")
        return part

    def quantifier(self) -> tuple[int, int | None] | None:
        char = self.text[self.at]
        if char in "*+?":
            self.at += 1
            return int(char == "+"), 1 if char == "?" else None
        end = self.text.find("}", self.at)
        if char != "{" or end < 0:
            return None
        low, comma, high = self.text[self.at + 1 : end].partition(",")
        if not (low.isdecimal() and low.isascii() and (not high or (high.isdecimal() and high.isascii()))):
            raise Unreadable
        self.at = end + 1
        least, most = int(low), int(high) if high else None if comma else int(low)
        if least > _MAX_REPEAT or (most is not None and not least <= most <= _MAX_REPEAT):
            raise Unreadable
        return least, most

    def escape(self) -> Ranges:
        char = self.next()
        if char in _SETS:
            return _SETS[char]
        if char in _CONTROL:
            return normal(_points(_CONTROL[char]))
        if char in "xu":
            size = 2 if char == "x" else 4
            digits = self.text[self.at : self.at + size]
            if len(digits) < size or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
                raise Unreadable
            self.at += size
            return normal([(int(digits, 16), int(digits, 16))])
        if char not in _LITERAL:
            raise Unreadable
        return normal(_points(char))

    def bracket(self) -> Ranges:
        negative = self.take("^")
        found: list[tuple[int, int]] = []
        first, ascii_only = True, False
        while first or not self.take("]"):
            shorthand = self.text[self.at : self.at + 2]
            low = _ANY_SPACE if negative and shorthand == "\\s" else self.member(first)
            self.at += 2 * (low is _ANY_SPACE)
            ascii_only = ascii_only or (negative and shorthand in ("\\d", "\\w"))
            first = False
            if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.member(False)
                if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] < low[0][0]:
                    raise Unreadable
                low = ((low[0][0], high[0][1]),)
            found += low
        if not negative:
            return normal(found)
        return inverse(normal([*found, (0x80, regular.TOP)] if ascii_only else found))

    def member(self, first: bool) -> Ranges:
        char = self.next()
        if char == "\\":
            if self.text[self.at : self.at + 1] in ("D", "W", "S"):
                raise Unreadable  # its opposite would be taken where the set is negative
            return self.escape()
        # Sets in sets, and operations on them, are read differently by different readers.
        if char == "[" or (char == "]" and first) or (char in "&|~-" and self.text[self.at : self.at + 1] == char):
            raise Unreadable
        return normal(_points(char))
