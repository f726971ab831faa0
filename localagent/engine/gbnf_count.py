"""Texts of so many characters as rules that strings of all lengths share.

A repetition such as `char{0,900}` is nine hundred rules to llama.cpp, each time it is written. Here
blocks of characters are written once, and a length is a few references to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

BLOCK = 32


class Adds(Protocol):
    def add(self, name: str, body: str) -> str: ...
    def common(self, name: str, body: str) -> str: ...
    def has(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Steps:
    """An automaton in GBNF.

    `moves[state]` are pieces, each one character of the text, and the state that each leads to.
    Where the text may end (`ends`) stands `end`, a literal. Every state leads to one of those.
    """

    moves: tuple[tuple[tuple[str, int], ...], ...]
    ends: frozenset[int]
    end: str


class Count:
    """Rules named after `prefix` for the texts of one automaton by their length. `common`: see `Table.common`."""

    def __init__(self, rules: Adds, prefix: str, steps: Steps, *, common: bool) -> None:
        self._rules, self._prefix, self._steps = rules, prefix, steps
        self._add = rules.common if common else rules.add
        self._states = range(len(steps.moves))
        self._never: set[str] = set()
        self._pieces: dict[str, str] = {}

    def between(self, low: int, high: int | None) -> str | None:
        """A rule for texts of `low` to `high` characters and the end; None where there is none."""
        return self._exactly(low, None if high is None else high - low, 0)

    def _exactly(self, count: int, more: int | None, state: int) -> str | None:
        """So many characters, then up to `more`."""
        if not count:
            return self._up_to(more, state)
        name = f"{self._prefix}-x{count}-{'any' if more is None else more}-{state}"
        if self._rules.has(name) or name in self._never:
            return self._known(name)
        size = count % BLOCK or BLOCK
        rest = [(self._chain(size, state, to), self._exactly(count - size, more, to)) for to in self._states]
        return self._made(name, [f"{chain} {behind}" for chain, behind in rest if chain and behind], own=True)

    def _up_to(self, count: int | None, state: int) -> str | None:
        if count is None:
            return self._endless(state)
        blocks, rest = divmod(count, BLOCK)
        if not blocks:
            return self._few(rest, state)
        if not rest:
            return self._blocks(blocks, state)
        name = f"{self._prefix}-u{count}-{state}"
        if self._rules.has(name) or name in self._never:
            return self._known(name)
        pairs = [(self._chain(rest, state, to), self._blocks(blocks, to)) for to in self._states]
        options = [f"{chain} {behind}" for chain, behind in pairs if chain and behind]
        return self._made(name, [*options, self._few(rest - 1, state)], own=True)

    def _blocks(self, count: int, state: int) -> str | None:
        """Up to so many blocks and the end."""
        if not count:
            return self._few(0, state)
        name = f"{self._prefix}-b{count}-{state}"
        if self._rules.has(name) or name in self._never:
            return self._known(name)
        pairs = [(self._chain(BLOCK, state, to), self._blocks(count - 1, to)) for to in self._states]
        options = [f"{chain} {behind}" for chain, behind in pairs if chain and behind]
        return self._made(name, [*options, self._few(BLOCK - 1, state)])

    def _few(self, count: int, state: int) -> str | None:
        """Up to so many characters, fewer than a block, and the end."""
        name = f"{self._prefix}-d{count}-{state}"
        if self._rules.has(name) or name in self._never:
            return self._known(name)
        pairs = [(piece, self._few(count - 1, to)) for piece, to in self._moves(state)] if count else []
        options: list[str | None] = [f"{piece} {behind}" for piece, behind in pairs if behind]
        return self._made(name, [*options, self._steps.end if state in self._steps.ends else None])

    def _chain(self, count: int, state: int, to: int) -> str | None:
        """Exactly so many characters, at most a block, from one state to another."""
        name = f"{self._prefix}-c{count}-{state}-{to}"
        if self._rules.has(name) or name in self._never:
            return self._known(name)
        moves = self._moves(state)
        if count == 1:
            return self._made(name, [piece for piece, follow in moves if follow == to])
        pairs = [(piece, self._chain(count - 1, follow, to)) for piece, follow in moves]
        return self._made(name, [f"{piece} {behind}" for piece, behind in pairs if behind])

    def _endless(self, state: int) -> str | None:
        name = f"{self._prefix}-f{state}"
        if not self._rules.has(name):
            self._add(name, "")
            options = [f"{piece} {self._endless(to)}" for piece, to in self._moves(state)]
            self._add(name, " | ".join([*options, *([self._steps.end] if state in self._steps.ends else [])]))
        return name

    def _moves(self, state: int) -> list[tuple[str, int]]:
        """The pieces by name where they are long: each is written very often."""
        return [(self._piece(piece), to) for piece, to in self._steps.moves[state]]

    def _piece(self, piece: str) -> str:
        name = self._pieces.setdefault(piece, f"{self._prefix}-p{len(self._pieces)}")
        if len(piece) <= len(name):
            return piece
        return name if self._rules.has(name) else self._add(name, piece)

    def _known(self, name: str) -> str | None:
        return None if name in self._never else name

    def _made(self, name: str, options: list[str | None] | list[str], *, own: bool = False) -> str | None:
        found = [option for option in options if option]
        if not found:
            self._never.add(name)
            return None
        return (self._rules.add if own else self._add)(name, " | ".join(found))
