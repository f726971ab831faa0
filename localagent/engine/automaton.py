"""A grammar as a machine that reads text, in plain Python: what llama.cpp does not tell.

    automaton = Automaton.read(grammar)        # raises GrammarError: then llama.cpp must not see it
    state = automaton.start()
    state = state.feed(written) or ...         # None: the grammar does not allow this text
    state.complete                             # the text so far is a whole `root`
    state.cost                                 # bytes of the shortest completion, so never fewer than its tokens
    state.completion()                         # that text, "" where nothing is missing

For the engine: check every grammar with `Automaton.read` before it is handed over (its text with
`@"NAME"`, before token numbers are put in). Feed what follows the trigger, as whole characters,
control tokens spelt out; feeding is cheap enough to do it for each token. When the tokens that are
left come near `cost`, stop sampling, decode the tokens of `completion()` (control tokens in it are
meant) and mark the call cut: it is closed so that everything after it can be read, but what was
forced is not what the model wanted. Equal texts reach equal states, and each character is looked
at once: time is linear in the text.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

from .gbnf_reader import Grammar, GrammarError, parse

__all__ = ["Automaton", "GrammarError", "State"]

MAX_SHORTEST = 1 << 20
"""Bytes: a grammar whose shortest text is longer is refused."""
MAX_STACKS = 2048
"""Ways to read one text that are followed at once; beyond it only those nearest to their end."""
MAX_LEFT_WALK = 1_000_000
"""Steps of llama.cpp's search for left recursion, which walks each path again."""
MAX_PRODUCT = 1_000_000
"""Of bounded repetitions inside each other: llama.cpp may hold that many stacks at once."""
MAX_FORCED = 256
"""Characters that are forced, at most: more are found when these are written."""
_MAX_FRAMES = 200_000
_MAX_EDGES = 4096


class _Frame:
    """A position in a rule, and where to go on behind that rule. `total` is the bytes still due."""

    __slots__ = ("closed", "parent", "position", "total")

    def __init__(self, position: int, parent: _Frame | None, total: int) -> None:
        self.position, self.parent, self.total = position, parent, total
        self.closed: tuple[tuple[_Frame, ...], bool] | None = None


class State:
    """What may come next. Immutable to its users; equal texts give the same object."""

    __slots__ = ("_automaton", "_edges", "_forced", "_frames", "complete")

    def __init__(self, automaton: Automaton, frames: tuple[_Frame, ...], complete: bool) -> None:
        self._automaton, self._frames, self.complete = automaton, frames, complete
        self._edges: dict[str, State | None] = {}
        self._forced: str | None = None

    def feed(self, text: str) -> State | None:
        """The state behind `text`, None where the grammar does not allow it."""
        state = self
        for char in text:
            edges = state._edges
            if char in edges:
                found = edges[char]
            else:
                found = state._automaton._step(state, char)
                if len(edges) < _MAX_EDGES:
                    edges[char] = found
            if found is None:
                return None
            state = found
        return state

    @property
    def ways(self) -> int:
        """In how many ways the text so far can be read and go on, at most `MAX_STACKS`."""
        return len(self._frames)

    @property
    def forced(self) -> str:
        """The text that comes next whatever is written, some of it where it is long; "" where there is a choice."""
        if self._forced is None:
            chars: list[str] = []
            state: State | None = self
            while state is not None and len(chars) < MAX_FORCED and (char := state._only()):
                chars.append(char)
                state = state.feed(char)
            self._forced = "".join(chars)
        return self._forced

    def _only(self) -> str:
        """The one character that may come next, "" where there are more or the text may end."""
        if self.complete:
            return ""
        only, symbols = self._automaton._only, self._automaton._symbol
        char = only[~symbols[self._frames[0].position]]
        return char if all(only[~symbols[frame.position]] == char for frame in self._frames) else ""

    @property
    def cost(self) -> int:
        """UTF-8 bytes of the shortest completion."""
        return 0 if self.complete else min(frame.total for frame in self._frames)

    def completion(self) -> str:
        """The shortest text that makes the whole a `root`; "" where it is one."""
        if self.complete:
            return ""
        return self._automaton._text(min(self._frames, key=lambda frame: frame.total))


class Automaton:
    """A checked grammar. Not for two threads at once: it remembers the states it has met."""

    def __init__(self, grammar: Grammar) -> None:
        """Raises GrammarError where the rules are left-recursive or lead nowhere."""
        self._grammar = grammar
        _check_left_recursion(grammar)
        _check_repetitions(grammar)
        self._lengths, self._best = _shortest(grammar)
        self._flatten()
        self._frames: dict[tuple[int, _Frame | None], _Frame] = {}
        self._states: dict[frozenset[_Frame] | tuple[frozenset[_Frame], bool], State] = {}

    @classmethod
    def read(cls, grammar: str) -> Automaton:
        """Raises GrammarError, one sentence, for everything that llama.cpp refuses or would not survive."""
        return cls(parse(grammar))

    def start(self) -> State:
        tops: list[_Frame | None] = [self._frame(at, None) if at >= 0 else None for at in self._starts[0]]
        state = self._state(tops)
        assert state is not None
        return state

    def _flatten(self) -> None:
        """Positions: a symbol each, the next one of its alternative (-1 at the end) and the bytes due from it."""
        sets = self._grammar.sets
        plain = [charset.plain() for charset in sets]
        weight = [len(char.encode()) for char in plain]
        self._plain = plain
        self._only = [chr(s.ranges[0][0]) if s.ranges and s.ranges[0][0] == s.ranges[-1][1] else "" for s in sets]
        self._symbol: list[int] = []
        self._next: list[int] = []
        self._rest: list[int] = []
        self._starts: list[tuple[int, ...]] = []
        for alternatives in self._grammar.rules:
            starts = []
            for symbols in alternatives:
                first = len(self._symbol)
                starts.append(first if symbols else -1)
                sizes = [self._lengths[s] if s >= 0 else weight[~s] for s in symbols]
                due = sum(sizes)
                for number, size in enumerate(sizes, 1):
                    self._rest.append(due)
                    due -= size
                    self._next.append(first + number)
                if symbols:
                    self._next[-1] = -1
                self._symbol += symbols
            self._starts.append(tuple(starts))

    # ------------------------------------------------------------ states

    def _frame(self, position: int, parent: _Frame | None) -> _Frame:
        key = position, parent
        found = self._frames.get(key)
        if found is None:
            if len(self._frames) > _MAX_FRAMES:
                self._frames.clear()
                self._states.clear()
            total = self._rest[position] + (parent.total if parent else 0)
            found = self._frames[key] = _Frame(position, parent, total)
        return found

    def _after(self, position: int, parent: _Frame | None) -> _Frame | None:
        """Behind a symbol: the next of its rule, else where that rule goes on (None: the text is whole)."""
        follow = self._next[position]
        return parent if follow < 0 else self._frame(follow, parent)

    def _close(self, top: _Frame) -> tuple[tuple[_Frame, ...], bool]:
        """The frames at characters that `top` opens into, and whether the text may end there."""
        if top.closed is None:
            ends: dict[_Frame, None] = {}
            whole = False
            seen = {top}
            todo = [top]
            while todo:
                frame = todo.pop()
                symbol = self._symbol[frame.position]
                if symbol < 0:
                    ends[frame] = None
                    continue
                behind = self._after(frame.position, frame.parent)
                for start in self._starts[symbol]:
                    into = behind if start < 0 else self._frame(start, behind)
                    if into is None:
                        whole = True
                    elif into not in seen:
                        seen.add(into)
                        todo.append(into)
            top.closed = tuple(ends), whole
        return top.closed

    def _state(self, tops: Iterable[_Frame | None]) -> State | None:
        frames: dict[_Frame, None] = {}
        complete = False
        for top in tops:
            if top is None:
                complete = True
                continue
            ends, whole = self._close(top)
            complete = complete or whole
            frames.update(dict.fromkeys(ends))
        if not frames and not complete:
            return None
        kept = tuple(frames)
        if len(kept) > MAX_STACKS:
            kept = tuple(sorted(kept, key=lambda frame: frame.total)[:MAX_STACKS])
        key = frozenset(kept), complete
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = State(self, kept, complete)
        return found

    def _step(self, state: State, char: str) -> State | None:
        code, sets, symbols = ord(char), self._grammar.sets, self._symbol
        return self._state(
            self._after(frame.position, frame.parent)
            for frame in state._frames
            if sets[~symbols[frame.position]].has(code)
        )

    # ------------------------------------------------------------ the shortest text

    def _text(self, frame: _Frame | None) -> str:
        out: list[str] = []
        while frame is not None:
            todo = [frame.position]
            while todo:
                position = todo.pop()
                symbol, follow = self._symbol[position], self._next[position]
                if follow >= 0:
                    todo.append(follow)
                if symbol < 0:
                    out.append(self._plain[~symbol])
                elif (start := self._starts[symbol][self._best[symbol]]) >= 0:
                    todo.append(start)
            frame = frame.parent
        return "".join(out)


# ---------------------------------------------------------------- checks


def _shortest(grammar: Grammar) -> tuple[list[int], list[int]]:
    """For each rule the bytes of its shortest text, and the alternative that gives it."""
    weight = [len(charset.plain().encode()) for charset in grammar.sets]
    lengths: list[int] = [-1] * len(grammar.rules)
    best: list[int] = [0] * len(grammar.rules)
    sums: list[int] = []
    missing: list[int] = []
    owner: list[tuple[int, int]] = []
    users: list[list[int]] = [[] for _ in grammar.rules]
    heap: list[tuple[int, int, int]] = []
    for rule, alternatives in enumerate(grammar.rules):
        for number, symbols in enumerate(alternatives):
            refs = [s for s in symbols if s >= 0]
            size = sum(weight[~s] for s in symbols if s < 0)
            if not refs:
                heap.append((size, rule, number))
                continue
            for ref in refs:
                users[ref].append(len(sums))
            sums.append(size)
            missing.append(len(refs))
            owner.append((rule, number))
    heapq.heapify(heap)
    while heap:
        size, rule, number = heapq.heappop(heap)
        if lengths[rule] >= 0:
            continue
        lengths[rule], best[rule] = size, number
        for alternative in users[rule]:
            sums[alternative] += size
            missing[alternative] -= 1
            if not missing[alternative] and sums[alternative] <= MAX_SHORTEST:
                heapq.heappush(heap, (sums[alternative], *owner[alternative]))
    for rule, length in enumerate(lengths):
        if length < 0:
            raise GrammarError(f"The rule {grammar.names[rule]!r} of the grammar has no text that ends soon.")
    return lengths, best


def _nullable(grammar: Grammar) -> list[bool]:
    """Which rules may be empty, also by way of other rules."""
    empty = [() in alternatives for alternatives in grammar.rules]
    users: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in grammar.rules]
    for rule, alternatives in enumerate(grammar.rules):
        for symbols in alternatives:
            if symbols and min(symbols) >= 0:
                for ref in set(symbols):
                    users[ref].append((rule, symbols))
    todo = [rule for rule, is_empty in enumerate(empty) if is_empty]
    while todo:
        for rule, symbols in users[todo.pop()]:
            if not empty[rule] and all(empty[s] for s in symbols):
                empty[rule] = True
                todo.append(rule)
    return empty


def _check_left_recursion(grammar: Grammar) -> None:
    """No rule may come back to itself before a character, and llama.cpp's own look must end soon."""
    empty = _nullable(grammar)
    begins = [_leftmost(alternatives, empty) for alternatives in grammar.rules]
    steps: list[int] = [0] * len(begins)  # -1 while it is being walked
    for first in range(len(begins)):
        if steps[first]:
            continue
        walk = [(first, iter(begins[first]))]
        steps[first] = -1
        while walk:
            rule, rest = walk[-1]
            child = next(rest, None)
            if child is None:
                walk.pop()
                steps[rule] = 1 + sum(steps[ref] for ref in begins[rule])
                if steps[rule] > MAX_LEFT_WALK:
                    raise GrammarError(f"The rule {grammar.names[rule]!r} of the grammar branches too often.")
            elif steps[child] < 0:
                raise GrammarError(f"The rule {grammar.names[child]!r} of the grammar begins with itself.")
            elif not steps[child]:
                steps[child] = -1
                walk.append((child, iter(begins[child])))


def _check_repetitions(grammar: Grammar) -> None:
    """Bounded repetitions inside each other must not multiply beyond what can be held."""
    if math.prod(times for _, _, times in grammar.factors) <= MAX_PRODUCT:
        return
    times: dict[int, dict[int, int]] = {}
    for rule, symbol, count in grammar.factors:
        times.setdefault(rule, {})[symbol] = count
    product = [0] * len(grammar.rules)  # 0 where unknown, -1 while it is being found out
    # An item that a repetition wrote out stands in a chain of rules: it counts here, where it was repeated.
    refs = [
        [*{s for symbols in alternatives for s in symbols if s >= 0} | times.get(rule, {}).keys()]
        for rule, alternatives in enumerate(grammar.rules)
    ]
    for first in range(len(refs)):
        walk = [] if product[first] else [(first, iter(refs[first]))]
        while walk:
            rule, rest = walk[-1]
            product[rule] = -1
            child = next(rest, None)
            if child is not None:
                if not product[child]:
                    walk.append((child, iter(refs[child])))
                continue
            walk.pop()
            factors = times.get(rule, {})
            product[rule] = max([1, *(factors.get(ref, 1) * product[ref] for ref in refs[rule])])
            if product[rule] > MAX_PRODUCT:
                raise GrammarError(f"The repetitions in the rule {grammar.names[rule]!r} of the grammar multiply too far.")


def _leftmost(alternatives: Sequence[Sequence[int]], empty: Sequence[bool]) -> list[int]:
    """The rules that may stand at the beginning, each as often as it does."""
    found = []
    for symbols in alternatives:
        for symbol in symbols:
            if symbol < 0:
                break
            found.append(symbol)
            if not empty[symbol]:
                break
    return found
