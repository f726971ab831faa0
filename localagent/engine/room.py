"""Whether one more model fits beside those that are loaded, and which must go so that it does: pure arithmetic, in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .fit import RESERVE
from .machine import Machine


@dataclass(frozen=True, slots=True)
class Share:
    """What a loaded model takes: `need` in all, `weights` of it a file that the system may show as free memory.

    `busy`: an answer is being made with it, or stands interrupted.
    """

    need: int
    weights: int
    busy: bool = False


def to_unload(need: int, loaded: Sequence[Share], machine: Machine, *, gpu: bool = False) -> list[int] | None:
    """Which of `loaded` (the longest unused first) must go so that `need` fits; None where it has to wait.

    Where nothing is busy the answer is never None: whether the model fits alone is for its loading to say.
    """
    kept = list(range(len(loaded)))
    gone: list[int] = []
    idle = [at for at in kept if not loaded[at].busy]
    while kept and not _fits(need, [loaded[at] for at in kept], [loaded[at] for at in gone], machine, gpu):
        if not idle:
            return None
        gone.append(idle.pop(0))
        kept.remove(gone[-1])
    return gone


def _fits(need: int, kept: Sequence[Share], gone: Sequence[Share], machine: Machine, gpu: bool) -> bool:
    if gpu and machine.gpus:
        # What the driver calls free is without what is loaded now.
        taken, given_back = sum(share.need for share in kept), sum(share.need for share in gone)
        return need <= max(g.total - taken if g.free is None else g.free + given_back for g in machine.gpus)
    if not machine.ram:
        return False
    # A mapped file counts as free memory although the model reads all of it for each token.
    free = machine.available - sum(share.weights for share in kept) + sum(s.need - s.weights for s in gone)
    budget = machine.ram - min(RESERVE, machine.ram // 4) - sum(share.need for share in kept)
    return need <= min(free, budget)
