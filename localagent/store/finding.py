"""Words to look for, and where they stand in a text: pure.

SQLite's `unicode61` takes a run of Chinese or Japanese for one word. So each of their characters is set apart before a
text is stored, and a word of several is looked for as a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Not a character of any text: it is taken out before, and cuts words like a space.
_CUT = "\x1f"
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_TERM = re.compile(r'"([^"]*)"|(\S+)')
_MOST_TERMS = 12
_AROUND = 40


def stored(text: str) -> str:
    """The text as the index keeps it."""
    return _UNSPACED.sub(rf"{_CUT}\1{_CUT}", unicodedata.normalize("NFC", text.replace(_CUT, " ").replace("\0", " ")))


def plain(text: str) -> str:
    """The text that `stored` was given."""
    return text.replace(_CUT, "")


def terms(words: str) -> list[str]:
    """What has to be found, all of it: words, and what stands in quotes as it stands."""
    found = [quoted or word.replace('"', "") for quoted, word in _TERM.findall(words)]
    return list(dict.fromkeys(term.strip() for term in found if stored(term).strip()))[:_MOST_TERMS]


def query(term: str) -> str:
    """The FTS5 query of a term: words that begin with it."""
    return '"' + stored(term).replace('"', '""') + '"*'


def like(term: str) -> str:
    """The pattern of LIKE (escaped by `\\`) for texts that hold it anywhere, as in the middle of a German word."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", stored(term)) + "%"


def snippet(text: str, wanted: Sequence[str], around: int = _AROUND) -> str:
    """One line with the first of the wanted terms in it, and about `around` characters on each side."""
    line = " ".join(text.split())
    folded = _folded(line)
    places = [(at, len(term)) for term in wanted if (at := folded.find(_folded(" ".join(term.split())))) >= 0]
    at, length = min(places, default=(0, 0))
    begin, end = max(0, at - around), min(len(line), at + length + around)
    if begin:
        begin = line.find(" ", begin, at) + 1 or begin
    if end < len(line):
        end = max(line.rfind(" ", at + length, end), 0) or end
    return f"{'…' if begin else ''}{line[begin:end]}{'…' if end < len(line) else ''}"


def _folded(text: str) -> str:
    """Without capitals and accents, each character still one, so that a place in it is one in the text."""
    if text.isascii():
        return text.lower()
    return "".join(unicodedata.normalize("NFD", char)[0].lower()[:1] or char for char in text)
