"""With which numbers a model is loaded on a machine, each with its reason: computed, without looking at anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..store.tuned import Tuned
from .fit import gib
from .layout import Layout, lay_out
from .machine import GIB, Machine
from .weights import Weights

BATCH = 512
LEAST_CONTEXT = 4096
"""Tokens: with less there is no room for the tools and an answer."""
_STEP = 1024
_GPU_THREADS = 4
_UNKNOWN = 1 << 60
_HALF = "memory is short, and it takes half of f16"

Kv = Literal["f16", "q8_0"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user chose. `context` in tokens; `threads` None leaves it to the plan."""

    context: int
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What llama.cpp is asked for.

    `context` and `batch` are in tokens, `kv` is how keys and values are kept, `flash` whether attention
    is computed in one pass, `repack` whether weights are copied into a form of the processor's own.
    `gpu_layers` of `layers` (the output counts as one) go to graphics cards, `split` of them to each.
    `memory` and `gpu_memory` are the bytes needed, `short` those that are missing. `reasons` has one for each.
    """

    threads: int
    batch: int
    kv: Kv
    flash: bool
    context: int
    gpu_layers: int
    layers: int
    split: tuple[int, ...]
    repack: bool
    memory: int
    gpu_memory: int
    short: int
    reasons: tuple[tuple[str, str], ...]

    @property
    def offloaded(self) -> str:
        """The layers on graphics cards, as "33/33"; "0" where there are none."""
        return f"{self.gpu_layers}/{self.layers}" if self.gpu_layers else "0"

    def reason(self, name: str) -> str:
        return dict(self.reasons)[name]

    def shown(self) -> Iterator[tuple[str, str, str]]:
        """(what, its value, why) for people."""
        yield "threads", str(self.threads), self.reason("threads")
        yield "context", f"{self.context:,} tokens", self.reason("context")
        yield "kv cache", self.kv, self.reason("kv")
        yield "batch", f"{self.batch} tokens", self.reason("batch")
        yield "flash attention", "on" if self.flash else "off", self.reason("flash")
        yield "GPU layers", f"{self.gpu_layers} of {self.layers}", self.reason("gpu_layers")
        yield "repacked weights", "on" if self.repack else "off", self.reason("repack")

    def facts(self) -> dict[str, Any]:
        """For programs: value and reason of each number."""
        names = ("threads", "context", "kv", "batch", "flash", "gpu_layers", "repack")
        chosen = {name: {"value": getattr(self, name), "reason": self.reason(name)} for name in names}
        sizes = {name: getattr(self, name) for name in ("layers", "memory", "gpu_memory", "short")}
        return {**chosen, "split": list(self.split), **sizes}


def plan(machine: Machine, weights: Weights, wanted: Wanted, tuned: Tuned | None = None) -> Plan:
    """The plan for a model on a machine whose `gpus` are those that the engine can use."""
    reasons: dict[str, str] = {}
    batch = _measured(tuned, "batch", BATCH, "large enough to read fast, small enough to show progress", reasons)
    flash = _measured(tuned, "flash", True, "faster in a long context, and needs less memory", reasons)
    wished = min(wanted.context, weights.context or wanted.context)
    kv, flash, found = _memory(machine, weights, wished, batch, flash, reasons)
    if found.context == wished:
        reasons["context"] = "as set" if wished == wanted.context else "more than this the model has not learnt"
    reasons["gpu_layers"] = _placed(machine, found)
    return Plan(
        threads=_threads(machine, wanted, tuned, found, reasons),
        batch=batch,
        kv=kv,
        flash=flash,
        context=found.context,
        gpu_layers=found.gpu_layers,
        layers=found.layers,
        split=found.split,
        repack=_repack(machine, found, tuned, reasons),
        memory=found.memory,
        gpu_memory=found.gpu_memory,
        short=max(0, found.memory - machine.available) if machine.ram else 0,
        reasons=tuple(reasons.items()),
    )


def fewer_layers(made: Plan, gpu_layers: int, why: str) -> Plan:
    """The same plan with fewer layers on the graphics card: what to try when it could not be loaded."""
    reasons = tuple((name, why if name == "gpu_layers" else text) for name, text in made.reasons)
    share = gpu_layers / made.gpu_layers if made.gpu_layers else 0
    split = tuple(round(count * share) for count in made.split) if gpu_layers else ()
    return replace(made, gpu_layers=gpu_layers, split=split, reasons=reasons)


# ---------------------------------------------------------------- memory


def _memory(
    machine: Machine, weights: Weights, wished: int, batch: int, flash: bool, reasons: dict[str, str]
) -> tuple[Kv, bool, Layout]:
    """How keys and values are kept, whether with flash attention, and where all lies: the first way that fits."""

    def at(way: tuple[Kv, bool], context: int) -> Layout:
        return lay_out(machine.gpus, weights, context, batch, small=way[0] == "q8_0", flash=way[1])

    ways: list[tuple[Kv, bool]] = [("f16", flash)]
    ways += [] if flash else [("f16", True)]
    ways += [("q8_0", True)] if weights.quantises else []
    free = machine.available if machine.ram else _UNKNOWN
    room = free - min(GIB, machine.ram // 16)
    whole = [(way, at(way, wished)) for way in ways]
    on_cards = [(way, found) for way, found in whole if machine.gpus and found.gpu_layers == found.layers]
    for way, found in (*on_cards, *whole):
        if found.memory <= room:
            return _chose(
                way, found, flash, "so that all layers fit on the graphics card" if on_cards else _HALF, reasons
            )
    least = min(LEAST_CONTEXT, wished)
    contexts = [wished, *range((wished - 1) // _STEP * _STEP, least, -_STEP), least]
    for limit in (room, free):
        for context in dict.fromkeys(contexts):
            found = at(ways[-1], context)
            if found.memory <= limit:
                if context < wished:
                    has = f"{gib(machine.available)} GiB of free memory"
                    reasons["context"] = f"{wished:,} would not fit into {has}"
                return _chose(ways[-1], found, flash, _HALF, reasons)
    return _chose(*whole[-1], flash, _HALF, reasons)


def _chose(
    way: tuple[Kv, bool], found: Layout, flash: bool, why: str, reasons: dict[str, str]
) -> tuple[Kv, bool, Layout]:
    kv, flashes = way
    reasons["kv"] = "exact" if kv == "f16" else why
    if flashes and not flash:
        reasons["flash"] = "a cache at q8_0 needs it" if kv == "q8_0" else "without it the context would not fit"
    return kv, flashes, found


def _placed(machine: Machine, found: Layout) -> str:
    if not machine.gpus:
        return "the engine sees no graphics card"
    cards = ", ".join(f"{gpu.name} ({gib(gpu.room)} GiB free)" for gpu in machine.gpus)
    if found.gpu_layers == found.layers:
        return f"all fit on {cards}"
    return f"as many as fit on {cards}" if found.gpu_layers else f"not one fits on {cards}"


# ---------------------------------------------------------------- the others


def _measured(tuned: Tuned | None, name: str, default: Any, why: str, reasons: dict[str, str]) -> Any:
    one = tuned.find(name) if tuned else None
    reasons[name] = _when(tuned, one.gain) if tuned and one else why
    return one.value if one else default


def _when(tuned: Tuned, gain: float) -> str:
    return f"measured on {tuned.when}: {f'+{gain * 100:.0f} %' if gain >= 0.005 else 'the fastest'}"


def _threads(machine: Machine, wanted: Wanted, tuned: Tuned | None, found: Layout, reasons: dict[str, str]) -> int:
    if wanted.threads:
        reasons["threads"] = "as set"
        return wanted.threads
    advised, why = machine.cores.advice()
    if found.gpu_layers == found.layers and machine.gpus and advised > _GPU_THREADS:
        advised, why = _GPU_THREADS, "the graphics card computes"
    threads: int = _measured(tuned, "threads", advised, why, reasons)
    return threads


def _repack(machine: Machine, found: Layout, tuned: Tuned | None, reasons: dict[str, str]) -> bool:
    wished: bool = _measured(
        tuned, "repack", False, "costs memory and time to load; `localagent tune` tries it", reasons
    )
    if wished and machine.ram and found.memory + found.main_weights > machine.available:
        reasons["repack"] = "measured to be faster, but there is no memory for the copy"
        return False
    return wished
