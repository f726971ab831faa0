"""The sentences about what was shown to the model because it fits or counts: tools, instructions, what is remembered. Pure."""

from __future__ import annotations

from pathlib import PurePath

from ..agent.shown import visible
from ..events import Supplied, ToolsOffered
from .words import t


def told(event: ToolsOffered) -> str:
    return t("Tools offered: {names}", names=", ".join(visible(spec.name, lines=False) for spec in event.tools))


def supplied(event: Supplied) -> str:
    if event.kind == "remembered":
        return t("From memory: {texts}", texts=" · ".join(visible(text, lines=False) for text in event.items.values()))
    names = ", ".join(visible("/".join(PurePath(name).parts[-2:]), lines=False) for name in event.items)
    return t("Instructions that count: {names}", names=names) if names else t("No instructions count any more.")
