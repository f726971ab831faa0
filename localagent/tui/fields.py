"""Lines and texts to write in that are safe to draw: what came from a model or a file is edited in them, too.

Textual writes the characters of a field to the terminal as they are. Here each that a terminal would act on, or that
cannot be seen, is drawn as a sign of its own; the text itself keeps it.
"""

from __future__ import annotations

import re

from rich.text import Text
from textual.widgets import Input, TextArea

_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u2069\u2800\u3164\ufeff\uffa0\ud800-\udfff\U000e0000-\U000e0fff]"
)


def drawn(text: str) -> str:
    """As many characters, none of which moves a cursor, turns the reading direction or hides."""
    return _UNSAFE.sub(_sign, text) if not text.isprintable() or not text.isascii() else text


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    # The pictures of the control characters, as fonts have them.
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


class Field(Input):
    """A line."""

    @property
    def _value(self) -> Text:
        made = super()._value
        made.plain = drawn(made.plain)
        return made


class Area(TextArea):
    """A text of several lines."""

    def get_line(self, line_index: int) -> Text:
        made = super().get_line(line_index)
        made.plain = drawn(made.plain)
        return made
