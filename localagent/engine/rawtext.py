"""Values that were written as raw text, and the JSON value each of them stands for by its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..values import ToolSpec
from . import conform, jsonish
from .gbnf_shape import Shapes, is_number, kind_of, properties

Leaves = Sequence[Mapping[str, Any]]
"""Plain schemas, see `gbnf_shape`."""
_ANYTHING: Leaves = ({},)


@dataclass(frozen=True, slots=True)
class Tools:
    """The parameters of the tools on offer: schemas by tool and name, and each tool's whole schema."""

    parameters: Mapping[str, Mapping[str, Any]]
    roots: Mapping[str, Any] = field(default_factory=dict)
    _seen: dict[tuple[str, str], Leaves] = field(default_factory=dict, compare=False)

    def known(self, tool: str, key: str) -> bool:
        return key in self.parameters.get(tool, ())

    def value(self, tool: str, key: str, text: str) -> tuple[Any, tuple[str, ...]]:
        """What the text of one parameter means, and what was mended."""
        schema = self.parameters.get(tool, {}).get(key, {})
        return _typed(text, self._leaves(tool, key), schema, self.roots.get(tool, {}))

    def is_json(self, tool: str, key: str) -> bool:
        """Whether the values of a parameter are never strings."""
        return not {None, "string"} & {leaf.get("type") for leaf in self._leaves(tool, key)}

    def _leaves(self, tool: str, key: str) -> Leaves:
        if not self.known(tool, key):
            return _ANYTHING
        if (tool, key) not in self._seen:
            self._seen[tool, key] = _leaves(self.parameters[tool][key], self.roots.get(tool, {}))
        return self._seen[tool, key]


def tools(specs: Sequence[ToolSpec]) -> Tools:
    shapes = {spec.name: spec.parameters if isinstance(spec.parameters, Mapping) else {} for spec in specs}
    return Tools({name: properties(shape) for name, shape in shapes.items()}, shapes)


def typed(text: str, schema: Any, root: Any) -> tuple[Any, tuple[str, ...]]:
    """The value that `text` stands for: strings stand raw, everything else as JSON.

    Where both would do, JSON goes first if it fits the whole schema. Text that is no value of
    the due type stays text, for a later check to complain about.
    """
    return _typed(text, _leaves(schema, root), schema, root)


def _typed(text: str, leaves: Leaves, schema: Any, root: Any) -> tuple[Any, tuple[str, ...]]:
    kinds = {leaf.get("type") for leaf in leaves}
    if kinds == {"string"}:
        return _string(text, leaves)
    body = text.strip()
    value = jsonish.read(body)
    if value is None or value.cut or value.end != len(body):
        return text, ()
    if "string" in kinds:
        fits = not isinstance(value.value, str) and conforms(value.value, schema, root)
    else:
        fits = None in kinds or any(_of_type(value.value, kind) for kind in kinds)
    return (value.value, value.repairs) if fits else (text, ())


def _leaves(schema: Any, root: Any) -> Leaves:
    return Shapes().leaves(schema, root) or _ANYTHING


def _string(text: str, leaves: Leaves) -> tuple[str, tuple[str, ...]]:
    """Line breaks around one line are the writer's, not the value's; around several they may be meant."""
    choices = [choice for leaf in leaves for choice in leaf.get("enum", ())]
    body = text.strip() if choices else text.strip("\n")
    wrapped = body and "\n" not in body and text == f"\n{body}\n"
    long_enough = all(_within(len(body), leaf, "minLength", "") for leaf in leaves)
    if text not in choices and (body in choices if choices else wrapped and long_enough):
        return body, ("line breaks around a value",)
    return text, ()


def _of_type(value: Any, kind: Any) -> bool:
    found = kind_of(value)
    whole = found == "integer" or (found == "number" and float(value).is_integer())
    return found == kind or (kind == "number" and found == "integer") or (kind == "integer" and whole)


def conforms(value: Any, schema: Any, root: Any) -> bool:
    """Whether a JSON value fits a schema."""
    return conform.fits(schema, value, root)


def _within(size: float, leaf: Mapping[str, Any], low: str, high: str) -> bool:
    least, most = leaf.get(low), leaf.get(high)
    return (not is_number(least) or size >= least) and (not is_number(most) or size <= most)
