"""Words of one meaning, in English and in other languages: what a request can mean in the words that tools are described with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .words import plain, spaceless, stem

_LONGEST = 8
_WORD = 40
"""Letters of the longest word that is looked at: each of its parts is looked up."""
# Arabic writes articles, "and" and "in" in front of a word without a space.
_JOINED = ("", "\u0627\u0644", "\u0648\u0627\u0644", "\u0628\u0627\u0644", "\u0644\u0644", "\u0648", "\u0628", "\u0644", "\u0641")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`begins`, `holds` and `phrases` lead from other languages to rows of English stems, `alike` from such a stem to its rows."""

    rows: tuple[tuple[str, ...], ...]
    begins: dict[str, tuple[int, ...]]
    holds: dict[str, tuple[int, ...]]
    phrases: tuple[tuple[str, int], ...]
    alike: dict[str, tuple[int, ...]]

    def synonyms(self, one: str) -> tuple[str, ...]:
        """Other English stems of the same meaning."""
        return tuple(word for row in self.alike.get(one, ()) for word in self.rows[row] if word != one)

    def meant(self, word: str) -> tuple[tuple[str, ...], ...]:
        """The rows of a word of a language with spaces, those of its longest known beginning; of a compound also of its last part."""
        if "\u0621" <= word[0] <= "\u064a":
            return next((rows for start in _JOINED if word.startswith(start) and (rows := self._meant(word[len(start) :]))), ())
        return self._meant(word)

    def _meant(self, word: str) -> tuple[tuple[str, ...], ...]:
        if len(word) > _WORD:
            return ()
        for end in range(len(word), 2, -1):
            if (rows := self.begins.get(word[:end])) and len(word) - end <= _beyond(end):
                return self._rows(rows)
        for at in range(3, len(word) - 4) if len(word) > 8 else ():
            for end in range(len(word), at + 4, -1):
                if (rows := self.begins.get(word[at:end])) and len(word) - end <= 3:
                    return self._rows(rows)
        return ()

    def held(self, run: str) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
        """What a run of a language without spaces holds, with the rows of each."""
        made, at = [], 0
        while at < len(run):
            size = next((size for size in range(min(_LONGEST, len(run) - at), 0, -1) if run[at : at + size] in self.holds), 0)
            if size:
                made.append((run[at : at + size], self._rows(self.holds[run[at : at + size]])))
            at += size or 1
        return tuple(made)

    def phrased(self, text: str) -> tuple[tuple[str, ...], ...]:
        """The rows of the phrases in a text of plain words with one space around each."""
        return self._rows(tuple(dict.fromkeys(row for phrase, row in self.phrases if phrase in text)))

    def _rows(self, rows: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(self.rows[row] for row in rows)


def _beyond(end: int) -> int:
    """How many letters may follow a known beginning of this length."""
    return 1 if end < 4 else 3 if end < 5 else 9


@lru_cache(1)
def lexicon() -> Lexicon:
    """The one that we ship."""
    rows: list[tuple[str, ...]] = []
    begins: dict[str, list[int]] = {}
    holds: dict[str, list[int]] = {}
    alike: dict[str, list[int]] = {}
    phrases: list[tuple[str, int]] = []
    for line in Path(__file__).with_name("lexicon.txt").read_text(encoding="utf-8").splitlines():
        ours, _, others = line.partition(" = ")
        row = tuple(dict.fromkeys(stem(word) for word in ours.split()))
        for word in row:
            alike.setdefault(word, []).append(len(rows))
        for key in map(plain, others.split()):
            if "-" in key:
                phrases.append((" " + key.replace("-", " "), len(rows)))
            elif spaceless(key):
                holds.setdefault(key, []).append(len(rows))
            elif len(key) > 2:
                begins.setdefault(key, []).append(len(rows))
        rows.append(row)

    def once(found: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
        return {key: tuple(dict.fromkeys(numbers)) for key, numbers in found.items()}

    return Lexicon(tuple(rows), once(begins), once(holds), tuple(phrases), once(alike))
