"""Colours of what `do` writes for a person."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TextIO


@dataclass(slots=True)
class Style:
    """ANSI colours, or none (NO_COLOR, a pipe, a dumb terminal)."""

    on: bool

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text


def style_for(stream: TextIO) -> Style:
    return Style(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
