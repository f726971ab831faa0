"""Finds what makes a model fast on this machine: a few settings, each tried against the best so far, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol

from ..errors import EngineError
from ..store.tuned import Measured
from .layout import GPU_MARGIN, lay_out
from .machine import Machine
from .plan import Plan
from .trial import ROOM
from .trials import Load, Took, Work
from .weights import Weights

ROUNDS = 3
WORTH = 0.03
"""A gain below this is noise."""
LIMIT_S = 105.0
READ, WRITE = 512, 96
"""Tokens of a usual step of the agent: what is compared is the time for these."""
_RUN_S = 1.5
_LARGEST_READ = 512
_LEAST_RUNS = 2

Say = Callable[[str], None]


class Bench(Protocol):
    trouble: str

    async def run(self, load: Load, work: Work) -> Took | None: ...

    async def keep(self, load: Load | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Setting:
    """One to measure, as `tuned.Measured` names it: the values, the plan's own first. `title` is for people."""

    name: str
    title: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """`tried` has for each setting the seconds of each value, None where it crashed."""

    measured: tuple[Measured, ...]
    tried: tuple[tuple[str, tuple[tuple[Any, float | None], ...]], ...]
    gain: float


def candidates(machine: Machine, weights: Weights, made: Plan) -> list[Setting]:
    """What is worth trying here: nothing that does not fit, or that a graphics card makes meaningless."""
    cores, found = machine.cores, []
    on_cpu = made.gpu_layers < made.layers
    here = lay_out(machine.gpus, weights, made.context, made.batch, small=made.kv != "f16", flash=made.flash)
    if on_cpu and (not machine.ram or here.memory + here.main_weights <= machine.available):
        found.append(Setting("repack", "repacked weights", (False, True)))
    if made.kv == "f16":
        found.append(Setting("flash", "flash attention", (True, False)))
    advised = cores.usable
    others = [advised // 2, *([] if cores.quota else [cores.physical, cores.logical])]
    threads = [n for n in dict.fromkeys(others) if n > 0 and n != advised]
    if on_cpu and threads:
        found.append(Setting("threads", "threads", (advised, *threads)))
    return [*found, Setting("batch", "batch", (512, 256, 128))]


def beside(machine: Machine, weights: Weights) -> Callable[[Sequence[Load]], bool]:
    """Says whether models loaded in these ways fit into the machine at once: only a mapped file is shared."""
    room = max(0, machine.available) if machine.ram else None
    cards = sum(max(0, gpu.room - GPU_MARGIN) for gpu in machine.gpus)

    def fits(loads: Sequence[Load]) -> bool:
        memory = gpu_memory = shared = 0
        for load in loads:
            gpus = machine.gpus if load.gpu_layers else ()
            found = lay_out(gpus, weights, ROOM, load.batch, small=load.kv != "f16", flash=load.flash)
            shared = max(shared, found.main_weights)
            memory += found.memory - (0 if load.repack else found.main_weights)
            gpu_memory += found.gpu_memory
        return (room is None or memory + shared <= room) and gpu_memory <= cards

    return fits


async def tune(
    path: str,
    made: Plan,
    settings: Sequence[Setting],
    bench: Bench,
    say: Say,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Measures on `bench` for `LIMIT_S` seconds at most. Raises `EngineError` where even the plan's own values crash."""
    search = _Search(bench, say, clock, clock() + LIMIT_S)
    default = {setting.name: setting.values[0] for setting in settings}
    load = Load(
        path=path,
        repack=default.get("repack", False),
        flash=default.get("flash", made.flash),
        batch=default.get("batch", made.batch),
        kv=made.kv,
        gpu_layers=made.gpu_layers,
        split=made.split,
    )
    return await search.all(load, default.get("threads", made.threads), settings)


class _Search:
    def __init__(self, bench: Bench, say: Say, clock: Callable[[], float], deadline: float) -> None:
        self._bench, self._say, self._clock, self._deadline = bench, say, clock, deadline
        self._measured: list[Measured] = []
        self._tried: list[tuple[str, tuple[tuple[Any, float | None], ...]]] = []

    async def all(self, load: Load, threads: int, settings: Sequence[Setting]) -> Result:
        self._say("loading the model")
        work = await self._fitting(load, threads)
        gain = 1.0
        for setting in settings:
            step = work
            if setting.name == "batch":
                # Only what is longer than the smaller batch shows a difference, and a slow machine has no time for it.
                if work.read < _LARGEST_READ // 4:
                    continue
                step = replace(work, read=_LARGEST_READ, write=0)
            costs = await self._compare(setting, load, step)
            best = _best(costs)
            if best is None:
                break
            value, better = best
            self._measured.append(Measured(setting.name, value, better))
            gain *= 1 + (better if setting.name != "batch" else 0.0)
            load, work = _with(load, work, setting.name, value)
            await self._bench.keep(load)
        return Result(tuple(self._measured), tuple(self._tried), gain - 1)

    async def _fitting(self, load: Load, threads: int) -> Work:
        """As much work as takes about `_RUN_S` for reading and for writing."""
        work = Work(threads, 16, 2)
        for _ in range(2):  # the first run reads the file from the disk
            took = await self._bench.run(load, work)
            if took is None:
                raise EngineError(f"The model cannot be measured: {self._bench.trouble}.", "See `localagent doctor`.")
            read = round(work.read * _RUN_S / max(took.read_s, 1e-6)) // 16 * 16
            write = round(work.write * _RUN_S / max(took.write_s, 1e-6))
            work = Work(threads, min(_LARGEST_READ, max(16, read)), min(64, max(2, write)))
        return work

    async def _compare(self, setting: Setting, load: Load, work: Work) -> dict[Any, list[float]]:
        """For each value the seconds of a usual step, from runs that take turns; none where it crashed."""
        took: dict[Any, list[float]] = {value: [] for value in setting.values}
        crashed: set[Any] = set()
        for number in range(ROUNDS):
            if self._clock() > self._deadline:
                break
            for value in setting.values:
                if value in crashed or self._clock() > self._deadline:
                    continue
                self._say(f"{setting.title}: {_shown(value)} ({number + 1} of {ROUNDS})")
                changed, own = _with(load, work, setting.name, value)
                found = await self._bench.run(changed, own)
                if found is None:
                    crashed.add(value)
                else:
                    took[value].append(_cost(found, own))
        costs: dict[Any, list[float]] = {value: [] if value in crashed else took[value] for value in took}
        if any(costs.values()):
            shown = ((value, median(runs) if runs else None) for value, runs in costs.items())
            self._tried.append((setting.name, tuple(shown)))
        return costs


def _with(load: Load, work: Work, name: str, value: Any) -> tuple[Load, Work]:
    if name == "threads":
        return load, replace(work, threads=value)
    return replace(load, **{name: value}), work


def _cost(took: Took, work: Work) -> float:
    """Seconds of a usual step."""
    write = took.write_s / work.write * WRITE if work.write else 0.0
    return took.read_s / work.read * READ + write


def _best(costs: Mapping[Any, Sequence[float]]) -> tuple[Any, float] | None:
    """The value to use and what it gains; None where the first, which the plan would take, was not measured twice.

    Another must be faster by more than noise: by `WORTH`, its usual run than any of the first's, and its slowest
    than the first's usual one.
    """
    default, first = next(iter(costs.items()))
    if len(first) < _LEAST_RUNS:
        return None
    value, runs = min(((v, r) for v, r in costs.items() if len(r) >= _LEAST_RUNS), key=lambda one: median(one[1]))
    gain = median(first) / median(runs) - 1
    sure = median(runs) < min(first) and max(runs) < median(first)
    return (value, gain) if gain >= WORTH and sure else (default, 0.0)


def _shown(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
