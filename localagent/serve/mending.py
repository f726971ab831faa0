"""Arguments that break their schema, mended where there is one way to read them.

Nothing is guessed and nothing is thrown away: a value may be written in the type that is asked
for, a name in the case that is known. Where that does not help, the model is asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import conform
from ..engine.gbnf_shape import kinds, names, target

_DEPTH = 16
_READINGS = 200
"""Of the parts of one call: unions within unions can be read in more ways than anybody waits for."""
_WRAPPERS = ("arguments", "args", "parameters", "params", "input", "kwargs")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
_ABSENT = object()


def mended(schema: Mapping[str, Any], args: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The arguments as the schema wants them, themselves where they are; None where they cannot be read so."""
    found: Any = dict(args)
    try:
        if not conform.problems(schema, found):
            return args
        if len(found) == 1:
            ((name, inner),) = found.items()
            known = _properties(schema)
            found = inner if name in _WRAPPERS and name not in known and isinstance(inner, dict) else found
        found = _Reader(schema).read(schema, found, 0)
    except RecursionError:
        return None
    return found if isinstance(found, dict) and not conform.problems(schema, found) else None


def named(name: str, known: Sequence[str]) -> str | None:
    """Which of the known names is meant: itself, or the only one that is written with the same letters and digits."""
    if name in known:
        return name
    same = [one for one in known if _letters(one) == _letters(name)]
    return same[0] if len(same) == 1 and _letters(name) else None


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


class _Reader:
    """Reads the parts of one call; `root` is where the references of its schema begin."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _READINGS

    def read(self, schema: Any, value: Any, depth: int) -> Any:
        """The value in the type that the schema asks for; itself where that is open, or cannot be."""
        for _ in range(_DEPTH):
            if not (isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str)):
                break
            schema = target(schema["$ref"], self._root)
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _DEPTH or self._left < 0 or self._fits(schema, value):
            return value
        tried = [self._typed(kind, schema, value, depth) for kind in kinds(schema) or ("object",)]
        for union in ("anyOf", "oneOf"):
            options = schema.get(union)
            tried += [self.read(option, value, depth + 1) for option in options] if isinstance(options, list) else []
        tried.append(_choice(schema, value))
        told = {json.dumps(one, sort_keys=True): one for one in tried if one is not _ABSENT and self._fits(schema, one)}
        if len(told) == 1:
            return next(iter(told.values()))
        # Its parts may be right now though the whole is not.
        return value if told or tried[0] is _ABSENT else tried[0]

    def _fits(self, schema: Any, value: Any) -> bool:
        return conform.fits(schema, value, self._root)

    def _typed(self, kind: str, schema: Mapping[str, Any], value: Any, depth: int) -> Any:
        if kind == "object":
            value = _parsed(value, dict)
            return self._object(schema, value, depth) if isinstance(value, dict) else _ABSENT
        if kind == "array":
            value, items = _parsed(value, list), schema.get("items")
            values = value if isinstance(value, list) else [value]
            return [self.read(items, one, depth + 1) for one in values]
        if kind in ("integer", "number"):
            return _number(value, whole=kind == "integer")
        if kind == "boolean" and isinstance(value, str):
            return {"true": True, "false": False}.get(value.strip().lower(), _ABSENT)
        if kind == "string" and isinstance(value, int | float):
            return json.dumps(value)
        return _ABSENT

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], depth: int) -> Any:
        """Known names in their own spelling, each value as its property wants it, no optional null that may not be."""
        known, due = _properties(schema), names(schema.get("required"))
        found: dict[str, Any] = {}
        for name, inner in value.items():
            meant = name if name in known else named(name, [one for one in known if one not in value])
            if meant in found:
                return _ABSENT
            shape = known[meant] if meant else schema.get("additionalProperties", True)
            if inner is None and meant not in due and not self._fits(shape, None):
                continue
            found[meant or name] = self.read(shape, inner, depth + 1)
        return found


def _number(value: Any, *, whole: bool) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _ABSENT
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def _choice(schema: Mapping[str, Any], value: Any) -> Any:
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(choices, list) or not isinstance(value, str | int | float):
        return _ABSENT
    same = [one for one in choices if str(one).strip().casefold() == str(value).strip().casefold()]
    return same[0] if len(same) == 1 else _ABSENT


def _parsed(value: Any, kind: type) -> Any:
    """What a text holds where it is JSON of that kind, else the value itself."""
    if not isinstance(value, str) or value.strip()[:1] not in ("{", "["):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, kind) else value
