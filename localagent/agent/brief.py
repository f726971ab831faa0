"""A tool as a conversation shows it: one line of JSON, bounded and calm whatever its author wrote. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..engine.gbnf_shape import target
from ..values import ToolSpec
from .shown import visible

_NAME = re.compile(r"[A-Za-z_][\w.:/-]{0,63}", re.ASCII)
_DESCRIPTION = 150
_NOTE = 70
_CHOICES = 20
_DEPTH = 4
_PARAMETERS = 16
_PARTS = 2000
"""Of a schema, each time that it is named: one that names itself forty times has millions."""
_SOFT = 450
"""Characters of a line for the sake of which what optional parameters say of themselves goes, then what the others say."""
LINE = 1000
"""Characters of a line, at most: what does not fit in its short forms is not shown at all."""
_KEPT = ("type", "format", "minimum", "maximum", "const")


def brief(spec: ToolSpec) -> ToolSpec | None:
    """What is shown of a tool, None where that cannot be done in a line or its names are none that could be called.

    Where the whole is too long, what parameters say of themselves goes first, of optional ones at first, then their inner forms.
    """
    if not _NAME.fullmatch(spec.name):
        return None
    for notes, depth, most in (("all", _DEPTH, _SOFT), ("required", _DEPTH, _SOFT), ("", _DEPTH, LINE), ("", 1, LINE)):
        parameters = _object(spec.parameters, spec.parameters, notes, depth, [_PARTS])
        if parameters is None:
            return None
        made = replace(spec, description=_calm(spec.description, _DESCRIPTION), parameters=parameters)
        if len(line(made)) <= most:
            return made
    return None


def line(shown: ToolSpec) -> str:
    """The line of what `brief` gave."""
    facts = {"name": shown.name, "description": shown.description, "parameters": shown.parameters}
    return json.dumps(facts, ensure_ascii=False, default=dict)


def _calm(text: Any, most: int) -> str:
    """In one line, without anything that is not seen, cut behind a sentence or a word."""
    words = visible(" ".join(str(text)[: 20 * most].split()), lines=False)
    if len(words) <= most:
        return words
    cut = words[:most]
    stop = max(cut.rfind(mark) for mark in (". ", "! ", "? ", "\u3002"))
    return cut[: stop + 1] if stop > most // 3 else (cut.rpartition(" ")[0] or cut) + "…"


def _object(schema: Any, root: Any, notes: str, depth: int, left: list[int]) -> dict[str, Any] | None:
    """An object's properties; None where one of their names could pass for something else."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    made: dict[str, Any] = {"type": "object", "properties": {}}
    if not isinstance(properties, Mapping):
        return made
    required = [str(name) for name in schema.get("required", ()) if name in properties]
    kept = sorted(properties, key=lambda name: name not in required)[: max(_PARAMETERS, len(required))]
    for name in (name for name in properties if name in kept):
        if not isinstance(name, str) or len(name) > 64 or visible(name, lines=False) != name:
            return None
        inner = _schema(properties[name], root, notes if name in required or notes == "all" else "", depth, left)
        if inner is None:
            return None
        made["properties"][name] = inner
    return made | ({"required": required} if required else {})


def _schema(schema: Any, root: Any, notes: str, depth: int, left: list[int]) -> dict[str, Any] | None:
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        schema = {**(found if isinstance(found := target(schema["$ref"], root), Mapping) else {}), **schema}
    if not isinstance(schema, Mapping):
        return {}
    made = {key: _plain(schema[key]) for key in _KEPT if key in schema}
    if notes and (said := _calm(schema.get("description", ""), _NOTE)):
        made["description"] = said
    choices = schema.get("enum")
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        made["enum"] = [_plain(choice) for choice in choices[:_CHOICES]] + (["…"] if len(choices) > _CHOICES else [])
    options = schema.get("anyOf") or schema.get("oneOf")
    left[0] -= 1
    if depth <= 1 or left[0] < 0:
        return made
    if isinstance(options, Sequence) and not isinstance(options, str):
        made["anyOf"] = [part for option in options[:5] if (part := _schema(option, root, notes, depth - 1, left)) is not None]
    if "items" in schema and (items := _schema(schema["items"], root, notes, depth - 1, left)) is not None:
        made["items"] = items
    if isinstance(schema.get("properties"), Mapping):
        inner = _object(schema, root, notes, depth - 1, left)
        return None if inner is None else {**made, **inner}
    return made


def _plain(value: Any) -> Any:
    """A short value as it is, without anything that is not seen."""
    if isinstance(value, str):
        return _calm(value, _NOTE)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value[:5]]
    return value if isinstance(value, int | float | bool) or value is None else _calm(json.dumps(value, default=str), _NOTE)
