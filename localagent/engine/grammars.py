"""The grammars of one loaded model: checked, control tokens put in, compiled once, those used last kept."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .automaton import Automaton
from .closing import Closing
from .llama import Grammar, Model

KEPT = 64
_ELEMENT = re.compile(r'@("(?:\\.|[^"\\])*")|"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r"}


def put_in(grammar: str, named: Callable[[str], int | None], spare: Sequence[int]) -> tuple[str, dict[int, int]]:
    """The text for llama.cpp, and for each control token it names the spare token written in its place.

    A name (`@"NAME"`, see `gbnf.token`) that is no control token becomes the plain literal.
    """
    stands: dict[int, int] = {}

    def element(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        token = named(_unquoted(found[1]))
        if token is not None and token not in stands and len(stands) < len(spare):
            stands[token] = spare[len(stands)]
        return f"<[{stands[token]}]>" if token in stands else found[1]

    return (_ELEMENT.sub(element, grammar) if '@"' in grammar else grammar), stands


def _unquoted(literal: str) -> str:
    def char(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        return chr(int(code, 16)) if code else _LETTERS.get(found[3], found[3])

    return _ESCAPE.sub(char, literal[1:-1])


@dataclass(slots=True)
class Held:
    """A grammar that text is being written under, and how that text could be closed."""

    grammar: Grammar
    closing: Closing
    model: Model

    def allows(self, token: int) -> bool:
        return self.grammar.allows(token)

    def accept(self, token: int) -> bytes:
        """Move on by one token; its text. Raises `EngineError` for one the grammar forbids."""
        self.grammar.accept(token)
        piece = self.model.piece(token)
        self.closing.write(piece)
        return piece

    def forced(self) -> Sequence[int]:
        """The tokens that come next if the text that must come is spelt as usual; () where there is a choice."""
        text = self.closing.forced()
        tokens = self.model.template(text) if len(text) > 1 else ()
        # The last one could be written together with what follows.
        return tokens if tokens and tokens[-1] in self.model.structural else tokens[:-1]

    def closed(self) -> list[int]:
        """Move on by the shortest text that makes the whole a `root`; its tokens."""
        tokens: list[int] = []
        names = {self.model.piece(token).decode(): token for token in self.grammar.named}
        parts = (
            re.split(f"({'|'.join(map(re.escape, names))})", self.closing.rest()) if names else [self.closing.rest()]
        )
        for part in parts:
            token = names.get(part)
            found = self.model.untrusted(part) if token is None or not self.allows(token) else (token,)
            for one in found:
                self.accept(one)
            tokens += found
        return tokens


class Grammars:
    """Compiled grammars by their text."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._compiled: OrderedDict[str, tuple[Automaton, Grammar]] = OrderedDict()

    def check(self, text: str) -> None:
        """Raises `GrammarRefused` where the text is no grammar that llama.cpp could follow."""
        self._get(text)

    def start(self, text: str) -> Held:
        """At its beginning; `grammar` is to be closed. Raises like `check`."""
        automaton, grammar = self._get(text)
        closing = Closing(automaton, lambda rest: len(self._model.untrusted(rest)))
        return Held(grammar.fresh(), closing, self._model)

    def _get(self, text: str) -> tuple[Automaton, Grammar]:
        if text in self._compiled:
            self._compiled.move_to_end(text)
            return self._compiled[text]
        automaton = Automaton.read(text)
        spare = self._model.unprinted
        ready, stands = put_in(text, self._model.named, spare[:-1])
        found = self._compiled[text] = automaton, Grammar(self._model, ready, stands, spare[-1] if spare else 0)
        self._trim()
        return found

    def _trim(self) -> None:
        while len(self._compiled) > KEPT:
            self._compiled.popitem(last=False)[1][1].close()

    def close(self) -> None:
        while self._compiled:
            self._compiled.popitem()[1][1].close()
