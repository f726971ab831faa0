"""What a JSON value breaks of its schema: all that JSON Schema says but `unevaluated…`, also what no grammar holds.

The later check that `gbnf` speaks of. It never raises and takes bounded time, whatever the
schema: a reference that leads nowhere, a pattern that nobody can read and what lies behind
`_WORK` steps ask for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from . import conform_text
from .gbnf_shape import kind_of, kinds, names, spelled, target

_WORK = 20_000
_PATTERN_WORK = 50
_DEPTH = 64
_TOLD = 80
"""Characters of a value that a problem quotes."""
_MOST = 5


def problems(schema: Any, value: Any) -> list[str]:
    """What is wrong with `value`, a sentence each and the first few alone; [] where it satisfies `schema`."""
    check = _Check(schema)
    try:
        found = [*_unsayable(value, ""), *check.value(schema, value, "", 0)]
    except RecursionError:
        return ["it is nested too deeply"]
    return list(dict.fromkeys(found))[:_MOST]


def fits(schema: Any, value: Any, root: Any = None) -> bool:
    """Whether `value` satisfies `schema`, whose references are `root`'s (None: its own)."""
    try:
        return not _first(_unsayable(value, "")) and not _first(
            _Check(schema if root is None else root).value(schema, value, "", 0)
        )
    except RecursionError:
        return False


def _first(found: Iterator[str]) -> str:
    return next(found, "")


def _unsayable(value: Any, where: str) -> Iterator[str]:
    """Numbers that JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{_at(where)} is no number of JSON"
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _unsayable(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unsayable(inner, f"{where}[{number}]")


class _Check:
    """One check of one value; `root` is where references begin."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _WORK
        self._choices: dict[int, tuple[Any, frozenset[Any]]] = {}

    def value(self, schema: Any, value: Any, where: str, depth: int) -> Iterator[str]:
        self._left -= 1
        if schema is False:
            yield f"{_at(where)} may not be there"
        if not isinstance(schema, Mapping) or self._left < 0 or depth > _DEPTH:
            return
        if value is None and schema.get("nullable") is True:
            return
        named, choices = kinds(schema), _choices(schema)
        typed = not named or any(_is(kind, value) for kind in named)
        chosen = not choices or _key(value) in self._keys(choices, schema)
        if named and choices and not any(_is(kind, choice) for kind in named for choice in choices):
            # An author's slip, as in a boolean that is "True" or "False": what keeps either is meant.
            typed = chosen = typed or chosen
        if not typed:
            yield f"{_at(where)} must be {_either(named)}, not {_told(value)}"
            return
        if not chosen:
            yield f"{_at(where)} must be one of {', '.join(map(_told, choices[:20]))}, not {_told(value)}"
        yield from self._combined(schema, value, where, depth)
        if isinstance(value, Mapping):
            yield from self._object(schema, value, where, depth)
        elif isinstance(value, list):
            yield from self._array(schema, value, where, depth)
        elif isinstance(value, str):
            self._left -= _PATTERN_WORK if "pattern" in schema else 0
            yield from (f"{_at(where)} {text}" for text in conform_text.problems(schema, value))
        elif _is("number", value):
            yield from (f"{_at(where)} {text}" for text in _number(schema, value))

    def _keys(self, choices: list[Any], schema: Mapping[str, Any]) -> frozenset[Any]:
        """What tells the choices of a schema apart, found out once."""
        known = self._choices.get(id(schema))
        if known is None:
            known = self._choices[id(schema)] = schema, frozenset(map(_key, choices))
        return known[1]

    def _fits(self, schema: Any, value: Any, where: str, depth: int) -> bool:
        return not _first(self.value(schema, value, where, depth + 1))

    # ------------------------------------------------------------ schemas together

    def _combined(self, schema: Mapping[str, Any], value: Any, where: str, depth: int) -> Iterator[str]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield from self.value(target(reference, self._root), value, where, depth + 1)
        for part in _list(schema.get("allOf")):
            yield from self.value(part, value, where, depth + 1)
        options = _list(schema.get("anyOf"))
        if options and not any(self._fits(option, value, where, depth) for option in options):
            yield f"{_at(where)} fits none of its possible forms"
        options = _list(schema.get("oneOf"))
        if options and sum(self._fits(option, value, where, depth) for option in options) != 1:
            yield f"{_at(where)} must fit exactly one of its possible forms"
        if isinstance(schema.get("not"), Mapping | bool) and self._fits(schema["not"], value, where, depth):
            yield f"{_at(where)} is what it must not be"
        if isinstance(schema.get("if"), Mapping | bool):
            branch = "then" if self._fits(schema["if"], value, where, depth) else "else"
            yield from self.value(schema.get(branch, True), value, where, depth + 1)

    # ------------------------------------------------------------ objects

    def _object(self, schema: Mapping[str, Any], value: Mapping[str, Any], where: str, depth: int) -> Iterator[str]:
        properties = _map(schema.get("properties"))
        for name in names(schema.get("required")):
            # A name that is no property's is a slip of the author: nothing could ever fit.
            if name not in value and (name in properties or not properties):
                yield f"{_at(f'{where}.{name}')} is missing"
        for name, needs in _map(schema.get("dependentRequired")).items():
            for need in names(needs) if name in value else ():
                if need not in value:
                    yield f"{_at(f'{where}.{need}')} is missing"
        yield from _sizes(schema, "Properties", len(value), where, "properties")
        for name, shape in _map(schema.get("dependentSchemas")).items():
            if name in value:
                yield from self.value(shape, value, where, depth + 1)
        for name, inner in value.items():
            yield from self._member(schema, properties, name, inner, where, depth)

    def _member(
        self, schema: Mapping[str, Any], properties: Mapping[str, Any], name: str, inner: Any, where: str, depth: int
    ) -> Iterator[str]:
        place, known = f"{where}.{name}", name in properties
        if "propertyNames" in schema:
            yield from self.value(schema["propertyNames"], name, place, depth + 1)
        if known:
            yield from self.value(properties[name], inner, place, depth + 1)
        for pattern, shape in _map(schema.get("patternProperties")).items():
            self._left -= _PATTERN_WORK
            if self._left >= 0 and conform_text.found(pattern, name):
                known = True
                yield from self.value(shape, inner, place, depth + 1)
        if not known and schema.get("additionalProperties") is False and self._left >= 0:
            yield f"{_at(place)} is not known"
        elif not known:
            yield from self.value(schema.get("additionalProperties", True), inner, place, depth + 1)

    # ------------------------------------------------------------ arrays

    def _array(self, schema: Mapping[str, Any], value: list[Any], where: str, depth: int) -> Iterator[str]:
        items = schema.get("items")
        first = items if isinstance(items, list) else _list(schema.get("prefixItems"))
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        yield from _sizes(schema, "Items", len(value), where, "items")
        for number, inner in enumerate(value):
            shape = first[number] if number < len(first) else rest
            yield from self.value(shape, inner, f"{where}[{number}]", depth + 1)
        if schema.get("uniqueItems") is True and len({_key(inner) for inner in value}) < len(value):
            yield f"{_at(where)} must not hold the same twice"
        if isinstance(schema.get("contains"), Mapping | bool):
            count = sum(self._fits(schema["contains"], inner, where, depth) for inner in value)
            low, high = _count(schema.get("minContains"), 1), _count(schema.get("maxContains"), count)
            if not low <= count <= high:
                yield f"{_at(where)} does not hold what it must"


# ---------------------------------------------------------------- values


def _is(kind: str, value: Any) -> bool:
    found = kind_of(value)
    if kind == "number":
        return found in ("number", "integer")
    return found == kind or (kind == "object" and isinstance(value, Mapping))


def _number(schema: Mapping[str, Any], value: int | float) -> Iterator[str]:
    bounds: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
        ("minimum", "at least", lambda bound: value >= bound),
        ("maximum", "at most", lambda bound: value <= bound),
        ("exclusiveMinimum", "more than", lambda bound: value > bound),
        ("exclusiveMaximum", "less than", lambda bound: value < bound),
    )
    for word, told, holds in bounds:
        bound = schema.get(word)
        if _is("number", bound) and not holds(bound):
            yield f"must be {told} {_told(bound)}"
    for word, side in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        # In draft 4 it is a mark on the bound.
        if schema.get(word) is True and schema.get(side) == value:
            yield f"must not be {_told(value)} itself"
    step = schema.get("multipleOf")
    if _is("number", step) and step > 0 and not _divides(step, value):
        yield f"must be a multiple of {_told(step)}"


def _divides(step: int | float, value: int | float) -> bool:
    """Whether `value` is a multiple, the numbers taken as they are written: 0.3 is three times 0.1."""
    if not (math.isfinite(step) and math.isfinite(value)):
        return True
    if isinstance(step, int) and isinstance(value, int):
        return value % step == 0
    return (Fraction(repr(value)) / Fraction(repr(step))).denominator == 1


def _sizes(schema: Mapping[str, Any], noun: str, size: int, where: str, told: str) -> Iterator[str]:
    low, high = _count(schema.get(f"min{noun}"), 0), _count(schema.get(f"max{noun}"), size)
    if size < low:
        yield f"{_at(where)} must have at least {low} {told}"
    if size > high:
        yield f"{_at(where)} must have at most {high} {told}"


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else _list(schema.get("enum"))


def _key(value: Any) -> Any:
    """What is equal for values that JSON Schema calls equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, Mapping):
        return frozenset((name, _key(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return tuple(map(_key, value))
    return (isinstance(value, bool), value)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any, default: int) -> int:
    return int(value) if _is("number", value) and math.isfinite(value) and value >= 0 else default


def _at(where: str) -> str:
    return repr(where.removeprefix(".")) if where else "the value"


def _either(kinds: Sequence[str]) -> str:
    return " or ".join(kinds)


def _told(value: Any) -> str:
    text = spelled(value) or repr(value)
    return text if len(text) <= _TOLD else text[:_TOLD] + "…"
