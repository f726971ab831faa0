"""Loads a model as its plan says; where a graphics card turns out to have too little memory, with fewer layers on it."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EngineError, LocalAgentError, ModelError
from ..store import tuned
from . import gguf, pages, preflight, weights
from .machine import Machine, this_machine, with_devices
from .plan import Plan, Wanted, fewer_layers, plan

if TYPE_CHECKING:
    from .llama import Context, Model

log = logging.getLogger("localagent.engine")
_FEWER = (0.75, 0.5, 0.25, 0.0)
_READING = 0.9
"""The share of loading that reading the file from the disk stands for."""


@dataclass(frozen=True, slots=True)
class Opened:
    """`note` says in a sentence where it could not be loaded as planned, "" where it was."""

    model: Model
    context: Context
    plan: Plan
    note: str = ""


def engine_machine() -> Machine:
    """This machine with the graphics cards that the engine can use; none where the engine cannot be loaded."""
    try:
        from . import llama

        devices = llama.devices() if llama.supports_gpu() else []
    except (ImportError, OSError, RuntimeError):
        devices = []
    return with_devices(this_machine(cards=False), devices)


def planned(path: str, wanted: Wanted, machine: Machine | None = None) -> Plan:
    """The plan for a file on this machine now. ModelMissing, ModelError."""
    here = machine or engine_machine()
    return plan(here, weights.read(path), wanted, remembered(path, here))


def remembered(path: str, machine: Machine) -> tuned.Tuned | None:
    """What `localagent tune` measured here with this file and this engine."""
    try:
        return tuned.load(machine_key(machine), tuned.model_key(path))
    except (OSError, LocalAgentError):
        return None


def machine_key(machine: Machine) -> str:
    """What measurements hold for: another machine or another engine is measured anew."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        engine = version("llama-cpp-python")
    except PackageNotFoundError:
        engine = "unknown"
    return f"{machine.name}; llama-cpp-python {engine}"


def opened(path: str, wanted: Wanted, progress: Callable[[float], bool], make: type[Context] | None = None) -> Opened:
    """Load it, with a context of the class `make` (None: `llama.Context`).

    Raises `ModelError`, or `EngineError` where `progress` gave up.
    """
    made = planned(path, wanted)
    preflight.check_memory(path, made)
    if not made.gpu_layers:
        return Opened(*_load(path, made, progress, make), made)
    try:
        return Opened(*_load(path, made, progress, make), made)
    except ModelError as error:
        failed: ModelError = error
    for share in _FEWER:
        layers = int(made.gpu_layers * share)
        note = f"Only {layers} of the {made.gpu_layers} layers planned are on the graphics card: {failed.message}"
        log.warning("%s: %s", os.path.basename(path), note)
        less = fewer_layers(made, layers, f"with {made.gpu_layers} loading failed")
        try:
            return Opened(*_load(path, less, progress, make), less, note)
        except ModelError as error:
            failed = error
    raise failed


def _load(
    path: str, made: Plan, progress: Callable[[float], bool], make: type[Context] | None
) -> tuple[Model, Context]:
    from . import llama

    if not made.gpu_layers:
        # What goes to a graphics card is read once, and may be more than the memory here holds.
        if not pages.bring_in(gguf.pieces(Path(path)), lambda share: progress(_READING * share)):
            raise EngineError("Loading the model was cancelled.")
        progress = functools.partial(_behind, progress)
    model = llama.Model(path, gpu_layers=made.gpu_layers, split=made.split, repack=made.repack, progress=progress)
    try:
        return model, (make or llama.Context)(
            model, n_ctx=made.context, threads=made.threads, batch=made.batch, kv=made.kv, flash=made.flash
        )
    except BaseException:
        model.close()
        raise


def _behind(progress: Callable[[float], bool], fraction: float) -> bool:
    return progress(_READING + (1.0 - _READING) * fraction)
