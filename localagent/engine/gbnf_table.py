"""The table of one grammar's rules: each written once, all of them held to a size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import gbnf_text
from .automaton import Automaton, GrammarError
from .gbnf_count import Count, Steps
from .gbnf_regular import Dfa
from .gbnf_shape import Shapes
from .gbnf_text import literal

LEAST = 4
_MAX_SHORTEST = 8192
_MEASURED = 16
"""Shares of the budget: a schema that needs more is not looked at any further to tell which is the largest."""
_FOR_AUTOMATA = 1_200_000
"""Work on the automata of one grammar, about a second of it for each 300,000; the later check has the rest."""
_MADE, _STATE, _FAILED = 500, 40, 30_000
_REPETITION = 4
"""What one more time of a repeated part counts: llama.cpp makes a rule of it."""
_REPEATED = re.compile(r"\{(\d+),?(\d*)\}")


class Full(Exception):
    """The rules have grown beyond what is allowed."""


class Table:
    """The rules of one grammar.

    `max_string` bounds strings to so many characters where the schema allows longer ones.
    `detail` says how much of the schemas is kept: 0 all of it; 1 no patterns, formats, ranges and
    lengths and no long enums; 2 no parts below the second level either; 3 the names of the
    parameters alone; LEAST nothing.
    """

    COUNTED = 8
    """States of an automaton whose texts can be counted."""

    def __init__(self, *, max_string: int | None = None, detail: int = 0) -> None:
        self.max_string, self.detail = max_string, detail
        self.missed: set[str] = set()
        """Keywords that are not held somewhere."""
        self.loosened = False
        """Whether less than all detail was kept of a schema, or an automaton was not made."""
        self.shapes = Shapes()
        self.doubtful = False
        self.size = 0
        self._limit = 1 << 62
        self._rules: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._unions: dict[str, list[str]] = {}
        self._known: dict[tuple[int, int], str] = {}
        self._open: dict[tuple[int, int], str | None] = {}
        self._kept: list[Any] = []
        self._counts: dict[tuple[int, bool, str], Count] = {}
        self._automata: dict[Any, Dfa | None] = {}
        self._work = _FOR_AUTOMATA
        self._depth = 0
        self._product = 1
        self._count = 0

    # ------------------------------------------------------------ rules

    def add(self, name: str, body: str) -> str:
        """Its size is what llama.cpp makes of it: repetitions count as often as they may be."""
        self.size += len(name) + len(body) + 6
        if "{" in body:
            self.size += _REPETITION * sum(int(high or low) for low, high in _REPEATED.findall(body))
        if self.size > self._limit:
            raise Full
        self._rules[name] = body
        return name

    def common(self, name: str, body: str) -> str:
        """A rule that any schema may use: it counts for none of them."""
        self._rules[name] = body
        return name

    def has(self, name: str) -> bool:
        return name in self._rules

    def share(self, name: str, body: str) -> str:
        """A rule of this body: one that is there already, else a new one of about this name."""
        known = self._named.get(body)
        if known is None:
            known = self._named[body] = self.add(self.fresh(name), body)
        return known

    def fresh(self, name: str) -> str:
        """A name that no rule has."""
        found = name
        while found in self._rules:
            self._count += 1
            found = f"{name}-n{self._count}"
        return found

    def text(self, root: str) -> str:
        for name in self._unions:
            self.add(name, " | ".join(self._options(name)) or self.use("value"))
        return "\n".join(f"{name} ::= {body}" for name, body in {"root": root, **self._rules}.items()) + "\n"

    def _options(self, name: str) -> list[str]:
        """The rules behind a union and the unions in it: llama.cpp refuses rules that begin with themselves."""
        found: dict[str, None] = {}
        seen, todo = {name}, [name]
        while todo:
            for option in reversed(self._unions[todo.pop()]):
                if option not in self._unions:
                    found[option] = None
                elif option not in seen:
                    seen.add(option)
                    todo.append(option)
        return ["value"] if "value" in found else list(reversed(found))

    def union(self, name: str, options: Iterable[str]) -> str:
        """A rule that is one of other rules; its text is written when all of them are known."""
        name = self.fresh(name)
        self._unions[name] = list(options)
        return self.add(name, "" if not options else " | ".join(self._unions[name]))

    def use(self, name: str) -> str:
        """A primitive rule, and what it stands on."""
        if name not in self._rules:
            self.common(name, gbnf_text.PRIMITIVES[name])
            if name == "string" and self.max_string is not None:
                self.common(name, rf'"\"" char{{0,{self.max_string}}} "\""')
            for need in gbnf_text.NEEDS.get(name, ()):
                self.use(need)
        return name

    def branches(self, name: str, items: Iterable[tuple[str, str]]) -> str:
        """A rule for one of these texts, each with what follows it."""
        return self.share(name, gbnf_text.branches(self.share, name, items))

    def language(self, name: str, dfa: Dfa, *, quoted: bool, end: str) -> str:
        """A rule for the texts of an automaton; the same automaton is written once."""
        key = f"{id(dfa)} {quoted} {end}"
        if key not in self._named:
            self._kept.append(dfa)
            if f"{name}-s0" in self._rules:
                self._count += 1
                name = f"{name}-n{self._count}"
            self._named[key] = gbnf_text.language(self.add, name, dfa, quoted=quoted, end=end)
        return self._named[key]

    # ------------------------------------------------------------ counted texts

    def counted(
        self, dfa: Dfa, low: int, high: int | None, *, quoted: bool = False, end: str, plain: bool = True
    ) -> str | None:
        """A rule for the texts of an automaton that have `low` to `high` characters, and `end` behind them.

        None where the automaton is too large for that, or none of its texts has such a length.
        `plain` automata are those that any schema may need.
        """
        key = id(dfa), quoted, end
        if key not in self._counts:
            if len(dfa.moves) > self.COUNTED:
                return None
            self._kept.append(dfa)
            steps = Steps(gbnf_text.moves(dfa, quoted=quoted), dfa.ends, literal(end))
            self._counts[key] = Count(self, f"k{len(self._counts)}", steps, common=plain)
        return self._counts[key].between(low, high)

    def characters(self, low: int, high: int | None) -> str:
        """A rule for the rest of a JSON string of so many characters, its closing quote included."""
        key = 0, True, '"'
        if key not in self._counts:
            self._counts[key] = Count(
                self, "chars", Steps(((("char", 0),),), frozenset({0}), literal('"')), common=True
            )
        self.use("char")
        return self._counts[key].between(low, high) or ""

    def automaton(self, key: Any, make: Callable[[], Dfa | None]) -> Dfa | None:
        """What `make` gives, made once; None as well when no more work may be spent on automata."""
        if key not in self._automata:
            if self._work <= 0:
                self.loosened = True
                return None
            found = self._automata[key] = make()
            self._work -= _FAILED if found is None else _MADE + _STATE * len(found.moves)
        return self._automata[key]

    # ------------------------------------------------------------ with less detail

    def each(self, budget: int, builds: Sequence[Callable[[], str]]) -> list[str]:
        """What each of them gives, all within `budget` if that can be; the largest lose their detail first."""
        state, size = self._state(), self.size
        self._limit = size + budget
        try:
            found = [self._complete(build) for build in builds]
        except (Full, RecursionError):
            found = None
        finally:
            self._limit = 1 << 62
        if found is not None and None not in found:
            return [one for one in found if one is not None]
        self._back(state, size)
        fair = budget // max(len(builds), 1)
        sizes = [self._measured(build, _MEASURED * fair) for build in builds]
        order = sorted(range(len(builds)), key=sizes.__getitem__)
        made = [""] * len(builds)
        for done, number in enumerate(order):
            before = self.size
            made[number] = self.within(budget // (len(order) - done), builds[number])
            budget = max(budget - (self.size - before), 0)
        return made

    def _complete(self, build: Callable[[], str]) -> str | None:
        """With all detail; None where the rules have no text that ends soon."""
        self.doubtful = False
        found = build()
        return found if not self.doubtful or self._ends(found) else None

    def _measured(self, build: Callable[[], str], most: int) -> int:
        """The size of what `build` gives, at most about `most`."""
        state, size = self._state(), self.size
        self._limit = size + most
        try:
            build()
            return self.size - size
        except (Full, RecursionError):
            return most
        finally:
            self._limit = 1 << 62
            self._back(state, size)

    def within(self, budget: int, build: Callable[[], str]) -> str:
        """What `build` gives, made again with less and less detail until it has at most so many bytes and an end.

        The last try stands whatever its size, so it must be small: `detail` is then LEAST.
        """
        state, size = self._state(), self.size
        before = self.detail
        try:
            for self.detail in range(before, LEAST):
                self._limit = size + budget
                try:
                    if (found := self._complete(build)) is not None:
                        self.loosened = self.loosened or self.detail > before
                        return found
                except (Full, RecursionError):
                    pass
                self._back(state, size)
            self.detail, self._limit, self.loosened = LEAST, 1 << 62, True
            return build()
        finally:
            self.detail, self._limit = before, 1 << 62

    def _state(self) -> list[int]:
        return [len(known) for known in self._tables()]

    def _back(self, state: Sequence[int], size: int) -> None:
        """Forget the rules that were made since."""
        for known, count in zip(self._tables(), state, strict=True):
            while len(known) > count:
                known.popitem()
        self._open.clear()
        self._depth, self._product, self.size = 0, 1, size

    def _tables(self) -> tuple[dict[Any, Any], ...]:
        return self._rules, self._named, self._unions, self._known

    def _ends(self, body: str) -> bool:
        """Whether rules that hold themselves, or are deep, have a text that ends soon."""
        size, limit = self.size, self._limit
        try:
            self._limit = 1 << 62
            return Automaton.read(self.text(body)).start().cost <= _MAX_SHORTEST
        except GrammarError:
            return False
        finally:
            self.size, self._limit = size, limit
