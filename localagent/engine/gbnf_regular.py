"""Regular languages over characters, made deterministic and bounded in size.

A pattern written into a grammar as it stands can make llama.cpp try exponentially many ways
(`(a|a)*`, `(a+)+`). A deterministic automaton has one way to read each text, whatever the pattern
was; where it would grow too large there is none, and the pattern is left to the later check.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TOP = 0x10FFFF
MAX_STATES = 600
MAX_WORK = 60_000
"""Steps of making one automaton."""
_MAX_NFA = 4000

Ranges = tuple[tuple[int, int], ...]
"""Code points, both ends included, sorted and apart. Surrogates and NUL are never among them."""


@dataclass(frozen=True, slots=True)
class Chars:
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence_:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`high` None is without end."""

    part: Node
    low: int
    high: int | None


Node = Chars | Sequence_ | Either | Repeat


class TooLarge(Exception):
    """The automaton would have too many states."""


def normal(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, joined, and without what no text holds."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        for first, last in ((max(low, 1), min(high, 0xD7FF)), (max(low, 0xE000), min(high, TOP))):
            if first > last:
                continue
            if found and first <= found[-1][1] + 1:
                found[-1] = found[-1][0], max(found[-1][1], last)
            else:
                found.append((first, last))
    return tuple(found)


def inverse(ranges: Ranges) -> Ranges:
    found, at = [], 0
    for low, high in ranges:
        found.append((at, low - 1))
        at = high + 1
    return normal((low, high) for low, high in [*found, (at, TOP)] if low <= high)


ANY = Chars(normal([(0, TOP)]))
NOTHING = Sequence_(())


def text(value: str) -> Node:
    return Sequence_(tuple(Chars(((ord(char), ord(char)),)) for char in value))


@dataclass(frozen=True, slots=True, eq=False)
class Dfa:
    """`moves[state]` leads from an index into `atoms` to the next state. State 0 is the first."""

    atoms: Ranges
    moves: tuple[dict[int, int], ...]
    ends: frozenset[int]

    @property
    def empty(self) -> bool:
        return not self.ends

    def out(self, state: int) -> dict[int, Ranges]:
        """The characters that lead to each following state."""
        found: dict[int, list[tuple[int, int]]] = {}
        for atom, target in self.moves[state].items():
            found.setdefault(target, []).append(self.atoms[atom])
        return {target: normal(ranges) for target, ranges in found.items()}


# ---------------------------------------------------------------- from a node to an automaton


class _Nfa:
    def __init__(self) -> None:
        self.skips: list[list[int]] = []
        self.reads: list[list[tuple[Ranges, int]]] = []

    def state(self) -> int:
        if len(self.skips) >= _MAX_NFA:
            raise TooLarge
        self.skips.append([])
        self.reads.append([])
        return len(self.skips) - 1

    def add(self, node: Node, start: int) -> int:
        """The state behind `node` when it begins at `start`."""
        match node:
            case Chars(ranges):
                end = self.state()
                if ranges:
                    self.reads[start].append((ranges, end))
                return end
            case Sequence_(parts):
                for part in parts:
                    start = self.add(part, start)
                return start
            case Either(parts):
                end = self.state()
                for part in parts:
                    first = self.state()
                    self.skips[start].append(first)
                    self.skips[self.add(part, first)].append(end)
                return end
            case Repeat(part, low, high):
                for _ in range(low):
                    start = self.add(part, start)
                if high is None:
                    loop, end = self.state(), self.state()
                    self.skips[start].append(loop)
                    self.skips[self.add(part, loop)].append(loop)
                    self.skips[loop].append(end)
                    return end
                end = self.state()
                for _ in range(high - low):
                    self.skips[start].append(end)
                    start = self.add(part, start)
                self.skips[start].append(end)
                return end

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        seen = set(states)
        todo = list(seen)
        while todo:
            for follow in self.skips[todo.pop()]:
                if follow not in seen:
                    seen.add(follow)
                    todo.append(follow)
        return frozenset(seen)


def compile(node: Node) -> Dfa:
    """The smallest automaton of `node`. Raises TooLarge."""
    nfa = _Nfa()
    try:
        last = nfa.add(node, nfa.state())
    except RecursionError:
        raise TooLarge from None
    atoms = _atoms(ranges for reads in nfa.reads for ranges, _ in reads)
    places = {low: index for index, (low, _) in enumerate(atoms)}
    ends_at = {high: index for index, (_, high) in enumerate(atoms)}
    steps = [
        [(range(places[low], ends_at[high] + 1), end) for ranges, end in reads for low, high in ranges]
        for reads in nfa.reads
    ]
    first = nfa.closure([0])
    index, order, moves, work = {first: 0}, [first], [], 0
    for states in order:
        targets: dict[int, set[int]] = {}
        for state in states:
            for spots, end in steps[state]:
                work += len(spots)
                for atom in spots:
                    targets.setdefault(atom, set()).add(end)
        if work > MAX_WORK:
            raise TooLarge
        closed: dict[frozenset[int], int] = {}
        row: dict[int, int] = {}
        for atom, found in targets.items():
            key = frozenset(found)
            if key not in closed:
                follow = nfa.closure(key)
                work += len(follow)
                if follow not in index:
                    index[follow] = len(order)
                    order.append(follow)
                closed[key] = index[follow]
            row[atom] = closed[key]
        moves.append(row)
        if len(order) > 4 * MAX_STATES:
            raise TooLarge
    ends = frozenset(number for number, states in enumerate(order) if last in states)
    return smallest(Dfa(atoms, tuple(moves), ends))


def _atoms(sets: Iterable[Ranges]) -> Ranges:
    """The coarsest ranges of which every set is a union."""
    used = set(sets)
    cuts = sorted({edge for ranges in used for low, high in ranges for edge in (low, high + 1)})
    covered = normal(pair for ranges in used for pair in ranges)
    found, at = [], 0
    for low, high in itertools.pairwise(cuts):
        while at < len(covered) and covered[at][1] < low:
            at += 1
        if at < len(covered) and covered[at][0] <= low:
            found.append((low, high - 1))
    return tuple(found)


def both(one: Dfa, two: Dfa) -> Dfa:
    """The texts that are in both. Raises TooLarge."""
    atoms = _atoms([*((pair,) for pair in one.atoms), *((pair,) for pair in two.atoms)])
    in_one, in_two = _places(one.atoms, atoms), _places(two.atoms, atoms)
    shared = [(n, a, b) for n, (a, b) in enumerate(zip(in_one, in_two, strict=True)) if a >= 0 and b >= 0]
    index, order, moves = {(0, 0): 0}, [(0, 0)], []
    for left, right in order:
        row: dict[int, int] = {}
        for number, a, b in shared:
            pair = one.moves[left].get(a, -1), two.moves[right].get(b, -1)
            if pair[0] < 0 or pair[1] < 0:
                continue
            if pair not in index:
                index[pair] = len(order)
                order.append(pair)
            row[number] = index[pair]
        moves.append(row)
        if len(order) > 4 * MAX_STATES or len(order) * len(shared) > 4 * MAX_WORK:
            raise TooLarge
    ends = frozenset(n for n, (left, right) in enumerate(order) if left in one.ends and right in two.ends)
    return smallest(Dfa(atoms, tuple(moves), ends))


def _places(coarse: Ranges, fine: Ranges) -> list[int]:
    """For each fine range the coarse one that it lies in, -1 for none."""
    found, at = [], 0
    for low, _ in fine:
        while at < len(coarse) and coarse[at][1] < low:
            at += 1
        found.append(at if at < len(coarse) and coarse[at][0] <= low else -1)
    return found


def without(node: Node) -> Dfa:
    """The texts that are not in `node`. Raises TooLarge."""
    dfa = compile(Either((node, Sequence_((ANY, Repeat(ANY, 0, None), NEVER)))))
    atoms = _atoms([*((pair,) for pair in dfa.atoms), *((pair,) for pair in ANY.ranges)])
    places = _places(dfa.atoms, atoms)
    sink = len(dfa.moves)
    moves = [
        {number: row.get(place, sink) if place >= 0 else sink for number, place in enumerate(places)}
        for row in (*dfa.moves, {})
    ]
    return smallest(Dfa(atoms, tuple(moves), frozenset(range(sink + 1)) - dfa.ends))


NEVER = Chars(())


def smallest(dfa: Dfa) -> Dfa:
    """Without states that lead to no end, and with equal ones joined."""
    dfa = _alive(dfa)
    if dfa.empty:
        return dfa
    kinds = [int(state in dfa.ends) for state in range(len(dfa.moves))]
    count = len(set(kinds))
    while True:
        signs: dict[tuple[int, frozenset[tuple[int, int]]], int] = {}
        kinds = [
            signs.setdefault((kinds[state], frozenset((a, kinds[t]) for a, t in row.items())), len(signs))
            for state, row in enumerate(dfa.moves)
        ]
        if len(signs) == count:
            break
        count = len(signs)
    if count > MAX_STATES:
        raise TooLarge
    moves: list[dict[int, int]] = [{} for _ in range(count)]
    for state, row in enumerate(dfa.moves):
        moves[kinds[state]] = {atom: kinds[target] for atom, target in row.items()}
    # State 0 was seen first, so its kind is 0.
    return Dfa(dfa.atoms, tuple(moves), frozenset(kinds[state] for state in dfa.ends))


def _alive(dfa: Dfa) -> Dfa:
    before: list[list[int]] = [[] for _ in dfa.moves]
    for state, row in enumerate(dfa.moves):
        for target in set(row.values()):
            before[target].append(state)
    alive, todo = set(dfa.ends), list(dfa.ends)
    while todo:
        for state in before[todo.pop()]:
            if state not in alive:
                alive.add(state)
                todo.append(state)
    if 0 not in alive:
        return Dfa(dfa.atoms, ({},), frozenset())
    number = {state: n for n, state in enumerate(sorted(alive))}
    moves = tuple(
        {atom: number[target] for atom, target in dfa.moves[state].items() if target in alive}
        for state in sorted(alive)
    )
    return Dfa(dfa.atoms, moves, frozenset(number[state] for state in dfa.ends))


def length(low: int, high: int | None, chars: Node = ANY) -> Dfa:
    """Texts of `low` to `high` characters. Raises TooLarge."""
    return compile(Repeat(chars, low, high))


def containing(parts: Sequence[Node]) -> Node:
    """Texts that hold one of these somewhere."""
    return Sequence_((Repeat(ANY, 0, None), Either(tuple(parts)), Repeat(ANY, 0, None)))
