"""How much of a call's arguments the conversation itself supports.

A small model that has nothing to go by invents values: a user name, a city, an example
address. Whether a value was ever said is a fact about texts, and needs no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..values import ToolCall, ToolSpec

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_PART = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[^\W\d_A-Z]+")
"""A word of a name: `SearchHotel` and `search_hotel` have two."""
_SUBJECT = 3
_DESCRIBED = 60
"""So many words of a description are looked at."""
_STEM = 5
"""Words that share so many first letters count as one: `pumpkins` supports `pumpkin`."""
_CODE = 3
"""A value so short is taken for a code: `EUR` for euros, `fr` for French."""
_DECIMALS = 3
"""A number with so many is nothing that people say: a coordinate or a constant comes from what the model knows."""
_SPOKEN = {
    word: float(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {"half": 0.5, "dozen": 12.0, "hundred": 100.0, "thousand": 1000.0, "million": 1e6}

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_PERCENT = re.compile(r"\s?(?:%|per ?cent)")


@dataclass(frozen=True, slots=True)
class Source:
    """Texts a value may come from, read once."""

    text: str
    words: frozenset[str]
    stems: frozenset[str]
    starts: frozenset[str]
    numbers: frozenset[float]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Source:
        text = _plain(" ".join(texts))
        words = frozenset(_WORD.findall(text.replace("_", " ")))
        numbers = {_SPOKEN[word] for word in words if word in _SPOKEN}
        for found in _NUMBER.finditer(text):
            read = set(_readings(found.group()))
            # Looked for behind each number once: a pattern of both would try every part of a long one.
            percent = _PERCENT.match(text, found.end())
            numbers |= read | {round(number / 100, 9) for number in read} if percent else read
        numbers |= {float(at) for at, month in enumerate(_MONTHS, 1) if any(word.startswith(month) for word in words)}
        stems = frozenset(word[:_STEM] for word in words if len(word) >= _STEM)
        starts = frozenset(word[:length] for word in words for length in range(1, _CODE + 1))
        return cls(text, words, stems, starts, frozenset(numbers))


def support(value: Any, source: Source) -> float | None:
    """The share of a value that the source says, 0 to 1; None for what no text could say (true, false, 40.7128)."""
    match value:
        case bool() | None:
            return None
        case int() | float():
            # Texts say a sign in many ways: "-5", "minus five", "five less". Whole numbers compare at any size.
            if abs(value) in source.numbers:
                return 1.0
            return None if _fine(value) else 0.0
        case str():
            return _share(value, source)
        case Mapping():
            return _mean(support(part, source) for part in value.values())
        case list() | tuple():
            return _mean(support(part, source) for part in value)
    return None


def backing(call: ToolCall, spec: ToolSpec, source: Source) -> float | None:
    """How far the source says a call's arguments, 0 to 1; None where no text could say any of them.

    Halfway between the argument that is said least and the mean of all: one invented value tells
    more than its share, and optional ones are invented like required ones.
    """
    properties = spec.parameters.get("properties", {})
    asked = (value for name, value in call.args.items() if not _chosen(properties.get(name), value))
    known = [share for share in (support(value, source) for value in asked) if share is not None]
    return (min(known) + sum(known) / len(known)) / 2 if known else None


def named(call: ToolCall, spec: ToolSpec, source: Source) -> float:
    """How far the source speaks of the tool, 0 to 1: half by the words of its name, half by those of its description.

    All words of the name count, of the description any `_SUBJECT`.
    """
    name = _told(_PART.findall(call.name))
    description = set(_told(_WORD.findall(spec.description)[:_DESCRIBED]))
    by_name = sum(_said(word, source) for word in name) / len(name) if name else 0.0
    by_description = min(1.0, sum(_said(word, source) for word in description) / _SUBJECT)
    return (by_name + by_description) / 2


def _told(words: Iterable[str]) -> list[str]:
    """Those that tell something: not the short ones of Latin script."""
    return [_plain(word) for word in words if len(word) > _CODE or not word.isascii()]


def _chosen(schema: Any, value: Any) -> bool:
    """Whether the schema itself says the value, as one of a list or as what is meant where nothing was said.

    One of a list is chosen by its meaning, whatever words were said.
    """
    if not isinstance(schema, Mapping):
        return False
    return "enum" in schema or "const" in schema or ("default" in schema and schema["default"] == value)


def _fine(value: float) -> bool:
    return isinstance(value, float) and len(repr(value).partition(".")[2]) >= _DECIMALS


def _share(value: str, source: Source) -> float:
    text = _plain(value)
    words = _WORD.findall(text.replace("_", " "))
    if not words:
        return 0.0
    return sum(_said(word, source) for word in words) / len(words)


def _said(word: str, source: Source) -> bool:
    if word in source.words or (len(word) >= _STEM and word[:_STEM] in source.stems):
        return True
    if word.isdecimal() and float(word) in source.numbers:
        return True
    if len(word) <= _CODE and word in source.starts:
        return True
    # Scripts without spaces between words: a value is found inside a longer run.
    return not word.isascii() and word in source.text


def _readings(digits: str) -> Iterable[float]:
    """A number as written may group with commas and mark decimals with a point, the other way round, or be several."""
    several = (*digits.split(","), *re.split("[.,]", digits))
    for text in (digits.replace(",", ""), digits.replace(".", "").replace(",", "."), *several):
        try:
            yield float(text)
        except ValueError:
            continue


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _mean(shares: Iterable[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None
