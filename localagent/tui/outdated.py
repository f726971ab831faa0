"""Marks on what others have changed since the model saw it, and the sentence about it. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..events import Nudged
from .words import t

_NAMED = 3


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """Call -> the names of its files that are not what they were any more; of every other call none are."""

    calls: Mapping[str, tuple[str, ...]]


def marked(items: tuple[Any, ...], event: FilesChanged) -> tuple[Any, ...]:
    """The items, each `Tool` among them with its `outdated`; the same tuple where nothing is another."""
    made = tuple(_marked(item, event.calls) for item in items)
    return items if all(one is other for one, other in zip(made, items, strict=True)) else made


def _marked(item: Any, calls: Mapping[str, tuple[str, ...]]) -> Any:
    if not hasattr(item, "outdated"):
        return item
    names = calls.get(item.call.id, ())
    return item if names == item.outdated else replace(item, outdated=names)


def told(event: Nudged) -> str:
    """What the person reads when the model is told of changed files."""
    names = [os.path.basename(path) for path in event.files]
    more = t(" and {count} more", count=len(names) - _NAMED) if len(names) > _NAMED else ""
    shown = ", ".join(names[:_NAMED]) + more
    return t("Changed by others since the model saw it, which it is told now: {names}", names=shown)
