"""Values as plain JSON and back: dataclasses by their fields. What a field holds beside plain values stands in `NESTED`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from .values import Attachment, Change, Image, Message, Outgoing, Receipt, Text, ToolCall, ToolResult

_PARTS: dict[str, type] = {"text": Text, "image": Image}
_HIDDEN = {"generated"}

NESTED: dict[tuple[type, str], Any] = {
    (Message, "parts"): "parts",
    (Message, "calls"): (ToolCall,),
    (Message, "result"): ToolResult,
    (ToolResult, "parts"): "parts",
    (ToolResult, "requests"): (Change,),
    (ToolResult, "receipts"): (Receipt,),
    (ToolResult, "messages"): (Outgoing,),
    (Outgoing, "attachments"): (Attachment,),
}
"""Of a field that is not plain: a dataclass, a tuple of one for many of it, "parts", "texts" or "proposals"."""


def plain(value: Any) -> Any:
    """The value as JSON holds it; what is not to be written is left out."""
    if isinstance(value, Text):
        return {"type": "text", "text": value.text}
    if isinstance(value, Image):
        return {"type": "image", "sha256": value.sha256, "media_type": value.media_type}
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name not in _HIDDEN}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def build(kind: type, data: Mapping[str, Any]) -> Any:
    """The value that `plain` wrote; unknown fields are dropped. Raises ValueError and TypeError."""
    made = {}
    for name, shape in _shapes(kind):
        if name in data:
            value = data[name]
            # Most values are plain; a history is thousands of them.
            made[name] = _field(shape, value) if shape is not None or type(value) is list else value
    return kind(**made)


@cache
def _shapes(kind: type) -> tuple[tuple[str, Any], ...]:
    """The fields of a kind, each with how it is nested."""
    return tuple((f.name, NESTED.get((kind, f.name))) for f in fields(kind))


def _field(shape: Any, value: Any) -> Any:
    if value is None:
        return None
    if shape == "proposals":
        return tuple(build(Outgoing if "address" in item else Change, item) for item in value)
    if shape == "parts":
        return tuple([_part(item) for item in value])
    if shape == "texts":
        return _texts(value)
    if isinstance(shape, tuple):
        return tuple([build(shape[0], item) for item in value])
    if shape is not None:
        return build(shape, value)
    return tuple(value) if isinstance(value, list) else value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"{value!r} is no map of texts")
    return dict(value)


def _part(item: Mapping[str, Any]) -> Text | Image:
    if item.get("type") == "text":
        return Text(item["text"])
    kind = _PARTS.get(str(item.get("type")))
    if kind is None:
        raise ValueError(f"unknown part {item.get('type')!r}")
    return build(kind, item)
