"""Which model gives the next answer: the session's own, a bigger one where that is worth it, another one where an endpoint is down.

Nothing is asked or sent here: `agent.escalating` asks the person, and goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .base import Engine, TokenLogprob
from .entry import Entry

Escalate = Literal["never", "ask", "always"]

UNSURE = 1.0
"""Below this margin, in nats, between the name of the tool that was called and the next likeliest one the model is unsure
(calibrated by `bench/route.py` on the public split of BFCL; see docs/decisions/0074)."""
STUMBLES = 2
"""So many calls in a row have failed before the next answer is worth a bigger model."""
TOLD = 8
"""So many of the likeliest tokens are told with each token of an answer that is watched."""
_DOWN_S = 60.0
_OPENS = frozenset("\"'=:>. \n")


@dataclass(slots=True)
class Other:
    """Another model than the session's own. `make` gives its engine, and is called once; it raises LocalAgentError."""

    entry: Entry
    make: Callable[[], Engine]
    _made: Engine | None = None

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def away(self) -> bool:
        """Whether what it is asked leaves this machine."""
        from .remote import keys

        return self.entry.remote is not None and not keys.is_here(self.entry.remote)

    def engine(self) -> Engine:
        self._made = self._made or self.make()
        return self._made

    async def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            await made.close()


@dataclass(slots=True)
class Route:
    """The models of one session beside its own.

    `bigger` is asked where the person wishes it (`wish`; with `each` for every answer), and by `escalate` where the own one is unsure.
    `spares` come in the place of the own one where that is down;
    `away` says that the own one is on another machine. `heard` are the tokens of its last answer, where it tells of them.
    """

    bigger: Other | None = None
    escalate: Escalate = "ask"
    each: bool = False
    spares: tuple[Other, ...] = ()
    away: bool = False
    wished: bool = False
    refused: bool = False
    heard: list[TokenLogprob] = field(default_factory=list)
    _down: dict[str, float] = field(default_factory=dict)

    @property
    def watches(self) -> bool:
        """Whether it matters how sure the own model is. Somebody who said no in this turn is not asked again."""
        return self.bigger is not None and self.escalate != "never" and not self.refused

    def wish(self) -> bool:
        """The next answer is to come from the bigger model. False where there is none."""
        self.wished = self.bigger is not None
        return self.wished

    def begin(self) -> None:
        """A turn begins: a no of the one before is over."""
        self.refused = False

    def fell(self, model: str) -> None:
        """An endpoint was down: for a while it is not asked again."""
        self._down[model] = time.monotonic()

    def down(self, model: str) -> bool:
        return time.monotonic() - self._down.get(model, -math.inf) < _DOWN_S

    async def close(self) -> None:
        for one in (self.bigger, *self.spares):
            if one is not None:
                await one.close()


def margin(tokens: Iterable[TokenLogprob], called: str, names: Sequence[str]) -> float | None:
    """By how many nats the called tool's name was likelier than the nearest other name, where they part; None where nothing tells.

    The tokens are those that the model chose; what the grammar forced is not among them, and no choice. The likeliest instead are
    those before the grammar had its say: what is no other name there does not count.
    """
    said = list(tokens)
    starts, text = [], ""
    for one in said:
        starts.append(len(text))
        text += one.piece.decode("utf-8", "replace")
    begin = _begin(text, called)
    if begin is None:
        return None
    end, others = begin + len(called), [name for name in names if name != called]
    least = math.inf
    for at, one in zip(starts, said, strict=True):
        piece = one.piece.decode("utf-8", "replace")
        if at + len(piece) <= begin or at > end:
            continue
        lead = max(0, begin - at)
        known = called[: max(0, at - begin)]
        before = piece[:lead]
        for other, value in one.top:
            instead = other.decode("utf-8", "replace")
            if instead != piece and instead.startswith(before) and _leads(known + instead[lead:], called, others):
                least = min(least, one.logprob - value)
                break
    return least


def _begin(text: str, called: str) -> int | None:
    """Where the name of the call stands: behind what opens a call, and not within a longer word."""
    at = text.find(called)
    while at >= 0:
        behind = text[at + len(called) : at + len(called) + 1]
        if (at == 0 or text[at - 1] in _OPENS) and not (behind.isalnum() or behind == "_"):
            return at
        at = text.find(called, at + 1)
    return None


def _leads(begun: str, called: str, others: Sequence[str]) -> bool:
    """Whether a name that begins so becomes another tool's than the called one's."""
    if not begun or called.startswith(begun):
        return False
    for name in others:
        rest = begun[len(name) :]
        if name.startswith(begun) or (begun.startswith(name) and not (rest[:1].isalnum() or rest[:1] == "_")):
            return True
    return False
