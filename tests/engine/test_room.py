"""Which models stay when another one comes, as a table."""

from __future__ import annotations

import pytest

from localagent.engine.machine import GIB, Gpu, Machine
from localagent.engine.room import Share, to_unload


def _machine(ram: float, available: float, *gpus: Gpu) -> Machine:
    return Machine(int(ram * GIB), int(available * GIB), 0, gpus)


def _share(need: float, weights: float, busy: bool = False) -> Share:
    return Share(int(need * GIB), int(weights * GIB), busy)


SMALL, LARGE = _share(2, 1.5), _share(7, 5.5)
BUSY = _share(7, 5.5, busy=True)


@pytest.mark.parametrize(
    ("need", "loaded", "machine", "gone"),
    [
        # Everything fits beside everything.
        (2, [SMALL, LARGE], _machine(32, 26), []),
        # The one unused for longest goes, and only as many as must.
        (7, [SMALL, LARGE], _machine(16, 14), [0, 1]),
        (6, [SMALL, LARGE], _machine(16, 14), [0]),
        (4, [SMALL, LARGE], _machine(16, 14), []),
        (5, [LARGE, SMALL], _machine(16, 14), [0]),
        # A busy one stays; what is idle goes, else it is waited for.
        (7, [BUSY, SMALL], _machine(16, 14), None),
        (5, [BUSY, SMALL], _machine(16, 14), [1]),
        (2, [BUSY], _machine(16, 14), []),
        # Mapped weights look free and are not.
        (6, [BUSY], _machine(24, 11), None),
        (6, [BUSY], _machine(24, 12), []),
        # Other programs hold the memory.
        (2, [SMALL], _machine(32, 2), [0]),
        # Nothing known of the machine: one at a time.
        (2, [SMALL], _machine(0, 0), [0]),
        (2, [BUSY], _machine(0, 0), None),
        # Too big for this machine: its loading says so.
        (99, [SMALL, LARGE], _machine(16, 14), [0, 1]),
        (99, [], _machine(16, 14), []),
    ],
)
def test_who_must_go(need: float, loaded: list[Share], machine: Machine, gone: list[int] | None):
    assert to_unload(int(need * GIB), loaded, machine) == gone


@pytest.mark.parametrize(
    ("need", "free", "gone"), [(2, 3, []), (4, 3, [0]), (6, 3, [0, 1]), (4, None, []), (6, None, [0]), (8, None, [0, 1])]
)
def test_on_a_graphics_card_its_own_memory_counts(need: float, free: float | None, gone: list[int]):
    card = Gpu("card", 8 * GIB, None if free is None else free * GIB)
    loaded = [_share(2, 1), _share(1.5, 1)]
    assert to_unload(need * GIB, loaded, _machine(4, 1, card), gpu=True) == gone
