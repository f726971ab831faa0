"""`localagent tune`: measure what makes a model fast on this machine, and remember it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import models
from ..errors import EngineError, ModelMissing, UsageError
from ..store import settings as config
from ..store import tuned
from .pulling import say

if TYPE_CHECKING:
    from ..engine.contention import Free
    from ..engine.tune import Result, Say
    from ..store.settings import Settings

_LOOKS, _STRAY = 5, 0.5
_NAMES = {"repack": "repacked weights", "flash": "flash attention", "threads": "threads", "batch": "batch"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="default: the model in use")
    parser.add_argument("--forget", action="store_true", help="forget what was measured: of MODEL, or of all models")
    parser.add_argument("--anyway", action="store_true", help="also while other programs are busy")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    chosen = config.load()
    if args.forget:
        return _forget(args, chosen)
    path = _path(chosen, args.model)
    began = time.monotonic()
    result, machine = asyncio.run(_tune(path, chosen, say if not args.json else _silent, anyway=args.anyway))
    if not result.measured:
        raise EngineError("Nothing could be measured in time.", "Try it again when the machine is quiet.")
    found = tuned.Tuned(date.today().isoformat(), result.measured)
    tuned.save(machine, tuned.model_key(path), found)
    seconds = time.monotonic() - began
    if args.json:
        print(json.dumps(_facts(path, found, result, seconds), indent=1))
    else:
        _show(result, seconds)
    return 0


def _path(chosen: Settings, wanted: str | None) -> Path:
    """The model's file. UsageError for a hosted one, ModelMissing where it is not here."""
    entry, path = models.choose(chosen, wanted)
    if entry.hosted:
        raise UsageError(f"{entry.id} is hosted: there is nothing to measure here.")
    if path is None:
        raise ModelMissing(
            f"The model {entry.id} is not on this machine.", f"Get it with `localagent model pull {entry.id}`."
        )
    return path


def _forget(args: argparse.Namespace, chosen: Settings) -> int:
    count = tuned.forget(tuned.model_key(_path(chosen, args.model)) if args.model else None)
    if args.json:
        print(json.dumps({"forgotten": count}))
    else:
        print(
            "Nothing was remembered."
            if not count
            else "What was measured is forgotten; the next start goes without it."
        )
    return 0


async def _tune(path: Path, chosen: Settings, tell: Say, *, anyway: bool) -> tuple[Result, str]:
    """What was found, and the machine it holds for."""
    from ..engine import contention, loading, plan, preflight, trials, tune, weights

    await _free_the_engine()
    free = contention.Free()
    machine, shape = loading.engine_machine(), weights.read(path)
    made = plan.plan(machine, shape, plan.Wanted(chosen.context))
    preflight.check_memory(str(path), made)
    if not anyway and not await _quiet_enough(free, machine.cores.logical):
        raise EngineError("Other programs are busy, so nothing can be measured.", "End them, or add --anyway.")
    async with trials.Trials(tune.beside(machine, shape)) as bench:
        found = await tune.tune(str(path), made, tune.candidates(machine, shape, made), bench, tell)
    return found, loading.machine_key(machine)


async def _quiet_enough(free: Free, processors: int) -> bool:
    """Whether others leave us nearly everything, in one second of a few."""
    for _ in range(_LOOKS):
        await asyncio.sleep(1.0)
        left = free()
        if left is None or left >= processors - _STRAY:
            return True
    return False


async def _free_the_engine() -> None:
    """The resident engine would compete for processor and memory. EngineError while it answers."""
    from ..engine import local

    status = await local.status()
    if status is None:
        return
    if status.get("state") not in (None, "idle") or status.get("waiting"):
        raise EngineError(
            "The engine is answering somebody.", "Run it again when it is idle (`localagent engine status`)."
        )
    await local.stop()


def _silent(_: str) -> None:
    pass


# ---------------------------------------------------------------- what was found


def _show(result: Result, seconds: float) -> None:
    best = {one.name: one for one in result.measured}
    for name, costs in result.tried:
        shown = ", ".join(f"{_value(value)} {f'{cost:.2f} s' if cost else 'fails'}" for value, cost in costs)
        one = best.get(name)
        chosen = f"{_value(one.value)}{f' (+{one.gain * 100:.0f} %)' if one.gain >= 0.005 else ''}" if one else "-"
        print(f"{_NAMES[name]:17} {chosen:14} {shown}")
    print("Seconds are for reading 512 tokens and writing 96 (batch: reading alone).")
    gained = f"+{result.gain * 100:.0f} %" if result.gain >= 0.005 else "nothing to gain: the defaults are the fastest"
    print(f"Together {gained}. Measured in {seconds:.0f} s and remembered for this model on this machine.")
    sys.stdout.flush()


def _value(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _facts(path: Path, found: tuned.Tuned, result: Result, seconds: float) -> dict[str, Any]:
    return {
        "path": str(path),
        "when": found.when,
        "gain": round(result.gain, 4),
        "measured": {one.name: {"value": one.value, "gain": round(one.gain, 4)} for one in found.measured},
        "tried": {name: [{"value": value, "seconds": cost} for value, cost in costs] for name, costs in result.tried},
        "seconds": round(seconds, 1),
    }
