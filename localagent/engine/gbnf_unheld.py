"""What the grammar of a schema leaves open: the keywords that a later check must look at itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import gbnf_raw
from .gbnf_rules import Rules
from .gbnf_shape import MAX_DEPTH, Shapes, fields, kinds, says, spelled, target

_NEVER_HELD = {
    "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties",
    "unevaluatedItems", "contains", "minContains", "maxContains", "uniqueItems", "$dynamicRef", "$recursiveRef",
}  # fmt: skip
_LOOSENED = {
    "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "enum", "const", "minItems", "maxItems", "minProperties", "maxProperties", "patternProperties",
    "propertyNames", "additionalProperties", "properties", "required", "items", "prefixItems", "anyOf", "oneOf", "allOf",
}  # fmt: skip
"""What a grammar that would be too large may give up."""
_UNJOINED = (
    "multipleOf",
    "prefixItems",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "additionalProperties",
    "type",
    "enum",
    "const",
)
"""What may be lost where schemas that count at once contradict each other, or say the same word."""
_ONE = ("items", "additionalProperties", "additionalItems", "propertyNames")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_MAPS = ("properties", "patternProperties")
_MAX_PARTS = 5000
_MAX_OPTIONS = 64


def unheld(schema: Any, budget: int) -> frozenset[str]:
    """The keywords of a schema, anywhere in it, that its JSON values can break though the grammar lets them through.

    `budget` is what the rules of the schema may have. The answer is on the safe side: a keyword may
    stand in it that is held all the same, for what a form with raw strings cannot hold of the
    arguments of a call is in it too.
    """
    written: set[str] = set()
    try:
        found = set(_keywords(schema, written))
        rules = Rules()
        rules.each(budget, [lambda: rules.schema(schema, "value", schema)])
        rules.each(budget, [lambda: gbnf_raw.parameters(rules, schema, "raw")])
    except RecursionError:
        return frozenset(_LOOSENED)
    return frozenset((found | rules.missed | (_LOOSENED if rules.loosened else set())) & written)


def _keywords(root: Any, written: set[str]) -> Iterator[str]:
    """Those that can be told from the schemas as they stand; all that stand there go to `written`."""
    seen: set[int] = set()
    todo: list[tuple[Any, int]] = [(root, 0)]
    while todo:
        schema, depth = todo.pop()
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        if len(seen) > _MAX_PARTS or depth > MAX_DEPTH:
            written |= _LOOSENED
            yield from _LOOSENED
            return
        written |= {key for key in schema if isinstance(key, str)}
        yield from _in(schema, root)
        todo += [(part, depth + deeper) for part, deeper in _parts(schema, root)]


def _parts(schema: Mapping[str, Any], root: Any) -> Iterator[tuple[Any, int]]:
    """The schemas in a schema, and by how much they are deeper."""
    if isinstance(schema.get("$ref"), str):
        yield target(schema["$ref"], root), 0
    for key in _ONE:
        if isinstance(schema.get(key), Mapping):
            yield schema[key], 1
    for key in _LISTS:
        if isinstance(schema.get(key), Sequence) and not isinstance(schema[key], str):
            yield from ((part, int(key.endswith("tems"))) for part in schema[key])
    for key in _MAPS:
        if isinstance(schema.get(key), Mapping):
            yield from ((part, 1) for part in schema[key].values())


def _in(schema: Mapping[str, Any], root: Any) -> Iterator[str]:
    """The keywords of one schema itself."""
    yield from _NEVER_HELD & schema.keys()
    if "$ref" in schema and not (isinstance(schema["$ref"], str) and target(schema["$ref"], root)):
        yield "$ref"
    if "type" in schema and not kinds(schema):
        yield "type"
    if "const" in schema and not spelled(schema["const"]):
        yield "const"
    choices = schema.get("enum")
    if "enum" in schema:
        usable = isinstance(choices, list) and any(map(spelled, choices)) and Rules().choices({"enum": choices})
        if "const" in schema or not usable:
            yield "enum"
    yield from _joined(schema, root)
    if isinstance(schema.get("oneOf"), list) and not _apart(schema["oneOf"], root):
        yield "oneOf"


def _joined(schema: Mapping[str, Any], root: Any) -> Iterator[str]:
    """What is lost where several schemas count at once, of which one alone can have its say."""
    merged = [schema, target(schema["$ref"], root) if isinstance(schema.get("$ref"), str) else {}]
    for key in ("allOf", "anyOf", "oneOf"):
        parts = schema.get(key)
        merged += parts if isinstance(parts, list) else []
        if isinstance(parts, list) and len(parts) > _MAX_OPTIONS:
            yield key
    if sum(isinstance(one, Mapping) and says(one) for one in merged) > 1:
        yield from _UNJOINED


def _apart(options: Sequence[Any], root: Any) -> bool:
    """Whether no value fits two of some schemas, as far as types, choices and constant properties tell."""
    shapes, leaves = Shapes(), []
    for option in options[:_MAX_OPTIONS]:
        leaves.append(shapes.leaves(option, root))
    pairs = itertools.combinations(leaves, 2)
    return all(_differ(left, right, root) for some, others in pairs for left in some for right in others)


def _differ(left: Mapping[str, Any], right: Mapping[str, Any], root: Any) -> bool:
    if not left or not right:
        return False
    numbers = ("integer", "number")
    if left["type"] != right["type"] and not (left["type"] in numbers and right["type"] in numbers):
        return True
    if "enum" in left and "enum" in right:
        return not {*map(spelled, left["enum"])} & {*map(spelled, right["enum"])}
    shared = {field.name: field.schema for field in fields(left) if field.required}
    due = {field.name: field.schema for field in fields(right) if field.required}
    return any(_constant(shared[name]) & _constant(due[name]) == set() for name in shared.keys() & due.keys()
               if _constant(shared[name]) and _constant(due[name]))  # fmt: skip


def _constant(schema: Any) -> set[str]:
    if not isinstance(schema, Mapping):
        return set()
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return {*map(spelled, values)} if isinstance(values, list) else set()
