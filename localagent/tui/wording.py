"""Words and numbers as the screen shows them: pure, and safe for a terminal."""

from __future__ import annotations

import os
import re
import unicodedata

from rich.cells import cell_len, chop_cells, set_cell_size

from ..agent.plain import calm

# CSI and OSC sequences, then any other escape with its letter.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")


def plain_output(text: str) -> str:
    """A program's output as lines: without colours, with a progress line as it was last drawn."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return calm(text)


def seconds(value: float) -> str:
    """`0.4 s`, `12 s`, `3:05`, `1:02:03`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def place(path: str, width: int = 40) -> str:
    """A folder with home as `~`, shortened in the middle of its parts to `width`."""
    home = os.path.expanduser("~")
    told = "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path
    told = calm(told).replace("\n", "\\u{a}").replace("\t", "\\u{9}")
    if cell_len(told) <= width:
        return told
    while cell_len(told) > width - 1:
        told = told[1:]
    return "…" + told


def bar(fraction: float, width: int) -> str:
    """A bar of `width` cells."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "━" * full + "─" * (width - full)


def one_line(text: str, width: int) -> str:
    line = " ".join(calm(text).split())
    return cut(line, width)


def cut(text: str, width: int) -> str:
    """A line of at most `width` cells, with a sign where something is missing."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip(" ") + "…"


def wrapped(text: str, width: int) -> list[str]:
    """The words in lines of at most `width` cells; at least one line. What has no spaces is broken anywhere."""
    lines = [""]
    for word in text.split():
        parts = _breakable(word, width) if cell_len(word) > len(word) else chop_cells(word, width)
        for n, part in enumerate(parts):
            gap = " " if n == 0 and lines[-1] else ""
            if cell_len(lines[-1] + gap + part) <= width:
                lines[-1] += gap + part
            else:
                lines.append(part)
    return lines


def _breakable(word: str, width: int) -> list[str]:
    """The pieces of a word without spaces: its wide characters, what closes something with what it closes, narrow words whole."""
    parts: list[str] = []
    for char in word:
        closes = unicodedata.category(char) in ("Pe", "Pf", "Po")
        if parts and (closes or (char.isascii() and parts[-1][-1].isascii())):
            parts[-1] += char
        else:
            parts.append(char)
    return [piece for part in parts for piece in chop_cells(part, width)]


def padded(text: str, width: int) -> str:
    """The text with spaces behind it up to `width` cells."""
    return text + " " * max(0, width - cell_len(text))
