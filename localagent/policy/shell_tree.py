"""What a shell script consists of, each with its place in the text: `start` and `end` count characters."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
# Letters, marks and symbols that are drawn as nothing or as a space.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `text` is without its quotes, expansions as written.

    `known` where the program gets exactly this one word; `splits` where what stands there may
    become any number of words, each beginning with anything.
    """

    text: str
    start: int
    end: int
    known: bool = True
    splits: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """`op` without its descriptor number; `target` None and `body` the text for a here-document."""

    op: str
    target: Word | None
    start: int
    end: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command, or the redirections of a compound one. `sets` are the variables set before it."""

    words: tuple[Word, ...]
    sets: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A place where the shell may do what cannot be seen, such as arithmetic on the value of a variable."""

    why: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Script:
    """Every command of a script, those in substitutions, functions and branches included.

    `words` are all of its words in the order in which they end, those of loops, choices and tests too.
    """

    commands: tuple[Command, ...]
    opaque: tuple[Opaque, ...] = ()
    words: tuple[Word, ...] = field(default=(), compare=False, repr=False)


class Unreadable(Exception):
    """The script is not read completely; the message says why."""


def hidden(char: str) -> bool:
    """Whether the character cannot be seen, or looks like a space without being one."""
    if char.isascii():
        return not (" " <= char <= "~")
    return unicodedata.category(char) in _INVISIBLE or char in _BLANK or 0xFE00 <= ord(char) <= 0xFE0F
