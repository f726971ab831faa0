"""An index of tools by the words in their names, servers, descriptions and parameters. Pure; it can be kept as plain JSON.

Each word has a list of the tools that have it with a weight: a word counts more in a name than in a description, there more than in
what parameters say, and the second time it counts less than the first (BM25 with fields).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...values import ToolSpec
from . import hints
from .lexicon import lexicon
from .vocabulary import Vocabulary
from .words import EMPTY, content, runs, spaceless, stem, words

VERSION = 2
_READ = 4000
"""Characters of a tool's texts that are looked at."""
_NAME, _SERVER, _FIRST, _REST, _KEY, _TOLD = 6.0, 2.0, 3.0, 1.2, 1.0, 0.5
_OTHER = 0.8
# Servers are called so too, and whoever says one of these does not mean a server.
_EVERYDAY = frozenset(map(stem, "time fetch weather email word search line mobile chart calc home assistant server mcp google".split()))
_K, _B = 1.6, 0.35
_FEW = 20
"""Among fewer tools no word is told from others by how many have it."""
_URL_KEYS = frozenset(("url", "urls", "uri", "link", "href", "webpage", "website"))
URL = "\x01url"
"""Stands for an address of the web, in a request as in the parameters of a tool."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is judged of a tool: the words of its name, and those of its server."""

    name: tuple[str, ...]
    server: tuple[str, ...]


class Index:
    """`held` leads from a word to pairs of a tool's number and the word's weight there in hundredths."""

    def __init__(self, entries: Sequence[Entry], held: Mapping[str, Sequence[int]]) -> None:
        self.entries = tuple(entries)
        self._held = held
        self.servers = frozenset(word for entry in self.entries for word in entry.server) - _EVERYDAY
        self._impacts: dict[str, dict[int, float]] = {}
        self.vocabulary = Vocabulary(held)

    @classmethod
    def of(cls, specs: Sequence[ToolSpec]) -> Index:
        weights = [_weights(spec) for spec in specs]
        mean = sum(size for _, _, size in weights) / max(1, len(weights))
        held: dict[str, list[int]] = {}
        for number, (_, found, size) in enumerate(weights):
            length = 1 - _B + _B * size / max(mean, 1.0)
            for word, weight in found.items():
                held.setdefault(word, []).extend((number, round(100 * weight / length)))
        return cls([entry for entry, _, _ in weights], held)

    # ------------------------------------------------------------ kept

    def to_json(self) -> dict[str, Any]:
        return {"entries": [[entry.name, entry.server] for entry in self.entries], "held": self._held}

    @classmethod
    def from_json(cls, kept: Any) -> Index:
        """Raises TypeError, ValueError, KeyError or AttributeError for what `to_json` has not written."""
        entries = [Entry(tuple(map(str, name)), tuple(map(str, server))) for name, server in kept["entries"]]
        held = {str(word): numbers for word, numbers in kept["held"].items()}
        if not all(set(map(type, numbers)) <= {int} and len(numbers) % 2 == 0 for numbers in held.values()):
            raise ValueError("weights are numbers")
        if any(min(numbers[::2], default=0) < 0 or max(numbers[::2], default=0) >= len(entries) for numbers in held.values()):
            raise ValueError("there is no such tool")
        return cls(entries, held)

    # ------------------------------------------------------------ asked

    def __contains__(self, word: str) -> bool:
        return word in self._held

    def levels(self, word: str) -> dict[int, float]:
        """The tools that have a word, with how much it stands for them: 1 in a name, less in the first sentence, little in what follows."""
        numbers = self._held.get(word, ())
        return {at: self._level(word, at, weight) for at, weight in zip(numbers[::2], numbers[1::2], strict=True)}

    def _level(self, word: str, at: int, weight: int) -> float:
        entry = self.entries[at]
        return 1.0 if word in entry.name else 0.8 if word in entry.server else 0.9 if weight >= 400 else 0.65 if weight >= 180 else 0.4

    def rare(self, word: str) -> float:
        """How much a word tells: more the fewer tools have it, at least a little."""
        count, total = len(self._held.get(word, ())) // 2, max(_FEW, len(self.entries))
        return max(0.1, math.log(1 + (total - count + 0.5) / (count + 0.5)))

    def impacts(self, word: str) -> dict[int, float]:
        """The tools that have a word, with what it adds to their score."""
        found = self._impacts.get(word)
        if found is None:
            numbers, rare = self._held.get(word, ()), self.rare(word)
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            found = {at: rare * weight * (_K + 1) / (weight + 100 * _K) for at, weight in pairs}
            self._impacts[word] = found
        return found


def _weights(spec: ToolSpec) -> tuple[Entry, dict[str, float], int]:
    """What is judged of a tool, its words with their weights, and how many there are."""
    found: dict[str, float] = {}
    size = 0

    def take(text: str, weight: float, most: int = 3) -> None:
        nonlocal size
        seen: dict[str, int] = {}
        for word in content(text):
            if (times := seen.get(word, 0)) >= most:
                continue
            seen[word] = times + 1
            size += 1
            found[word] = found.get(word, 0.0) + weight

    name = tuple(dict.fromkeys(word for word in words(spec.name)))
    server = tuple(dict.fromkeys(content(spec.source.partition(":")[2]))) if spec.source.startswith("mcp:") else ()
    take(" ".join((spec.name, hints.said(spec.name))), _NAME, 1)
    take(" ".join(server), _SERVER, 1)
    first, rest = _parted(spec.description[:_READ])
    take(first, _FIRST, 1)
    for text, weight in ((spec.name, _NAME), (first, _FIRST)):
        for word in _translated(text):
            found.setdefault(word, weight * _OTHER)
    take(rest, _REST)
    told = list(_told(spec.parameters))
    take(" ".join(key for key, _ in told), _KEY, 1)
    take(" ".join(said for _, said in told)[:_READ], _TOLD, 2)
    if any(_URL_KEYS & set(words(key)) for key, _ in told[:40]):
        found[URL] = _NAME
    return Entry(name, server), found, size


def _translated(text: str) -> Iterator[str]:
    """English words of what is said in another language."""
    if text.isascii():
        return
    known = lexicon()
    for run in runs(text):
        if run.isascii() or run in EMPTY:
            continue
        for row in (row for _, rows in known.held(run) for row in rows) if spaceless(run) else known.meant(run):
            yield from row


def _parted(text: str) -> tuple[str, str]:
    """The first sentence or line, and what follows."""
    ends = [at for mark in (". ", "\n", "\u3002") if (at := text.find(mark, 8)) > 0]
    cut = min([*ends, 240, len(text)])
    return text[:cut], text[cut:]


def _told(schema: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Names of the parameters, with their descriptions and choices."""
    if not isinstance(schema, Mapping) or depth > 3:
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if not isinstance(inner, Mapping):
            yield str(name), ""
            continue
        choices = inner.get("enum")
        chosen = [str(choice)[:40] for choice in choices[:40]] if isinstance(choices, list | tuple) else []
        yield str(name), " ".join([str(inner.get("description", ""))[:400], *chosen])
        yield from _told(inner, depth + 1)
        yield from _told(inner.get("items"), depth + 1)
