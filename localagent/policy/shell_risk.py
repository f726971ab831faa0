"""What a shell line says: its exact words where it is one plain command, and what each of its commands does.

Two readers stand behind it. The first accepts one simple command of plain words and quotes
and gives its argv exactly as a POSIX shell would; rules match only this. The second reads
whole scripts and classes every command in them. What it cannot read completely is complex:
never read-only, and judged as one opaque script. Risks are looked for in complex lines too,
by best effort: they make us ask more, never less.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..values import Verdict
from .shell_class import CLASS_OF, Class, Piece, named_secrets, pieces, segment_risks
from .shell_parse import RESERVED, parse
from .shell_shapes import Risk, RiskKind
from .shell_tree import hidden
from .shell_words import segments

__all__ = ["Class", "Line", "Piece", "Risk", "RiskKind", "read", "read_argv"]

MAX_BYTES = 8192

DESTRUCTIVE: frozenset[RiskKind] = frozenset({"deletes", "overwrites", "discards", "wipes", "device"})
_REFUSED: frozenset[RiskKind] = frozenset({"wipes", "device"})

_PLAIN = frozenset("_-.,/:@%+=")


@dataclass(frozen=True, slots=True)
class Line:
    """One shell line.

    `words` is the exact argv, None where it is no plain command and `why` says for what reason.
    `pieces` are its commands; `unread` says why they are not known completely, "" where they are.
    """

    text: str
    words: tuple[str, ...] | None
    why: str = ""
    unread: str = ""
    pieces: tuple[Piece, ...] = ()
    risks: tuple[Risk, ...] = ()

    @property
    def complex(self) -> bool:
        return bool(self.unread)

    @property
    def read_only(self) -> bool:
        """Whether each of its commands is known to only read, and nothing that is secret."""
        return not self.complex and not self.risks and all(piece.classes == {"read"} for piece in self.pieces)

    @property
    def destructive(self) -> bool:
        return any(risk.kind in DESTRUCTIVE for risk in self.risks)

    @property
    def classes(self) -> frozenset[Class]:
        """What the line does as a whole."""
        found: set[Class] = {CLASS_OF[risk.kind] for risk in self.risks} | ({"unknown"} if self.complex else set())
        return frozenset(found.union(*(piece.classes for piece in self.pieces)))

    @property
    def verdict(self) -> Verdict:
        """What the line deserves by itself, without rules, mode and sandbox."""
        if any(risk.kind in _REFUSED for risk in self.risks):
            return "deny"
        return "allow" if self.read_only else "ask"


@lru_cache(maxsize=32)
def read(text: str, home: str = "") -> Line:
    """Read one shell line. `home` is only compared with the words, to see that it is not wiped."""
    found, why = _exact(text), ""
    if isinstance(found, str):
        found, why = None, found
    script = parse(text)
    if isinstance(script, str):
        return Line(text, found, why, script, risks=_looked(text, home))
    made = pieces(script, home)
    certain = [risk for piece in made for risk in piece.risks]
    known = {risk.kind for risk in certain}
    looked = [*_looked(text, home), *(_named(text, home) if found is None else ())]
    more = [risk for risk in looked if risk.kind not in known]
    return Line(text, found, why, "", made, tuple(dict.fromkeys((*certain, *more))))


def read_argv(argv: Sequence[str], home: str = "") -> Line:
    """The same for a program that is started without a shell: the words are known exactly."""
    return _read_words(tuple(argv), home)


def _named(text: str, home: str) -> list[Risk]:
    return [risk for segment in segments(text) for risk in named_secrets(segment, home)]


@lru_cache(maxsize=32)
def _read_words(words: tuple[str, ...], home: str) -> Line:
    text = shlex.join(words)
    if not words or not words[0] or any(hidden(char) for word in words for char in word):
        return Line(text, None, _HIDDEN, _HIDDEN, risks=_looked(text, home))
    return replace(read(text, home), words=words, why="")


_HIDDEN = "it holds a control or invisible character"


def _looked(text: str, home: str) -> tuple[Risk, ...]:
    """The risks that a lenient look finds in any text."""
    return tuple(dict.fromkeys(risk for segment in segments(text) for risk in segment_risks(segment, home)))


def _exact(text: str) -> tuple[str, ...] | str:
    """The argv of a simple command, or the reason why the line is complex."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return "it is longer than 8 KiB"
    text = text.strip(" \n")
    if not text:
        return "it is empty"
    if any(hidden(char) for char in text):
        return "it holds a control or invisible character"
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        word = _word(text, at)
        if isinstance(word, str):
            return word
        value, at = word
        words.append(value)
    if words[0] in RESERVED:
        return f"it starts with the shell's own word {words[0]!r}"
    if not words[0]:
        return "it has no program"
    if "=" in words[0]:
        return "it sets a variable"
    return tuple(words)


def _word(text: str, at: int) -> tuple[str, int] | str:
    """One word from `at` on: its value and where it ends, or the reason why it cannot be read exactly."""
    value: list[str] = []
    while at < len(text) and text[at] != " ":
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                return "a quote is not closed"
            value.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            quoted = _double(text, at + 1)
            if isinstance(quoted, str):
                return quoted
            value.append(quoted[0])
            at = quoted[1]
        elif char == "\\":
            if at + 1 >= len(text) or not text[at + 1].isascii():
                return "a backslash escapes nothing plain"
            value.append(text[at + 1])
            at += 2
        elif char in _PLAIN or char.isalnum() or (not char.isascii() and not hidden(char)):
            value.append(char)
            at += 1
        else:
            return f"it uses {char!r}"
    return "".join(value), at


def _double(text: str, at: int) -> tuple[str, int] | str:
    value: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(value), at + 1
        if char in "$`":
            return f"it expands {char!r} inside quotes"
        if char == "\\" and at + 1 < len(text) and text[at + 1] in '"\\$`':
            value.append(text[at + 1])
            at += 2
            continue
        value.append(char)
        at += 1
    return "a quote is not closed"
