"""The sentence about tools that were shown to the model because they fit. Pure."""

from __future__ import annotations

from ..agent.shown import visible
from ..events import ToolsOffered
from .words import t


def told(event: ToolsOffered) -> str:
    return t("Tools offered: {names}", names=", ".join(visible(spec.name, lines=False) for spec in event.tools))
