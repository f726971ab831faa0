"""Grammars (GBNF) from the JSON Schemas of tools.

What they allow is valid by construction: required parameters first, in the schema's order, each
optional one after them or absent, nothing that the schema does not name; no raw control character
in a string. A grammar says types, `enum`, `const`, nested objects and arrays, unions, references
(also in circles), numeric ranges and multiples, lengths, names of properties, `pattern` and `format`
where they can be made small. What it cannot say (`uniqueItems`, `not`, patterns that look around,
bounds in the thousands) is left to the later check, which it never contradicts; `unheld` lists it.

No schema fails, and no set of tools. All of them share one budget: where their rules would grow too
large the largest tools are held less closely, first without patterns, ranges and long enums, then
without their deeper parts, then by the names of their parameters alone, at last by their own name.
Grammars are kept, so that a tool set costs its building once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec

from ..values import ToolSpec
from . import gbnf_raw
from .gbnf_rules import LEAST, Rules
from .gbnf_shape import Shapes, spelled
from .gbnf_text import literal

__all__ = ["CHOICES", "TOTAL", "Rules", "bind", "cached", "json_calls", "json_types", "json_value", "literal", "token", "unheld",
           "xml_calls"]  # fmt: skip

CHOICES = "x-choices"
"""In a parameter's schema: the name of the set that its value must come from (see `bind`)."""
_MAX_SET = 2000
TOTAL = 360_000
"""What all tools of a grammar may have together: bytes, and a few more for each time that a part may be repeated."""
_KEPT = 32
_Rest = ParamSpec("_Rest")


def token(text: str) -> str:
    """The one control token of that name, as an element of a rule: `@"<|call|>"`.

    The engine puts the token's own number there before llama.cpp reads the grammar; in a
    vocabulary without such a control token it is the plain literal. Text that merely spells the
    name never matches it, and the token never matches text: a string in a call cannot end it.
    """
    return "@" + literal(text)


# ---------------------------------------------------------------- kept grammars


class _Tools:
    """Tool specifications as a key: equal where everything that a grammar says of them is."""

    __slots__ = ("_hash", "_key", "specs")

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self.specs = tuple(specs)
        try:
            self._key = repr([(spec.name, spec.parameters) for spec in self.specs])
        except RecursionError:
            self._key = f"{id(self)}"
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tools) and self._key == other._key


def cached(
    build: Callable[Concatenate[Sequence[ToolSpec], _Rest], str],
) -> Callable[Concatenate[Sequence[ToolSpec], _Rest], str]:
    """Keeps the grammars that a function of tool specifications builds, those used last."""

    @functools.lru_cache(_KEPT)
    def kept(tools: _Tools, *args: Any, **options: Any) -> str:
        return build(tools.specs, *args, **options)

    @functools.wraps(build)
    def found(specs: Sequence[ToolSpec], *args: _Rest.args, **options: _Rest.kwargs) -> str:
        return kept(_Tools(specs), *args, **options)

    found.cache_info = kept.cache_info  # type: ignore[attr-defined]
    return found


# ---------------------------------------------------------------- calls


@cached
def json_calls(
    specs: Sequence[ToolSpec], *, before: str, between: str, after: str, again: str = "", max_string: int | None = None
) -> str:
    """A grammar for one call: `before` NAME `between` ARGUMENTS `after`.

    With `again`, what links two calls, it is one call or several. `max_string` bounds strings to
    so many characters.
    """
    rules = Rules(max_string=max_string)
    known = [spec for spec in specs if spelled(spec.name)]
    names = [spelled(spec.name)[1:-1] + between for spec in known]
    calls = list(zip(names, rules.arguments([spec.parameters for spec in known], TOTAL), strict=True))
    call = _one_of(rules, calls, lambda: rf'[^"\\\x00-\x1f]{{1,64}} {literal(between)} {rules.use("object")}')
    more = f"({literal(again)} {call})* " if again else ""
    return rules.text(f"{literal(before)} {call} {more}{literal(after)}")


@cached
def xml_calls(specs: Sequence[ToolSpec], *, before: str, after: str, max_string: int | None = None) -> str:
    """A grammar for one call in the parameter form.

    Strings stand raw and end at the first line that begins with `</parameter>`; everything
    else is JSON. `max_string` bounds strings to so many characters.
    """
    rules = Rules(max_string=max_string)
    known = [(index, spec) for index, spec in enumerate(specs) if gbnf_raw.usable(spec.name)]
    builds = [functools.partial(_parameters, rules, spec.parameters, f"t{index}") for index, spec in known]
    bodies = zip(known, rules.each(TOTAL, builds), strict=True)
    calls = [(spec.name + ">\n", body) for (_, spec), body in bodies]
    call = _one_of(rules, calls, lambda: rf'[^<>\n\x00-\x1f]{{1,64}} ">\n" {_any_parameters(rules)}')
    return rules.text(f"{literal(before)} {call} {literal(after)}")


def _parameters(rules: Rules, schema: Any, prefix: str) -> str:
    return rules.share(prefix, gbnf_raw.parameters(rules, schema, prefix) or '""')


def _any_parameters(rules: Rules) -> str:
    rules.detail = LEAST
    return _parameters(rules, {}, "p")


def _one_of(rules: Rules, calls: Sequence[tuple[str, str]], any_call: Callable[[], str]) -> str:
    """A rule for one of these calls; any call at all where there are none, or too many to be told apart."""
    if not calls or sum(len(text) + 40 for text, _ in calls) > TOTAL // 2:
        return rules.share("call", any_call())
    return rules.branches("call", calls)


def json_value(schema: Any, *, after: str, max_string: int | None = None) -> str:
    """A grammar for one JSON value of `schema`, then `after`."""
    rules = Rules(max_string=max_string)
    (value,) = rules.each(TOTAL, [lambda: rules.schema(schema, "answer", schema)])
    return rules.text(f"{value} {literal(after)}")


def unheld(schema: Any) -> frozenset[str]:
    """The keywords of a schema that the grammar of its values does not hold, for a later check to know.

    Of a tool that shares a grammar with many large ones less may be held.
    """
    from .gbnf_unheld import unheld as found

    return found(schema, TOTAL)


def json_types(schema: Any, root: Any) -> frozenset[str]:
    """Every JSON type a value of this schema may have; empty where it does not say."""
    found = [leaf.get("type") for leaf in Shapes().leaves(schema, root)]
    return frozenset() if None in found else frozenset(kind for kind in found if kind)


# ---------------------------------------------------------------- named sets


def bind(specs: Sequence[ToolSpec], choices: Mapping[str, tuple[str, ...]]) -> tuple[ToolSpec, ...]:
    """The specifications with each named set written out.

    A schema with `"x-choices": NAME` (a parameter's, or that of the items of an array) becomes an
    `enum` of `choices[NAME]`; where there is no such set, or it is empty, it stays what it is
    without the keyword, so any text will do. A specification that names no set is given back
    itself. The keyword is ours alone: show a model `bind(specs, {})`, whose text does not change
    with the sets, and build the grammar from `bind(specs, options.choices)`.
    """
    return tuple(_bound_spec(spec, choices) for spec in specs)


def _bound_spec(spec: ToolSpec, choices: Mapping[str, tuple[str, ...]]) -> ToolSpec:
    try:
        if CHOICES not in repr(spec.parameters):
            return spec
    except RecursionError:
        return spec
    found = _bound(spec.parameters, choices, 0)
    return spec if found is spec.parameters else replace(spec, parameters=found)


_BY_NAME = ("properties", "$defs", "definitions", "patternProperties")
_INSIDE = ("items", "additionalProperties", "prefixItems", "anyOf", "oneOf", "allOf", "additionalItems")


def _bound(schema: Any, choices: Mapping[str, tuple[str, ...]], depth: int) -> Any:
    if depth > 64:
        return schema
    if isinstance(schema, list | tuple):
        return [_bound(part, choices, depth + 1) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: value for key, value in schema.items() if key != CHOICES}
    for key in _INSIDE:
        if key in found:
            found[key] = _bound(found[key], choices, depth + 1)
    for key in _BY_NAME:
        if isinstance(found.get(key), Mapping):
            found[key] = {name: _bound(part, choices, depth + 1) for name, part in found[key].items()}
    named = schema.get(CHOICES)
    values = choices.get(named, ()) if isinstance(named, str) else ()
    if values:
        found["enum"] = list(dict.fromkeys(values))[:_MAX_SET]
    return found
