"""A model's tokens as text and back: which of them are structure, and how text is kept from becoming one."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

CONTROL, USER_DEFINED = 1 << 3, 1 << 4
KEPT = 400_000
"""Tokens of known texts that are kept: some whole histories."""
RUN = 4096
"""Characters without a change between white space and others that are spelt at once, see `Vocabulary.breaks`."""
_RUNS = re.compile(r"\S+|\s+")
_UNPRINTED = [bytes([n]) for n in (*range(1, 9), 11, 12, *range(14, 32), 127)]


class _Kept:
    """A function of a text, with what it gave for the texts used last."""

    def __init__(self, make: Callable[[str], tuple[int, ...]]) -> None:
        self._make = make
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self.size = 0

    def __call__(self, text: str) -> tuple[int, ...]:
        found = self._known.get(text)
        if found is not None:
            self._known.move_to_end(text)
            return found
        found = self._known[text] = self._make(text)
        # One more for each, so that many short texts are bounded too.
        self.size += len(found) + 1
        while self.size > KEPT:
            self.size -= len(self._known.popitem(last=False)[1]) + 1
        return found


class Vocabulary(ABC):
    """Tokens 0 to `n_vocab`.

    `control` are those that never stand for text, `structural` those and the others a text must not
    become by spelling them, `plain` a mask over all tokens that is false for control tokens.
    `breaks` says whether long runs of characters are spelt in parts: llama.cpp splits a text by regular
    expressions that, for many families of models, recurse with every character until the stack ends and
    with it the process.
    """

    n_vocab: int
    breaks = False

    def __init__(self, kinds: Mapping[int, int]) -> None:
        marks = {t: self.piece(t).decode("utf-8", "replace") for t, kind in kinds.items() if kind}
        self.control = frozenset(t for t in marks if kinds[t] & CONTROL)
        self.plain = np.ones(self.n_vocab, bool)
        self.plain[list(self.control)] = False
        # Runs of white space and single characters are spelling, not structure.
        self.structural = frozenset(t for t, text in marks.items() if len(text) > 1 and text.strip())
        self._names = frozenset(marks[t] for t in self.structural)
        texts = sorted({marks[t] for t in self.structural - self.control}, key=len, reverse=True)
        self._marks = re.compile(f"(?=({'|'.join(map(re.escape, texts))}))") if texts else None
        # Each request brings the whole history again.
        self.template: Callable[[str], tuple[int, ...]] = _Kept(self._template)
        self.untrusted: Callable[[str], tuple[int, ...]] = _Kept(self._untrusted)

    @abstractmethod
    def piece(self, token: int) -> bytes:
        """The token's bytes, which may be a part of a character; control tokens are spelt out."""

    @abstractmethod
    def _tokenize(self, text: str, special: bool) -> list[int]: ...

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def named(self, text: str) -> int | None:
        """The one structural token of that name, if there is one: not all that control carry the control type."""
        tokens = self.spell(text, True)
        return tokens[0] if len(tokens) == 1 and tokens[0] in self.structural else None

    @functools.cached_property
    def unprinted(self) -> tuple[int, ...]:
        """Tokens of single control characters, which no grammar of ours allows in text."""
        found = (next(iter(self._tokenize(raw.decode(), False)[-1:]), -1) for raw in _UNPRINTED)
        return tuple(t for t, raw in zip(found, _UNPRINTED, strict=True) if t >= 0 and self.piece(t) == raw)

    def _template(self, text: str) -> tuple[int, ...]:
        """Tokens of our own text: control tokens in it are meant."""
        return tuple(self.spell(text, True))

    def _untrusted(self, text: str) -> tuple[int, ...]:
        """Tokens of anybody's text: never a control or structural token, and the same text again."""
        tokens: list[int] = []
        start = 0
        # llama.cpp matches user-defined tokens even where special ones are off, so no piece may hold one whole.
        for hit in self._marks.finditer(text) if self._marks else ():
            tokens += self._plain(text[start : hit.start() + 1])
            start = hit.start() + 1
        return (*tokens, *self._plain(text[start:]))

    def _plain(self, text: str) -> list[int]:
        tokens = self.spell(text, False)
        if len(text) < 2 or self.structural.isdisjoint(tokens):
            return tokens
        return [token for char in text for token in self._tokenize(char, False)]

    def spell(self, text: str, special: bool) -> list[int]:
        """The tokens of a text, with `special` also those of the names of control tokens in it."""
        if not self.breaks or len(text) <= RUN:
            return self._tokenize(text, special)
        found: list[int] = []
        for part in self._parts(text, special):
            found += self._tokenize(part, special)
        return found

    def _parts(self, text: str, special: bool) -> Iterator[str]:
        start = 0
        for run in _RUNS.finditer(text):
            for cut in range(run.start() + RUN, run.end(), RUN):
                cut = self._before_name(text, cut) if special else cut
                if cut > start:
                    yield text[start:cut]
                    start = cut
        yield text[start:]

    def _before_name(self, text: str, cut: int) -> int:
        """Where a name of a structural token that the cut would divide begins, else the cut itself."""
        begins = (
            cut - back for name in self._names for back in range(1, len(name)) if text.startswith(name, cut - back)
        )
        return min(begins, default=cut)
