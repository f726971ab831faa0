"""JSON Schemas made plain: what a tool's author wrote, in the few words that a grammar is built from.

References are followed, `allOf` is merged, `const` is an `enum`, `nullable` a type, and the names that
other worlds give to types (`dict`, `float`, `tuple`, `any`) are JSON's. Whatever cannot be read means
anything: a schema never fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

MAX_DEPTH = 24
_MAX_OPTIONS = 64
NEVER: Mapping[str, Any] = {"type": "never"}
"""What no value fits."""

_TYPES = {
    "object": "object dict map hashmap mapping struct record",
    "array": "array list tuple set arraylist sequence",
    "string": "string str text char varchar",
    "integer": "integer int long short int32 int64 byte bigint",
    "number": "number float double decimal float32 float64 real",
    "boolean": "boolean bool",
    "null": "null none nonetype void",
}
_TYPE = {name: kind for kind, names in _TYPES.items() for name in names.split()}
_KIND_OF = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
            type(None): "null"}  # fmt: skip
_PERCENT = re.compile("%([0-7][0-9a-fA-F])")
_UNIONS = ("anyOf", "oneOf")
_MERGED = ("$ref", "allOf", *_UNIONS, "enum", "const")
_LISTS = ("pattern", "format")
_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAYS = {
    "type", "enum", "const", "properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems",
    "propertyNames", "multipleOf", *_UNIONS, *_LISTS, *_LARGER, *_SMALLER,
}  # fmt: skip


def kind_of(value: Any) -> str:
    """The JSON type of a value; "" for what JSON does not have."""
    return _KIND_OF.get(type(value), "")


def kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The types that a schema names, in JSON's words; () where it leaves them open."""
    named = schema.get("type")
    found = [named] if isinstance(named, str) else named if isinstance(named, Sequence) else []
    plain = [_TYPE.get(one.strip().lower(), "") if isinstance(one, str) else "" for one in found]
    if not plain or "" in plain:
        plain = []
    if plain and schema.get("nullable") is True:
        plain.append("null")
    return tuple(dict.fromkeys(plain))


class Shapes:
    """Takes schemas apart. `work` bounds how often, for all of them together: behind it everything means anything."""

    def __init__(self, work: int = 20_000) -> None:
        self.work = work

    def leaves(self, schema: Any, root: Any, depth: int = 0) -> list[Mapping[str, Any]]:
        """The plain schemas of which a value fits one: each of one type, or {} for anything. [] where no value fits.

        Inside, `enum` is a list of JSON values of that type, `pattern` and `format` are lists, and
        properties and items are still as they were written.
        """
        plain, found = self.parts(schema, root)
        if not plain:
            within = depth < MAX_DEPTH
            found = [leaf for part in found for leaf in (self.leaves(part, root, depth + 1) if within else [{}])]
        return _distinct(found)

    def parts(self, schema: Any, root: Any) -> tuple[bool, list[Any]]:
        """One step towards `leaves`: whether these are leaves, or else the schemas of a union as they were written."""
        schema = self.settled(schema, root)
        if schema is NEVER:
            return True, []
        for union in _UNIONS:
            options = schema.get(union)
            if isinstance(options, Sequence) and not isinstance(options, str) and options:
                rest = {key: value for key, value in schema.items() if key != union}
                return False, [self._with(rest, option, root) for option in options[:_MAX_OPTIONS]]
        if "enum" in schema:
            return True, _choices(schema)
        named = kinds(schema) or _implied(schema)
        return True, [{**schema, "type": kind} for kind in named] if named else [{}]

    def settled(self, schema: Any, root: Any, depth: int = 0) -> Mapping[str, Any]:
        """The schema without references and `allOf` at its top; {} for what says nothing, NEVER for `false`."""
        for _ in range(MAX_DEPTH):
            self.work -= 1
            if schema is False or schema is NEVER:
                return NEVER
            if not isinstance(schema, Mapping) or self.work < 0 or depth > MAX_DEPTH:
                return {}
            reference, parts = schema.get("$ref"), schema.get("allOf")
            if isinstance(reference, str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = self._with(rest, target(reference, root), root, depth + 1)
            elif isinstance(parts, Sequence) and not isinstance(parts, str):
                schema = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts[:_MAX_OPTIONS]:
                    schema = self._with(schema, part, root, depth + 1)
            else:
                return _plain(schema)
        return {}

    def _with(self, base: Any, other: Any, root: Any, depth: int = 0) -> Any:
        """A schema that asks for both."""
        if base is False:
            return NEVER
        if not isinstance(base, Mapping) or not says(base):
            return other
        other = self.settled(other, root, depth)
        if other is NEVER or not other:
            return NEVER if other is NEVER else base
        base = _plain(base)
        base, other = _narrowed(base, other), _narrowed(other, base)
        both = {**other, **base}
        for key in set(base) & set(other):
            both[key] = _joined(key, base[key], other[key])
            if both[key] is NEVER:
                return NEVER
        return both


def says(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for anything by itself, besides what it refers to."""
    return any(key in _SAYS for key in schema)


def target(reference: str, root: Any) -> Any:
    """What a local reference points to; {} where it leads nowhere."""
    pointer, found = reference.removeprefix("#"), root
    if pointer == reference or (pointer and not pointer.startswith("/")):
        return {}
    for step in pointer.split("/")[1:]:
        step = _PERCENT.sub(lambda code: chr(int(code[1], 16)), step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(step, {})
        elif isinstance(found, Sequence) and not isinstance(found, str) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return {}
    return found


def _narrowed(one: Mapping[str, Any], two: Mapping[str, Any]) -> Mapping[str, Any]:
    """`one` with what `two` asks of properties that only `one` lists: to be absent, or to fit its `additionalProperties`.

    What `one` itself requires stays as it was: its author cannot have meant a call that nobody can write.
    """
    extra, listed = two.get("additionalProperties"), one.get("properties")
    if (
        not isinstance(listed, Mapping)
        or two.get("patternProperties")
        or not (extra is False or isinstance(extra, Mapping))
    ):
        return one
    known, due = _mapping(two.get("properties")), {*names(one.get("required")), *names(two.get("required"))}
    mine = [name for name in listed if name not in known and not (extra is False and name in due)]
    changed = {name: False if extra is False else {"allOf": [listed[name], extra]} for name in mine}
    return {**one, "properties": {**listed, **changed}} if changed else one


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    plain = dict(schema)
    choices = plain.get("enum")
    if "enum" in plain and (not isinstance(choices, Sequence) or isinstance(choices, str) or not choices):
        del plain["enum"]
    if "const" in plain:
        # A choice that the constant is none of makes nothing possible: then the constant counts.
        plain["enum"] = [plain.pop("const")]
    for name in _LISTS:
        value = plain.get(name)
        if isinstance(value, str):
            plain[name] = [value]
        elif not isinstance(value, list):
            plain.pop(name, None)
    return plain


def _joined(key: str, one: Any, two: Any) -> Any:
    if key == "type":
        return _common(one, two)
    if key == "enum":
        allowed = {spelled(value) for value in two}
        return [value for value in one if spelled(value) in allowed] or NEVER
    if key in _LISTS:
        return [*one, *two]
    if key == "required":
        return list(dict.fromkeys([*names(one), *names(two)]))
    if key == "properties" and isinstance(one, Mapping) and isinstance(two, Mapping):
        return {**two, **{name: {"allOf": [shape, two[name]]} if name in two else shape for name, shape in one.items()}}
    if (
        key in ("items", "additionalProperties", "propertyNames")
        and not isinstance(one, list)
        and not isinstance(two, list)
    ):
        return False if one is False or two is False else {"allOf": [one, two]}
    if key == "patternProperties" and isinstance(one, Mapping) and isinstance(two, Mapping):
        return {**two, **{name: {"allOf": [shape, two[name]]} if name in two else shape for name, shape in one.items()}}
    if key in (*_LARGER, *_SMALLER) and is_number(one) and is_number(two):
        return max(one, two) if key in _LARGER else min(one, two)
    if key in _UNIONS and isinstance(one, Sequence) and isinstance(two, Sequence):
        return [{"allOf": [left, right]} for left in one for right in two][:_MAX_OPTIONS]
    return one


def _common(one: Any, two: Any) -> Any:
    left, right = kinds({"type": one}), kinds({"type": two})
    if not left or not right:
        return list(left or right)
    found = [kind for kind in left if kind in right or (kind == "integer" and "number" in right)]
    found += [kind for kind in right if kind == "integer" and "number" in left and kind not in found]
    return found or NEVER


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The values of an `enum` by their types. What is no JSON, or of another type than named, is left out."""
    named = kinds(schema)
    found: dict[str, dict[str, Any]] = {}
    for value in schema["enum"]:
        kind = kind_of(value)
        if named and kind not in named:
            kind = "number" if kind == "integer" and "number" in named else ""
        text = spelled(value)
        if kind and text:
            found.setdefault(kind, {})[text] = value
    if not found:
        return [{**{k: v for k, v in schema.items() if k != "enum"}, "type": kind} for kind in named] or [{}]
    return [{"type": kind, "enum": list(values.values())} for kind, values in found.items()]


def spelled(value: Any) -> str:
    """A value as JSON, on one line; "" where JSON cannot say it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return ""
    return text


def _implied(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The type of a schema that names none, by what it speaks of."""
    named = schema.get("type")
    if named is not None and named != []:
        return ()
    if isinstance(schema.get("properties"), Mapping) or isinstance(schema.get("additionalProperties"), Mapping):
        return ("object",)
    if "items" in schema or "prefixItems" in schema:
        return ("array",)
    if any(key in schema for key in (*_LISTS, "minLength", "maxLength")):
        return ("string",)
    if any(key in schema for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")):
        return ("number",)
    return ()


def names(value: Any) -> list[str]:
    """The texts of a list such as `required`."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, Sequence | set | frozenset) else []


def is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> int | None:
    """A number of characters, items or properties, None for what is none."""
    whole = is_number(value) and value >= 0 and value == value // 1
    return int(value) if whole and value < 1 << 40 else None


@dataclass(frozen=True, slots=True)
class Field:
    """A property that a value may have, or must have where it is `required`."""

    name: str
    schema: Any
    required: bool


def fields(leaf: Mapping[str, Any]) -> list[Field]:
    """The properties of an object by name, the required ones first, in the schema's order.

    Those that `required` alone names are among them, unless nothing but what is listed may be there.
    """
    listed, extra, due = _mapping(leaf.get("properties")), leaf.get("additionalProperties"), names(leaf.get("required"))
    known = {name: shape for name, shape in listed.items() if isinstance(name, str)}
    if extra is not False:
        known |= {name: extra if isinstance(extra, Mapping) else {} for name in due if name not in known}
    found = [Field(name, shape, name in due) for name, shape in known.items() if shape is not False]
    return sorted(found, key=lambda field: not field.required)


def objects(parameters: Any) -> list[Mapping[str, Any]]:
    """The plain schemas of a call's arguments, which are an object whatever the schema says."""
    if not isinstance(parameters, Mapping) or not parameters:
        return [{"type": "object", "properties": {}}]
    if kinds(parameters) == ("object",) and not any(key in parameters for key in _MERGED):
        return [parameters]
    found = [leaf for leaf in Shapes().leaves(parameters, parameters) if leaf.get("type") == "object"]
    return found or [{**parameters, "type": "object"}]


def properties(parameters: Any) -> dict[str, Any]:
    """The schema of each argument that a call may have, whichever of several objects its arguments are."""
    found: dict[str, list[Any]] = {}
    for leaf in objects(parameters):
        for field in fields(leaf):
            options = found.setdefault(field.name, [])
            if not any(field.schema is known for known in options):
                options.append(field.schema)
    return {name: options[0] if len(options) == 1 else {"anyOf": options} for name, options in found.items()}


def _distinct(found: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without repeats; one that is anything takes in all others."""
    if any(not leaf for leaf in found):
        return [{}]
    distinct: list[Mapping[str, Any]] = []
    for leaf in found[:_MAX_OPTIONS]:
        if leaf not in distinct:
            distinct.append(leaf)
    return distinct
