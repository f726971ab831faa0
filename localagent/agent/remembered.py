"""What is remembered and fits a request, as a model is told it: data, an entry a line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..events import Event, Supplied
from ..policy import marks
from ..policy.marks import Marks
from ..store.memory import Book
from ..store.memory_index import Remembered
from ..toolbox import recall
from . import context
from .shown import visible

COUNT, BYTES = 5, 1600
"""Of one request: entries, and bytes of them (about 400 tokens)."""
_HEAD = f'{context.REMEMBERED}, as data. "I" and "my" in it mean the user. If it answers the question, answer at once without a tool:'
# Questions for what is remembered at all: then the newest are told.
_ALL = re.compile(
    r"\bwhat (?:do|did) you (?:know|remember)\b|\bwho am i\b|\bwhat .{0,20}\bknow about me\b|"
    r"\bwas (?:wei\u00dft|wisst) du\b.{0,20}\bmich\b|\bworan erinnerst du\b|\bwer bin ich\b|"
    r"\bqu\u00e9 (?:sabes|recuerdas)\b|\bqui\u00e9n soy\b|"
    "\u4f60\u8bb0\u5f97\u4ec0\u4e48|\u4f60\u77e5\u9053\u6211|\u6211\u662f\u8c01",
    re.IGNORECASE,
)


def told(words: str, books: Sequence[Book], known: Collection[str]) -> list[Event]:
    """One event with the entries that fit and are not `known` (by their ids), none where there are none. Raises StoreError."""
    found = [hit.one for hit in recall.find(words, books) if hit.shown]
    if not found and _ALL.search(words[:2000]):
        found = recall.newest(books, COUNT)
    fresh = _within([one for one in found if one.entry.id not in known])
    if not fresh:
        return []
    lines = [f"| {_line(one)}" for one in fresh]
    seen = Marks(
        untrusted=any(not one.entry.own for one in fresh), private=True, speaks=any(marks.speaks(one.entry.text) for one in fresh)
    )
    return [Supplied("remembered", "\n".join([_HEAD, *lines]), {one.entry.id: one.entry.text for one in fresh}, seen.names)]


def _line(one: Remembered) -> str:
    about = f"; about {one.book.folder}" if one.book.folder is not None else ""
    return visible(f"{one.entry.text} ({one.entry.told}{about})", lines=False)


def _within(found: Sequence[Remembered]) -> list[Remembered]:
    left, made = BYTES, list[Remembered]()
    for one in {one.entry.id: one for one in found}.values():
        size = len(_line(one).encode("utf-8", "replace"))
        if len(made) < COUNT and size <= left:
            made.append(one)
            left -= size
    return made
