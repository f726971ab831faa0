"""Values that stand raw in `<parameter=NAME>` lines, as grammars that the parser of that form reads back whole.

A value ends at the first line that begins with `</parameter>`. The parser forgives a missing line
break there, so the same tag within a line must not be followed by what may follow a call's value.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from . import gbnf_regular, gbnf_text
from .gbnf_regular import ANY, NOTHING, Chars, Dfa, Either, Repeat, Sequence_, inverse, normal, text
from .gbnf_rules import LEAST, Rules, Within
from .gbnf_shape import fields, is_count, objects, spelled
from .gbnf_text import literal

CLOSE = "</parameter>"
END = f"\n{CLOSE}"
_FOLLOWS = ("<p", "</")
"""How the tags begin that may stand behind a value."""
_TAG = CLOSE[:5]
"""What text of a given length does without: its characters are counted with few states."""
_BLANK = normal((ord(c), ord(c)) for c in map(chr, range(0x3001)) if c.isspace())
_MAX_LOW = 24
# How JSON may begin: raw text of another beginning is text to every reader.
_JSON_STARTS = normal([*((ord(c), ord(c)) for c in "{[\"'-+."), (0x30, 0x39), *_BLANK])
_WORDS = {"true", "false", "null", "True", "False", "None", "undefined", "NaN", "Infinity"}
_HELD = ("enum", "pattern", "format", "minLength", "maxLength")
_FREE = {"type", "nullable", "title", "description", "default", "examples", "example", "deprecated", *_HELD[1:]}


def value(rules: Rules, schema: Any, name: str, root: Any) -> str:
    """GBNF for a value of `schema` and the end behind it: strings raw, everything else as JSON."""
    found = rules.shapes.leaves(schema, root) if rules.detail < 3 else [{}]
    if not found or {} in found:
        return raw(rules, name, 0, rules.max_string, plain=True)
    strings = [leaf for leaf in found if leaf["type"] == "string"]
    others = [leaf for leaf in found if leaf["type"] != "string"]
    if not strings:
        return f"{rules.schema(schema, name, root)} {literal(END)}"
    loose = all(leaf.keys() <= _FREE for leaf in others)
    free = rules.max_string is None and any(not any(key in leaf for key in _HELD) for leaf in strings)
    parts = [_string(rules, leaf, f"{name}-{n}", not others, loose) for n, leaf in enumerate(strings)]
    if not (free and loose):
        parts += [f"{rules.leaf(leaf, f'{name}-o{n}', root)} {literal(END)}" for n, leaf in enumerate(others)]
    return parts[0] if len(parts) == 1 else rules.share(name, " | ".join(dict.fromkeys(parts)))


def _string(rules: Rules, leaf: Mapping[str, Any], name: str, alone: bool, loose: bool) -> str:
    shown = [_choice(choice, alone) for choice in rules.choices(leaf)]
    texts = [(text + END, "") for text in shown if text is not None]
    if shown and not texts:
        rules.missed.add("enum")
    if texts:
        return rules.branches(name, texts)
    plain = alone or loose
    held = rules.held(leaf, name, gbnf_text.LINE, quoted=False, end=END, within=_within(plain))
    return held or raw(rules, name, *rules.lengths(leaf), plain=plain)


def _choice(choice: str, alone: bool) -> str | None:
    """A string as it stands among the values; quoted where it would else be read as something that is no string."""
    first = ord(choice[0]) if choice else 0
    json_like = choice.strip() in _WORDS or any(low <= first <= high for low, high in _JSON_STARTS)
    shown = spelled(choice) if json_like and not alone else choice
    fits = all(any(low <= ord(char) <= high for low, high in gbnf_text.RAW) for char in shown)
    return shown if fits and CLOSE not in shown else None


def raw(rules: Rules, name: str, low: int, high: int | None, *, plain: bool) -> str:
    """A rule for raw text of so many characters. Not `plain`: text that no reader takes for JSON."""
    if high is None and low <= _MAX_LOW:
        return rules.language(name if low else "raw", _texts(low, plain), quoted=False, end=END)
    found = rules.counted(_tagless(plain), low, high, end=END)
    return found or rules.language("raw", _texts(0, plain), quoted=False, end=END)


@functools.lru_cache(64)
def _texts(low: int, plain: bool) -> Dfa:
    found = _whole()
    found = gbnf_regular.both(found, gbnf_regular.length(low, None)) if low else found
    return found if plain else gbnf_regular.both(found, _no_json())


@functools.lru_cache(1)
def _whole() -> Dfa:
    """All text that is read back as it is."""
    follows = Either(tuple(text(tag) for tag in _FOLLOWS))
    ends = [text(END), Sequence_((text(CLOSE), Repeat(Chars(_BLANK), 0, None), follows))]
    first = Sequence_((text(CLOSE), Repeat(ANY, 0, None)))
    good = gbnf_regular.without(Either((first, gbnf_regular.containing(ends))))
    return gbnf_regular.both(good, gbnf_regular.length(0, None, Chars(gbnf_text.RAW)))


@functools.lru_cache(8)
def _tagless(plain: bool, tag: str = _TAG) -> Dfa:
    found = gbnf_regular.without(gbnf_regular.containing([text(tag)]))
    found = gbnf_regular.both(found, gbnf_regular.length(0, None, Chars(gbnf_text.RAW)))
    return found if plain else gbnf_regular.both(found, _no_json())


@functools.lru_cache(1)
def _no_json() -> Dfa:
    rest = Sequence_((Chars(inverse(_JSON_STARTS)), Repeat(ANY, 0, None)))
    return gbnf_regular.compile(Either((NOTHING, rest)))


@functools.lru_cache(2)
def _within(plain: bool) -> tuple[Within, ...]:
    def within(held: Dfa, tag: str) -> Dfa | None:
        try:
            held = held if plain else gbnf_regular.both(held, _no_json())
            found = gbnf_regular.both(held, _tagless(True, tag) if tag else _whole())
        except gbnf_regular.TooLarge:
            return None
        return None if found.empty else found

    return tuple(functools.partial(within, tag=tag) for tag in ("", _TAG, CLOSE[:2]))


def parameters(rules: Rules, schema: Any, prefix: str) -> str:
    """GBNF for the parameters: the required ones first, then each optional one or nothing, in the schema's order."""
    if rules.detail == LEAST:
        key = rf"[^<>\n{gbnf_text.CONTROL}]{{1,64}}"
        return f'("<parameter=" {key} ">\\n" {raw(rules, prefix, 0, rules.max_string, plain=True)} "\\n")*'
    found = []
    for option, leaf in enumerate(objects(schema)):
        parts = []
        if (is_count(leaf.get("minProperties")) or 0) > sum(field.required for field in fields(leaf)):
            rules.missed.add("minProperties")
        for number, field in enumerate(fields(leaf)):
            if field.required and not usable(field.name):
                rules.missed.add("required")
            elif usable(field.name):
                name = f"{prefix}-{number}" if not option else f"{prefix}-{option}-{number}"
                opening = literal(f"<parameter={field.name}>\n")
                body = f'{opening} {value(rules, field.schema, name, schema)} "\\n"'
                parts.append(body if field.required else f"({body})?")
        found.append(" ".join(parts) or '""')
    return " | ".join(dict.fromkeys(found))


def usable(name: str) -> bool:
    """Whether a name can stand in a tag."""
    fits = name == name.strip() and not any(char in "<>\n\0" for char in name)
    return 0 < len(name) <= 128 and fits and bool(spelled(name))
