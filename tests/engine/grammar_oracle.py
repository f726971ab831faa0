"""A small validator of JSON Schemas that knows nothing of grammars, and random texts of a grammar."""

from __future__ import annotations

import json
import random
import re
from datetime import date
from fractions import Fraction
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

from localagent.engine.automaton import Automaton

_KINDS: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "dict": dict, "tuple": list,
}  # fmt: skip


def fits(value: Any, schema: Any, root: Any, depth: int = 0) -> bool:
    """Whether a JSON value is what a schema asks for. References that lead nowhere ask for nothing."""
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return schema is not False
    if depth > 60:
        return True
    if "$ref" in schema and not fits(value, _target(schema["$ref"], root), root, depth + 1):
        return False
    if any(not fits(value, part, root, depth + 1) for part in schema.get("allOf", ())):
        return False
    for union in ("anyOf", "oneOf"):
        if schema.get(union) and not any(fits(value, part, root, depth + 1) for part in schema[union]):
            return False
    if "const" in schema and not _same(value, schema["const"]):
        return False
    if schema.get("enum") and not any(_same(value, choice) for choice in schema["enum"]):
        return False
    if value is None and schema.get("nullable"):
        return True
    return _kind_fits(value, schema) and _parts_fit(value, schema, root, depth)


def _same(one: Any, two: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


def _target(reference: str, root: Any) -> Any:
    for step in reference.removeprefix("#").split("/")[1:]:
        root = root.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(root, dict) else {}
    return root


def _kind_fits(value: Any, schema: dict[str, Any]) -> bool:
    named = schema.get("type")
    kinds = [named] if isinstance(named, str) else named or ()
    known = [kind for kind in kinds if kind in _KINDS or kind in ("integer", "number", "float")]
    if len(known) < len(kinds) or not kinds:
        return True
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and (isinstance(value, int) or value.is_integer())
    found = {"number", "float", *(["integer"] if whole else ())} if number else set()
    return any(kind in found or (kind in _KINDS and isinstance(value, _KINDS[kind])) for kind in kinds)


def _parts_fit(value: Any, schema: dict[str, Any], root: Any, depth: int) -> bool:
    if isinstance(value, str):
        return _text_fits(value, schema)
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        low, high = schema.get("minimum"), schema.get("maximum")
        over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        inside = (low is None or value >= low) and (high is None or value <= high)
        return inside and (over is None or value > over) and (under is None or value < under)
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        shapes = [*first, *[schema.get("items", True)] * max(len(value) - len(first), 0)]
        inside = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return inside and all(fits(item, shape, root, depth + 1) for item, shape in zip(value, shapes, strict=False))
    properties = schema.get("properties", {})
    return all(key in value for key in schema.get("required", ()) if key in properties) and all(
        fits(part, properties.get(key, schema.get("additionalProperties", True)), root, depth + 1)
        for key, part in value.items()
    )


def _text_fits(value: str, schema: dict[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if schema.get("format") == "date":
        return bool(date.fromisoformat(value))
    return True


# ---------------------------------------------------------------- all of JSON Schema


def faults(value: Any, schema: Any, root: Any, depth: int = 0) -> set[str]:
    """The keywords that a value breaks, by the letter of JSON Schema (and draft 4's `exclusiveMinimum: true`)."""
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return {"false"} if schema is False else set()
    if depth > 60:
        return set()

    def inside(part: Any, shape: Any) -> set[str]:
        return faults(part, shape, root, depth + 1)

    found: set[str] = set()
    if "$ref" in schema:
        found |= inside(value, _target(schema["$ref"], root))
    for part in schema.get("allOf", ()):
        found |= inside(value, part)
    for union in ("anyOf", "oneOf"):
        broken = [inside(value, part) for part in schema.get(union, ())]
        if broken and all(broken):
            found |= {union}.union(*broken)
        elif union == "oneOf" and sum(not one for one in broken) > 1:
            found.add(union)
    if "not" in schema and not inside(value, schema["not"]):
        found.add("not")
    if "if" in schema:
        branch = "else" if inside(value, schema["if"]) else "then"
        found |= {"if"} if inside(value, schema.get(branch, True)) else set()
    if "const" in schema and not _equal(value, schema["const"]):
        found.add("const")
    if schema.get("enum") and not any(_equal(value, choice) for choice in schema["enum"]):
        found.add("enum")
    if not _kind_fits(value, schema):
        found.add("type")
    return found | _plain_faults(value, schema, inside)


def _equal(one: Any, two: Any) -> bool:
    """As JSON has it: 1 is 1.0, and no number is a boolean."""
    if isinstance(one, bool) or isinstance(two, bool) or type(one) is not type(two):
        numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, two))
        return one is two or (numbers and one == two)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(_equal, one, two))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_equal(one[key], two[key]) for key in one)
    return bool(one == two)


def _plain_faults(value: Any, schema: dict[str, Any], inside: Any) -> set[str]:
    if isinstance(value, str):
        return _sized(len(value), schema, "Length") | (
            {"pattern"} if "pattern" in schema and not re.search(schema["pattern"], value) else set()
        ) | ({"format"} if schema.get("format") in _FORMATS and not _is_format(schema["format"], value) else set())  # fmt: skip
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, int | float):
        return _number_faults(value, schema)
    found = _sized(len(value), schema, "Items" if isinstance(value, list) else "Properties")
    if isinstance(value, list):
        first, items = schema.get("prefixItems", []), schema.get("items", True)
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems", True)
        for at, item in enumerate(value):
            found |= inside(item, first[at] if at < len(first) else items)
        if schema.get("uniqueItems") and any(_equal(a, b) for n, a in enumerate(value) for b in value[:n]):
            found.add("uniqueItems")
        if "contains" in schema and all(inside(item, schema["contains"]) for item in value):
            found.add("contains")
        return found
    return found | _object_faults(value, schema, inside)


def _object_faults(value: dict[str, Any], schema: dict[str, Any], inside: Any) -> set[str]:
    found = {"required"} if any(key not in value for key in schema.get("required", ())) else set()
    listed, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, part in value.items():
        fitting = [shape for pattern, shape in patterns.items() if re.search(pattern, key)]
        found |= inside(part, listed.get(key, True))
        for shape in fitting:
            broken = inside(part, shape)
            found |= broken | ({"patternProperties"} if broken else set())
        if key not in listed and not fitting and (broken := inside(part, schema.get("additionalProperties", True))):
            found |= broken | {"additionalProperties"}
        if "propertyNames" in schema and inside(key, schema["propertyNames"]):
            found.add("propertyNames")
        if any(due not in value for due in schema.get("dependentRequired", {}).get(key, ())):
            found.add("dependentRequired")
    return found


def _sized(size: int, schema: dict[str, Any], noun: str) -> set[str]:
    found = {f"min{noun}"} if size < schema.get(f"min{noun}", 0) else set()
    return found | ({f"max{noun}"} if size > schema.get(f"max{noun}", size) else set())


def _number_faults(value: int | float, schema: dict[str, Any]) -> set[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    over, under = low if over is True else over, high if under is True else under
    broken = {
        "minimum": low is not None and value < low,
        "maximum": high is not None and value > high,
        "exclusiveMinimum": over is not None and value <= over,
        "exclusiveMaximum": under is not None and value >= under,
        "multipleOf": "multipleOf" in schema and Fraction(repr(value)) % Fraction(repr(schema["multipleOf"])) != 0,
    }
    return {key for key, is_broken in broken.items() if is_broken}


_FORMATS = ("date", "uuid", "ipv4")


def _is_format(form: str, value: str) -> bool:
    try:
        {"date": date.fromisoformat, "uuid": UUID, "ipv4": IPv4Address}[form](value)
    except ValueError:
        return False
    return True


def random_text(automaton: Automaton, rng: random.Random, length: int) -> str:
    """A text of the grammar: at random for about `length` characters, then the shortest way to an end."""
    state, written = automaton.start(), []
    sets = automaton._grammar.sets
    while len(written) < length:
        if state.complete and (not state._frames or rng.random() < 0.2):
            break
        frame = rng.choice(state._frames)
        low, high = rng.choice(sets[~automaton._symbol[frame.position]].ranges)
        code = rng.randint(low, min(high, low + 90) if rng.random() < 0.9 else high)
        following = state.feed(chr(code))
        assert following is not None
        written.append(chr(code))
        state = following
    return "".join(written) + state.completion()
