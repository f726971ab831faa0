"""How texts, choices and regular languages are spelt in GBNF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .gbnf_regular import TOP, Dfa, Ranges, inverse, normal

Add = Callable[[str, str], str]
"""Adds a rule of about that name and gives the name that it has."""

QUOTED = normal([(0x08, 0x0A), (0x0C, 0x0D), (0x20, 0x7E), (0x80, TOP)])
"""What may stand in a JSON string of ours: control characters with a short escape, and all others."""
LINE = normal([(0x09, 0x09), (0x20, 0x7E), (0x80, TOP)])
RAW = normal([*LINE, (0x0A, 0x0A), (0x0D, 0x0D)])
CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
"""What may not stand in raw text, for use in a set."""
_ESCAPED = {0x22: '"', 0x5C: "\\\\", 0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r"}
_PLAIN_IN_JSON = normal([(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, TOP)])
_FEW = 8
_MAX_FORKS = 150

PRIMITIVES = {
    "char": (
        r'[^"\\\x00-\x1f\x7f] | "\\" (["\\/bfnrt]'
        r' | "u" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))'
    ),
    "string": r'"\"" char* "\""',
    "boolean": '"true" | "false"',
    "null": '"null"',
    # Of whole numbers no digit is lost, so the longest ids go through: those of 64 bits have 20 digits.
    "natural": '"0" | [1-9] [0-9]{0,19}',
    "integer": '"-"? natural',
    "number": '"-"? natural ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
    "positive": 'natural ("." [0-9]{1,15})?',
    "value": "string | number | boolean | null | list | object",
    "list": '"[" (value (", " value)*)? "]"',
    "object": r'"{" (string ": " value (", " string ": " value)*)? "}"',
}
"""The rules that JSON itself stands on. No escape of theirs is half a surrogate pair."""
NEEDS = {
    "string": ("char",),
    "integer": ("natural",),
    "number": ("natural",),
    "positive": ("natural",),
    "value": ("string", "number", "boolean", "null", "list", "object"),
    "list": ("value",),
    "object": ("string", "value"),
}


def literal(text: str) -> str:
    """`text` as a GBNF literal."""
    parts = []
    for char in text:
        if char in '"\\':
            parts.append("\\" + char)
        elif char == "\n":
            parts.append("\\n")
        elif ord(char) < 32 or ord(char) == 127:
            parts.append(f"\\x{ord(char):02x}")
        else:
            parts.append(char)
    return '"' + "".join(parts) + '"'


def charset(ranges: Ranges) -> str:
    """A set of characters, written as what it leaves out where that is shorter."""
    if ranges[-1][1] == TOP and (rest := inverse(ranges)):
        return "[^" + "".join(map(_range, rest)) + "]"
    return "." if ranges[-1][1] == TOP and ranges[0][0] <= 1 else "[" + "".join(map(_range, ranges)) + "]"


def _range(pair: tuple[int, int]) -> str:
    low, high = pair
    return _char(low) if low == high else _char(low) + ("-" if high > low + 1 else "") + _char(high)


def _char(code: int) -> str:
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    if code < 0x80 and char in " !#$%&'()*+,./:;<=>?@_`{|}~\"":
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def branches(add: Add, name: str, items: Iterable[tuple[str, str]]) -> str:
    """The body of a rule for one of these texts, each with what follows it.

    Texts that begin alike share their beginning, so that not each of thousands is a stack of its own.
    """
    unique: dict[str, str] = {}
    for text, tail in items:
        unique.setdefault(text, tail)
    if len(unique) <= _FEW:
        return " | ".join(_joined(text, tail) for text, tail in unique.items())
    return _forked(add, name, list(unique.items()), 0)


def _joined(text: str, tail: str) -> str:
    return f"{literal(text)} {tail}" if tail and text else tail or literal(text)


def _forked(add: Add, name: str, items: Sequence[tuple[str, str]], depth: int) -> str:
    groups: dict[str, list[tuple[str, str]]] = {}
    for text, tail in items:
        groups.setdefault(text[:1], []).append((text, tail))
    parts = []
    for first, group in groups.items():
        if len(group) == 1 or not first or depth >= _MAX_FORKS:
            parts += [_joined(text, tail) for text, tail in group]
            continue
        shared = _shared(min(group)[0], max(group)[0])
        rest = [(text[len(shared) :], tail) for text, tail in group]
        parts.append(f"{literal(shared)} {add(name, _forked(add, name, rest, depth + 1))}")
    return " | ".join(parts)


def _shared(least: str, most: str) -> str:
    """The beginning that the least and the most of some texts share, and so all between them."""
    for at, char in enumerate(least):
        if most[at : at + 1] != char:
            return least[:at]
    return least


def language(add: Add, name: str, dfa: Dfa, *, quoted: bool, end: str) -> str:
    """A rule for the texts of `dfa` and `end` behind them. `quoted` texts are written as JSON strings are."""
    outs = [dfa.out(state) for state in range(len(dfa.moves))]
    entries = [0] * len(outs)
    for out in outs:
        for target in out:
            entries[target] += 1
    names = [f"{name}-s{state}" for state in range(len(outs))]

    def piece(ranges: Ranges) -> str:
        return _in_json(ranges) if quoted else charset(ranges)

    def tail(state: int) -> tuple[str, int | None]:
        """What follows once `state` is reached, and the rule it ends in: written in place while there is one way only."""
        parts = []
        while outs[state] and entries[state] == 1 and len(outs[state]) == 1 and state not in dfa.ends:
            ((following, ranges),) = outs[state].items()
            parts.append(piece(ranges))
            state = following
        if outs[state]:
            return " ".join([*parts, names[state]]), state
        return " ".join([*parts, literal(end)] if end else parts), None

    reached, todo = {0}, [0]
    while todo:
        state = todo.pop()
        parts = []
        for target, ranges in outs[state].items():
            text, follow = tail(target)
            parts.append(f"{piece(ranges)} {text}".strip())
            if follow is not None and follow not in reached:
                reached.add(follow)
                todo.append(follow)
        if state in dfa.ends:
            parts.append(literal(end))
        add(names[state], " | ".join(parts))
    return names[0]


def moves(dfa: Dfa, *, quoted: bool) -> tuple[tuple[tuple[str, int], ...], ...]:
    """From each state the characters in GBNF, and the state that they lead to."""
    spelt = _in_json if quoted else charset
    return tuple(
        tuple((spelt(ranges), target) for target, ranges in dfa.out(state).items()) for state in range(len(dfa.moves))
    )


def _in_json(ranges: Ranges) -> str:
    plain = normal(
        (max(low, first), min(high, last)) for low, high in ranges for first, last in _PLAIN_IN_JSON
        if max(low, first) <= min(high, last)
    )  # fmt: skip
    escapes = "".join(mark for code, mark in _ESCAPED.items() if any(low <= code <= high for low, high in ranges))
    parts = [charset(plain)] if plain else []
    if escapes:
        parts.append(f'"\\\\" [{escapes}]')
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"
