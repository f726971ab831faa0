"""Giving memory back before the machine swaps: first the snapshots of conversations, then an idle model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .machine import GIB, memory

STALLED = 10.0
"""Percent of the last ten seconds in which nothing could go on for want of memory."""
_MOST, _LEAST, _UNKNOWN = GIB, GIB // 16, GIB // 4
_PSI = Path("/proc/pressure/memory")


@dataclass(frozen=True, slots=True)
class Pressure:
    """Bytes this process may use at most (0: not known) and those free of it; `stalled` in percent, 0 where not told."""

    total: int
    available: int
    stalled: float = 0.0

    @property
    def short(self) -> bool:
        """Whether other programs are about to wait for memory, or already do."""
        if not self.total:
            return False
        return self.available < max(GIB // 4, self.total // 50) or (
            self.stalled >= STALLED and self.available < self.total // 10
        )


@dataclass(frozen=True, slots=True)
class Relief:
    """What to do: hold at most `budget` bytes of snapshots, and unload the model if it is idle."""

    budget: int
    unload: bool = False


def relief(now: Pressure, held: int) -> Relief:
    """`held` are the bytes of snapshots there are. The model goes only where there is nothing else to give back."""
    if now.short:
        return Relief(0, unload=not held)
    if not now.total:
        return Relief(_UNKNOWN)
    return Relief(max(_LEAST, min(_MOST, (now.available + held) // 8)))


def this_pressure(psi: Path = _PSI) -> Pressure:
    """How it is now."""
    return Pressure(*memory(), stalled=_stalled(psi))


def _stalled(psi: Path) -> float:
    """`full avg10=1.23 …`: where the kernel keeps no such count, 0."""
    try:
        line = next(line for line in psi.read_text().splitlines() if line.startswith("full "))
        return float(line.split("avg10=", 1)[1].split()[0])
    except (OSError, StopIteration, IndexError, ValueError):
        return 0.0
