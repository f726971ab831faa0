"""Words and numbers as the screen shows them: pure, and safe for a terminal."""

from __future__ import annotations

import os
import re

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


def count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def place(path: str, width: int = 40) -> str:
    """A folder with home as `~`, shortened in the middle of its parts to `width`."""
    home = os.path.expanduser("~")
    told = "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path
    told = calm(told).replace("\n", "\\u{a}").replace("\t", "\\u{9}")
    if len(told) <= width:
        return told
    return "…" + told[-(width - 1) :]


def bar(fraction: float, width: int) -> str:
    """A bar of `width` cells."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "━" * full + "─" * (width - full)


def one_line(text: str, width: int) -> str:
    line = " ".join(calm(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
