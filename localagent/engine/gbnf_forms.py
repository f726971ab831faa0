"""Grammars (GBNF) of the call forms that are neither plain JSON nor Qwen's parameter form."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..values import ToolSpec
from . import gbnf_regular as regular
from . import gbnf_text
from .gbnf import TOTAL, cached, token
from .gbnf_raw import usable
from .gbnf_rules import LEAST, Rules, Within
from .gbnf_shape import fields, objects
from .gbnf_text import literal

_ANY_NAME = rf'[^<>"{{\n{gbnf_text.CONTROL}]{{1,64}}'
_MAX_LOW = 24
_TAG = 5


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a call in tags is written: what stands before and behind the name, a key and a value."""

    before_name: str
    after_name: str
    before_key: str
    after_key: str
    value_end: str
    after_value: str
    end: str


@cached
def tagged_calls(
    specs: Sequence[ToolSpec],
    spelling: Spelling,
    *,
    before: str = "",
    after: str = "",
    several: bool = False,
    max_string: int | None = None,
) -> str:
    """A grammar for one call in tags, or for `several`, between `before` and `after`.

    Strings stand raw up to the first end of a value; everything else is JSON. Required
    parameters come first, in the schema's order, then the optional ones. `max_string` bounds
    strings to so many characters.
    """
    rules = Rules(max_string=max_string)
    known = [(index, spec) for index, spec in enumerate(specs) if _fits(spec.name)]
    builds = [functools.partial(_parameters, rules, spec.parameters, f"t{index}", spelling) for index, spec in known]
    calls = [
        (spelling.before_name + spec.name + spelling.after_name, f"{body} {literal(spelling.end)}")
        for (_, spec), body in zip(known, rules.each(TOTAL, builds), strict=True)
    ]
    if not calls:
        rules.detail = LEAST
        parts = [spelling.before_name, "", spelling.after_name, spelling.end]
        texts = [literal(part) if part else "" for part in parts]
        texts[1], texts[2] = _ANY_NAME, f"{texts[2]} {_parameters(rules, {}, 'p', spelling)}"
        calls.append(("", " ".join(filter(None, texts))))
    call = rules.branches("call", calls)
    around = [literal(before) if before else "", f"{call}+" if several else call, literal(after) if after else ""]
    return rules.text(" ".join(part for part in around if part))


@cached
def section_calls(
    specs: Sequence[ToolSpec],
    *,
    opened: str,
    prefix: str,
    call: str,
    arguments: str,
    end: str,
    section_end: str,
    several: bool,
    max_string: int | None = None,
) -> str:
    """A grammar for calls between control tokens, behind the token `opened`: one that opens a section, or `call`.

    A call is its id (`prefix` NAME `:` number), the token `arguments`, a JSON object and the token `end`.
    """
    rules = Rules(max_string=max_string)
    number = rules.add("call-number", f'":" [0-9]{{1,3}} {token(arguments)}')
    known = [spec for spec in specs if _fits(spec.name)]
    calls = [
        (prefix + spec.name, f"{number} {value} {token(end)}")
        for spec, value in zip(known, rules.arguments([spec.parameters for spec in known], TOTAL), strict=True)
    ]
    if not calls:
        calls.append((prefix, f"{_ANY_NAME.replace('<>', '<>:')} {number} {rules.use('object')} {token(end)}"))
    body = rules.branches("call", calls)
    if opened == call:
        return rules.text(body)
    one = f"{token(call)} {body}"
    return rules.text(f"({one}){'+' if several else ''} {token(section_end)}")


def _fits(name: str) -> bool:
    return usable(name) and '"' not in name and "{" not in name


def _parameters(rules: Rules, schema: Any, prefix: str, spelling: Spelling) -> str:
    behind = f" {literal(spelling.after_value)}" if spelling.after_value else ""
    if rules.detail == LEAST:
        value = _raw(rules, prefix, 0, rules.max_string, spelling.value_end)
        one = f"{literal(spelling.before_key)} {_ANY_NAME} {literal(spelling.after_key)} {value}{behind}"
        return rules.share(prefix, f"({one})*")
    found = []
    for option, leaf in enumerate(objects(schema)):
        parts = []
        for number, field in enumerate(fields(leaf)):
            if usable(field.name) and ('"' not in field.name or '"' not in spelling.before_key):
                name = f"{prefix}-{number}" if not option else f"{prefix}-{option}-{number}"
                opening = literal(spelling.before_key + field.name + spelling.after_key)
                one = f"{opening} {_value(rules, field.schema, name, schema, spelling.value_end)}{behind}"
                parts.append(one if field.required else f"({one})?")
        found.append(" ".join(parts) or '""')
    return rules.share(prefix, " | ".join(dict.fromkeys(found)))


def _value(rules: Rules, schema: Any, name: str, root: Any, end: str) -> str:
    """GBNF for a value and the tag behind it. What `rawtext` reads from it always fits the schema."""
    leaves = rules.shapes.leaves(schema, root) if rules.detail < 3 else [{}]
    strings = [leaf for leaf in leaves if leaf and leaf["type"] == "string"]
    if not leaves or {} in leaves:
        return _raw(rules, name, 0, rules.max_string, end)
    if not strings:
        return f"{rules.schema(schema, name, root)} {literal(end)}"
    parts = [_string(rules, leaf, f"{name}-{number}", end) for number, leaf in enumerate(strings)]
    if _raw(rules, name, 0, rules.max_string, end) not in parts:
        others = [leaf for leaf in leaves if leaf not in strings]
        parts += [f"{rules.leaf(leaf, f'{name}-o{n}', root)} {literal(end)}" for n, leaf in enumerate(others)]
    else:
        parts = [_raw(rules, name, 0, rules.max_string, end)]
    return parts[0] if len(parts) == 1 else rules.share(name, " | ".join(dict.fromkeys(parts)))


def _string(rules: Rules, leaf: Mapping[str, Any], name: str, end: str) -> str:
    texts = [(text + end, "") for text in rules.choices(leaf) if end not in text and all(map(_sayable, text))]
    if texts:
        return rules.branches(name, texts)
    held = rules.held(leaf, name, gbnf_text.LINE, quoted=False, end=end, within=_within(end))
    return held or _raw(rules, name, *rules.lengths(leaf), end)


def _sayable(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in gbnf_text.RAW)


def _raw(rules: Rules, name: str, low: int, high: int | None, end: str) -> str:
    """A rule for raw text of so many characters and the tag behind it."""
    if high is None and low <= _MAX_LOW:
        return rules.language(name if low else "raw", _texts(low, end), quoted=False, end=end)
    # Counting needs few states: the beginning of the tag is given up for it.
    found = rules.counted(_texts(0, end[:_TAG]), low, high, end=end)
    return found or rules.language("raw", _texts(0, end), quoted=False, end=end)


@functools.lru_cache(64)
def _texts(low: int, tag: str) -> regular.Dfa:
    """Text without the tag."""
    chars = regular.Chars(gbnf_text.RAW)
    free = regular.without(regular.containing([regular.text(tag)]))
    return regular.both(free, regular.length(low, None, chars))


@functools.lru_cache(16)
def _within(end: str) -> tuple[Within, ...]:
    def within(held: regular.Dfa, tag: str) -> regular.Dfa | None:
        try:
            found = regular.both(held, _texts(0, tag))
        except regular.TooLarge:
            return None
        return None if found.empty else found

    return tuple(functools.partial(within, tag=tag) for tag in (end, end[:_TAG], end[:2]))
