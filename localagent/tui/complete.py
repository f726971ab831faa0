"""Completion of `/commands` and `@paths`: pure, over a list of paths that somebody else has read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import commands
from .words import translated

SHOWN = 6
_AT = re.compile(r"(?:^|(?<=\s))@((?:\"[^\"\n]*)|\S*)$")


@dataclass(frozen=True, slots=True)
class Choice:
    """`text` takes the place of the last `replaces` characters before the cursor."""

    text: str
    shown: str
    about: str
    replaces: int


def path_word(before: str) -> str | None:
    """What stands behind an `@` at the cursor, None where there is none."""
    found = _AT.search(before)
    return found[1].lstrip('"') if found else None


def choices(before: str, paths: Sequence[str]) -> list[Choice]:
    """What could stand at the cursor, the likeliest first. `before` is the text up to it."""
    if before.startswith("/") and not re.search(r"\s", before):
        found = commands.matching(before[1:])
        return [Choice(f"/{c.name}{' ' if c.argument else ''}", _usage(c), translated(c.does), len(before)) for c in found]
    found_at = _AT.search(before)
    if found_at is None:
        return []
    length = len(found_at[0])
    return [Choice(_spelt(path), path, "", length) for path in best(found_at[1].lstrip('"'), paths, SHOWN)]


def _usage(command: commands.Command) -> str:
    return f"/{command.name} {command.argument}".rstrip()


def _spelt(path: str) -> str:
    """A folder stays open for what lies in it."""
    quoted = f'@"{path}"' if re.search(r"\s", path) else f"@{path}"
    return quoted if path.endswith("/") else quoted + " "


def best(word: str, paths: Sequence[str], limit: int) -> list[str]:
    """The paths that hold the word's letters in order, the closest first."""
    scored = [(score, path) for path in paths if (score := _score(word.lower(), path)) is not None]
    scored.sort(key=lambda pair: (pair[0], len(pair[1]), pair[1]))
    return [path for _, path in scored[:limit]]


def _score(word: str, path: str) -> int | None:
    """Smaller is closer; None where the letters are not all there."""
    low = path.lower()
    name = low.rstrip("/").rpartition("/")[2]
    if not word:
        return low.count("/")
    for rank, holds in enumerate((low.startswith(word), name.startswith(word), word in name, word in low)):
        if holds:
            return rank
    at, gaps = -1, 0
    for letter in word:
        found = low.find(letter, at + 1)
        if found < 0:
            return None
        gaps += found - at - 1
        at = found
    return 10 + gaps
