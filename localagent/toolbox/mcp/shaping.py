"""Servers' JSON Schemas as our tools have them, and whether arguments fit what the server really wrote.

What the engine's grammar cannot say it leaves open, so every call is checked against the schema itself before anybody is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

_DEPTH, _PARTS, _MERGED = 40, 5000, 2000
_LONGEST_PATTERN = 300
# A repeated group behind a choice or a repetition, and what is to be the same again, can take for ever to say no.
_ENDLESS = re.compile(r"[*+}|?].*\)[*+{]|\)[*+{].*\)[*+{]")
_ATOMS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
# How long a text may be for a pattern with so many repetitions: each may try every place for every place of the others.
_LENGTHS = (5000, 5000, 400, 100, 60)
_WORK = 20_000
_TOLD, _SHOWN = 3, 300


def parameters(schema: Any) -> dict[str, Any]:
    """A closed object schema of any draft's text; what it refers to, or puts together at its root, is written out there.

    An object of which nothing is named stays open.
    """
    root = _tidied(schema) if isinstance(schema, Mapping) else {}
    made = _object(root, root, 0, [_MERGED])
    made["type"] = "object"
    listed = made.setdefault("properties", {})
    made["required"] = [name for name in made.get("required", []) if isinstance(name, str) and name in listed]
    extra = made.get("additionalProperties")
    described = extra if isinstance(extra, Mapping) and extra else extra is not False and _speaks(root)
    made["additionalProperties"] = described if not listed else False
    for word in ("$ref", "allOf", "anyOf", "oneOf", "$schema", "$id", "title"):
        made.pop(word, None)
    return made


def _speaks(root: Mapping[str, Any]) -> bool:
    """Whether the schema says that there may be arguments, though it names none: `{"type": "object"}` alone is a tool without any."""
    return "additionalProperties" in root or "patternProperties" in root or "propertyNames" in root


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int, left: list[int]) -> dict[str, Any]:
    """The schema with the properties of its parts in it; of no more than `left` parts, for two references a level are millions."""
    made = dict(schema)
    left[0] -= 1
    if depth > _DEPTH or left[0] < 0:
        return made
    parts: list[tuple[Mapping[str, Any], bool]] = []
    if isinstance(ref := schema.get("$ref"), str) and (found := _target(ref, root)) is not None:
        parts.append((found, True))
    for word in ("allOf", "anyOf", "oneOf"):
        listed = schema.get(word)
        parts += [(part, word == "allOf") for part in listed if isinstance(part, Mapping)] if isinstance(listed, list) else []
    for part, due in parts:
        inner = _object(part, root, depth + 1, left)
        made["properties"] = {**_mapping(inner.get("properties")), **_mapping(made.get("properties"))}
        if due:
            made["required"] = list(dict.fromkeys([*_list(made.get("required")), *_list(inner.get("required"))]))
    if not isinstance(made.get("properties"), Mapping):
        made["properties"] = {}
    made["required"] = _list(made.get("required"))
    return made


def _target(ref: str, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not ref.startswith("#"):
        return None
    found: Any = root
    for step in ref.lstrip("#").strip("/").split("/") if ref.strip("#/") else ():
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) and found is not root else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _tidied(schema: Any, depth: int = 0) -> Any:
    """The same in today's words: exclusive bounds of draft 4, tuples in `items`; nothing in it that names a place elsewhere."""
    if isinstance(schema, list):
        return [_tidied(part, depth + 1) for part in schema] if depth < _DEPTH else []
    if not isinstance(schema, Mapping):
        return schema
    if depth >= _DEPTH:
        return {}
    made = {str(key): _tidied(value, depth + 1) for key, value in schema.items()}
    for old, new in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if made.get(old) is True and isinstance(made.get(new), int | float):
            made[old] = made.pop(new)
        elif isinstance(made.get(old), bool):
            del made[old]
    if isinstance(made.get("items"), list) and "properties" not in made:
        made["prefixItems"] = made.pop("items")
        made["items"] = made.pop("additionalItems", True)
    if isinstance(ref := made.get("$ref"), str) and not ref.startswith("#"):
        del made["$ref"]
    return made


def wrong(schema: Any, args: Mapping[str, Any]) -> list[str]:
    """What in these arguments does not fit, as sentences; none where the schema itself cannot be used."""
    import jsonschema
    import referencing

    plain = _tidied(schema)
    kind = jsonschema.validators.validator_for(plain, default=jsonschema.Draft202012Validator)
    if not _held(plain):
        return []
    left = _left.set([_WORK])
    try:
        # Without a registry of its own it would fetch what a schema refers to.
        checker = _counting(kind)(plain, registry=referencing.Registry())
        found = sorted(checker.iter_errors(dict(args)), key=lambda error: list(map(str, error.path)))
    except Exception:  # noqa: BLE001 - a schema can be broken in as many ways as there are keywords; the server looks itself
        return []
    finally:
        _left.reset(left)
    return [_said(error) for error in found[:_TOLD]]


class _Enough(Exception):
    """The schema takes more work than a call is worth."""


_left: ContextVar[list[int]] = ContextVar("_left")


@lru_cache(maxsize=8)
def _counting(kind: Any) -> Any:
    """The same validator, which gives up behind `_WORK` steps: references to references can stand for millions."""
    import jsonschema

    def counted(check: Callable[..., Any]) -> Callable[..., Any]:
        def step(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            left = _left.get()
            left[0] -= 1
            if left[0] < 0:
                raise _Enough
            return check(validator, value, instance, schema)

        return step

    checks = {**kind.VALIDATORS, "pattern": _pattern}
    return jsonschema.validators.extend(kind, {word: counted(check) for word, check in checks.items()})


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    import jsonschema

    if isinstance(instance, str) and len(instance) <= _LENGTHS[_weight(pattern)] and not re.search(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _said(error: Any) -> str:
    where = ".".join(map(str, error.absolute_path))
    text = error.message if len(error.message) <= _SHOWN else error.message[:_SHOWN] + " …"
    return f"{where!r}: {text}." if where else f"{text}."


def _held(schema: Any) -> bool:
    """Take out of the schema what could take for ever, or have it read by other rules; False where it is too large for that."""
    for number, part in enumerate(_parts(schema)):
        if number >= _PARTS:
            return False
        for word, kinds in (("$schema", str), ("unevaluatedProperties", bool | dict), ("unevaluatedItems", bool | dict)):
            if isinstance(part.get(word), kinds):
                del part[word]
        if isinstance(pattern := part.get("pattern"), str) and _risky(pattern):
            del part["pattern"]
        if isinstance(named := part.get("patternProperties"), dict):
            part["patternProperties"] = {key: value for key, value in named.items() if not _risky(key) and _weight(key) < 2}
            if len(part["patternProperties"]) < len(named) and part.get("additionalProperties") is False:
                del part["additionalProperties"]
    return True


def _risky(pattern: str) -> bool:
    plain = _ATOMS.sub("x", pattern)
    return len(pattern) > _LONGEST_PATTERN or bool(re.search(r"\\[0-9]|\(\?P=", pattern) or _ENDLESS.search(plain)) or _weight(pattern) > 4


def _weight(pattern: str) -> int:
    """How many repetitions a pattern holds; two things that may be there or not count as one."""
    plain = re.sub(r"\(\?", "(", _ATOMS.sub("x", pattern))
    return sum(map(plain.count, "*+{")) + (plain.count("?") + 1) // 2


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    todo = [schema]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            yield one
            todo += one.values()
        elif isinstance(one, list):
            todo += one
