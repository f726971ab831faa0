"""What `localagent tune` measured: for each machine and model file the settings that were fastest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import paths
from .atomic import write_atomic

_VERSION = 1
_KINDS: dict[str, type] = {"repack": bool, "flash": bool, "batch": int, "threads": int}
_SANE = {"batch": range(32, 4097), "threads": range(1, 1025)}


@dataclass(frozen=True, slots=True)
class Measured:
    """One setting (repack, flash, batch, threads): the fastest value, `gain` faster than the default (0.1 = 10 %)."""

    name: str
    value: Any
    gain: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """`when` is a day, as 2026-01-31."""

    when: str
    measured: tuple[Measured, ...]

    def find(self, name: str) -> Measured | None:
        return next((one for one in self.measured if one.name == name), None)


def model_key(path: str | Path) -> str:
    """What a model file is known by: another file at its place is another model. Raises OSError."""
    real = os.path.realpath(path)
    facts = os.stat(real)
    return f"{real}:{facts.st_size}:{facts.st_mtime_ns}"


def load(machine: str, model: str) -> Tuned | None:
    """What was measured on `machine` with `model` (`model_key`), None where nothing was."""
    for entry in _entries():
        if (entry["machine"], entry["model"]) == (machine, model):
            return _read(entry)
    return None


def save(machine: str, model: str, tuned: Tuned) -> None:
    """Remember it in the place of what was measured before. Raises StoreError."""
    others = [entry for entry in _entries() if (entry["machine"], entry["model"]) != (machine, model)]
    measured = [{"name": one.name, "value": one.value, "gain": round(one.gain, 4)} for one in tuned.measured]
    _write([*others, {"machine": machine, "model": model, "when": tuned.when, "measured": measured}])


def forget(model: str | None = None) -> int:
    """Forget what was measured with one model (`model_key`), or with all; returns how many entries that were."""
    found = list(_entries())
    kept = [entry for entry in found if model is not None and entry["model"] != model]
    if len(kept) < len(found):
        _write(kept)
    return len(found) - len(kept)


def file() -> Path:
    return paths.state_dir() / "tuned.json"


def _write(entries: list[dict[str, Any]]) -> None:
    write_atomic(file(), (json.dumps({"version": _VERSION, "entries": entries}, indent=1) + "\n").encode())


def _entries() -> Iterator[dict[str, Any]]:
    """What makes no sense is passed over: measuring again mends it."""
    try:
        read = json.loads(file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    found = read.get("entries") if isinstance(read, dict) and read.get("version") == _VERSION else None
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, dict) and all(isinstance(entry.get(k), str) for k in ("machine", "model", "when")):
            yield entry


def _read(entry: dict[str, Any]) -> Tuned:
    listed = entry.get("measured")
    made = [_measured(one) for one in (listed if isinstance(listed, list) else ())]
    return Tuned(entry["when"], tuple(one for one in made if one))


def _measured(one: Any) -> Measured | None:
    if not isinstance(one, dict):
        return None
    name, value, gain = one.get("name"), one.get("value"), one.get("gain")
    if not isinstance(name, str) or type(value) is not _KINDS.get(name) or type(gain) not in (int, float):
        return None
    return Measured(name, value, gain) if value in _SANE.get(name, (True, False)) else None
