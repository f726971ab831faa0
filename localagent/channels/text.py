"""Text within a service's limits: counted as it counts, cut where a reader would."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

_ZWJ = "\u200d"


def utf16(text: str) -> int:
    """The length in UTF-16 units, of which an emoji takes two."""
    return len(text) + sum(c > "\uffff" for c in text)


def utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def split(text: str, limit: int, measure: Callable[[str], int] = utf16) -> list[str]:
    """The text in parts of at most `limit` each (as `measure` counts), in order; one that fits stays as it is.

    A part ends after a paragraph, else a line, else a sentence, else a word, and only a word longer than a part is cut,
    between characters as a reader sees them. White space at the cuts goes, nothing else does.
    """
    if measure(text) <= limit:
        return [text]
    parts: list[str] = []
    rest = text.strip()
    while measure(rest) > limit:
        end = _fits(rest, limit, measure)
        cut = _cut(rest, end)
        if part := rest[:cut].rstrip():
            parts.append(part)
        rest = rest[cut:].lstrip("\r\n") if "\n" in rest[cut : cut + 2] else rest[cut:].lstrip()
    return [*parts, rest] if rest else parts


def _fits(text: str, limit: int, measure: Callable[[str], int]) -> int:
    """The length of the longest beginning that fits, at least one character."""
    low, high = 1, min(len(text), max(limit, 1))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) <= limit else (low, middle - 1)
    return low


def _cut(text: str, end: int) -> int:
    """Where to end a part of at most `end` characters."""
    for mark in ("\n\n", "\n"):
        # A part that is almost empty helps nobody.
        if (at := text.rfind(mark, end // 4, end + 1)) > 0:
            return at
    for mark in (". ", "! ", "? ", " "):
        if (at := text.rfind(mark, end // 2 if mark != " " else 1, end)) > 0:
            return at + len(mark)
    at = max((start for start in _starts(text[: end + 1]) if start <= end), default=0)
    return at or end


def _starts(text: str) -> Iterator[int]:
    """Where the characters that a reader sees begin: marks, joined emoji, skin tones and flags stay whole."""
    flags = 0
    for index, char in enumerate(text):
        before = text[index - 1] if index else ""
        joined = before == _ZWJ or char == _ZWJ or unicodedata.category(char) in ("Mn", "Me", "Mc")
        joined = joined or "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f"
        joined = joined or (before == "\r" and char == "\n")
        is_flag = "\U0001f1e6" <= char <= "\U0001f1ff"
        flags = flags + 1 if is_flag else 0
        if not joined and not (is_flag and flags % 2 == 0):
            yield index


def file_name(name: object, default: str = "file") -> str:
    """A name from outside as a file of ours may have it: no folder, nothing invisible, not hidden, 120 bytes at most."""
    last = str(name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in last).strip(" .")
    stem, dot, ending = plain.rpartition(".")
    if not dot or len(ending) > 12:
        stem, dot, ending = plain, "", ""
    while stem and len((stem + dot + ending).encode()) > 120:
        stem = stem[:-1]
    return (stem + dot + ending).strip(" .") or default
