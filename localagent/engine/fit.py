"""Whether a model of the catalogue fits a machine: computed, so that the numbers can be shown. Everything is in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .entry import MIB, Entry, Memory
from .machine import GIB, Machine

# The interpreter, the engine's own buffers and the tokenizer.
RUNTIME = 300 * MIB
# What the rest of the system should keep, at most; a quarter of a small machine.
RESERVE = 3 * GIB

Verdict = Literal["fits", "tight", "too big", "hosted", "unknown"]


@dataclass(frozen=True, slots=True)
class Fit:
    """What `entry` needs at `context` tokens against a machine. `place` is where it would run."""

    verdict: Verdict
    context: int
    file: int
    kv: int
    state: int
    compute: int
    machine: Machine
    place: Literal["memory", "gpu"] = "memory"
    # The largest context in tokens that still fits, 0 where none does.
    largest_context: int = 0

    @property
    def need(self) -> int:
        return self.file + self.kv + self.state + self.compute + RUNTIME

    @property
    def disk_short(self) -> int:
        """Bytes missing on the disk for the file, 0 where it fits."""
        return max(0, self.file - self.machine.disk) if self.machine.disk else 0

    def numbers(self) -> str:
        """The computation in one line."""
        parts = (("file", self.file), ("context", self.kv), ("state", self.state), ("compute", self.compute))
        shown = " + ".join(f"{name} {gib(size)}" for name, size in (*parts, ("runtime", RUNTIME)) if size)
        has = f"{gib(self.machine.available)} free of {gib(self.machine.ram)} GiB memory"
        return f"{shown} = {gib(self.need)} GiB at {self.context:,} tokens; {has}"


def gib(size: float) -> str:
    return f"{size / GIB:.1f}" if size >= 0.05 * GIB else f"{size / GIB:.2f}"


def fits(entry: Entry, machine: Machine, context: int = 16384, *, offload: bool = False) -> Fit:
    """Whether the entry can run here. `offload`: the engine is built for this machine's GPU."""
    memory = entry.memory or Memory(0, 0, 512 * MIB)
    tokens = min(context, entry.context) if entry.context else context
    if entry.hosted:
        return Fit("hosted", tokens, 0, 0, 0, 0, machine)
    sizes = (entry.bytes, memory.kv_per_token * tokens, memory.state, memory.compute)
    need = sum(sizes) + RUNTIME
    gpu = max((gpu.room for gpu in machine.gpus), default=0) if offload else 0
    budget = min(machine.available, machine.ram - min(RESERVE, machine.ram // 4))
    verdict: Verdict
    if not machine.ram:
        verdict = "unknown"
    elif need <= max(budget, gpu):
        verdict = "fits"
    else:
        verdict = "tight" if need <= machine.ram * 0.95 else "too big"
    room = max(budget, gpu) - (need - sizes[1])
    largest = entry.context if not memory.kv_per_token else max(0, room // memory.kv_per_token // 256 * 256)
    return Fit(
        verdict,
        tokens,
        *sizes,
        machine,
        place="gpu" if need <= gpu else "memory",
        largest_context=min(largest, entry.context) if entry.context else largest,
    )
