"""What a plain schema (see `gbnf_shape`) asks for that no grammar of ours holds, keyword by keyword."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import gbnf_pattern
from .gbnf_shape import fields, is_count, spelled

MAX_LENGTH = 4096
"""The longest `maxLength` that is held."""
MAX_LEAST_LENGTH = 1000
MAX_ITEMS = 1000
MAX_CHOICES = 10_000
_NAMED = {"pattern", "format", "enum", "const", "minLength", "maxLength", "type", "title", "description"}
_LOOSE_FORMATS = {"date-time", "time"}
"""A time without a zone is let through: models mean the local one by it."""


def strings(leaf: Mapping[str, Any], usable: tuple[str, ...]) -> Iterator[str]:
    """`usable` are the patterns that are held."""
    low, high = is_count(leaf.get("minLength")), is_count(leaf.get("maxLength"))
    if any(not isinstance(one, str) or one not in usable for one in leaf.get("pattern", ())):
        yield "pattern"
    formats = [one if isinstance(one, str) else "" for one in leaf.get("format", ())]
    if any(one in _LOOSE_FORMATS or gbnf_pattern.FORMATS.get(one) not in usable for one in formats):
        yield "format"
    if "minLength" in leaf and (low is None or low > MAX_LEAST_LENGTH):
        yield "minLength"
    if "maxLength" in leaf and (high is None or not (low or 0) <= high <= MAX_LENGTH):
        yield "maxLength"


def arrays(leaf: Mapping[str, Any], *, many: bool) -> Iterator[str]:
    """`many`: its bounds and those around it multiply too far."""
    low, high = is_count(leaf.get("minItems")), is_count(leaf.get("maxItems"))
    if "minItems" in leaf and (low is None or low > MAX_ITEMS or many):
        yield "minItems"
    if "maxItems" in leaf and (high is None or not (low or 0) <= high <= MAX_ITEMS or many):
        yield "maxItems"
    if leaf.get("items") is False and (low or 0) > 0:
        yield "minItems"


def objects(leaf: Mapping[str, Any]) -> Iterator[str]:
    found = [field for field in fields(leaf) if spelled(field.name)]
    due = sum(field.required for field in found)
    low, high = is_count(leaf.get("minProperties")), is_count(leaf.get("maxProperties"))
    if "minProperties" in leaf and (low is None or low > max(1, due) or (not found and _shut(leaf))):
        yield "minProperties"
    most = len(found) if found and _shut(leaf) else None
    counted = high is not None and (high >= most if most is not None else not found and 0 < high <= MAX_ITEMS)
    if "maxProperties" in leaf and not counted:
        yield "maxProperties"
    if "patternProperties" in leaf and (found or not _readable(leaf["patternProperties"])):
        yield "patternProperties"
    if "propertyNames" in leaf and (found or not _nameable(leaf["propertyNames"])):
        yield "propertyNames"
    known = {field.name for field in found}
    if any(name not in known for name in leaf.get("required", ()) if isinstance(name, str)):
        yield "required"


def _shut(leaf: Mapping[str, Any]) -> bool:
    """Whether there are no properties but those that are listed."""
    extra = leaf.get("additionalProperties")
    return (extra is False or (extra is None and "properties" in leaf)) and not leaf.get("patternProperties")


def _readable(patterns: Any) -> bool:
    return isinstance(patterns, Mapping) and all(
        isinstance(one, str) and gbnf_pattern.readable(one) for one in patterns
    )


def _nameable(shape: Any) -> bool:
    if not isinstance(shape, Mapping) or shape.keys() - _NAMED:
        return False
    low, high = is_count(shape.get("minLength")) or 0, is_count(shape.get("maxLength"))
    plain = {key: [shape[key]] for key in ("pattern", "format") if key in shape}
    lengths = low <= gbnf_pattern.MAX_LEAST_NAME and (
        "maxLength" not in shape or (high or 999) <= gbnf_pattern.MAX_NAME
    )
    return lengths and not [
        *strings(plain, tuple(one for one in gbnf_pattern.asked(plain) if gbnf_pattern.readable(one)))
    ]
