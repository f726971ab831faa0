"""The plan for a model on this machine, as `model info` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import ModelError

if TYPE_CHECKING:
    from ..engine.plan import Plan
    from ..engine.power import Mode
    from ..store.settings import Settings


def plan_of(path: Path | None, chosen: Settings) -> Plan | None:
    """None where there is no file, or none that can be read."""
    from ..engine import loading
    from ..engine.plan import Wanted

    try:
        return loading.planned(str(path), Wanted(chosen.context, chosen.threads)) if path else None
    except ModelError:
        return None


def rows(made: Plan, chosen: Settings) -> list[list[str]]:
    """What, its value and why, a line each."""
    from ..engine.fit import gib

    found = [list(row) for row in made.shown()]
    threads, why = _saved(made, chosen)
    if why:
        found.insert(1, ["threads now", str(threads), why])
    card = f", {gib(made.gpu_memory)} GiB on graphics cards" if made.gpu_memory else ""
    short = f"{gib(made.short)} GiB are missing" if made.short else "free"
    return [*found, ["memory", f"{gib(made.memory)} GiB{card}", short]]


def facts(made: Plan, chosen: Settings) -> dict[str, Any]:
    """For programs: every number of the plan with its reason, and the threads that power leaves now."""
    threads, why = _saved(made, chosen)
    return {**made.facts(), "threads_now": {"value": threads, "reason": why}}


def _saved(made: Plan, chosen: Settings) -> tuple[int, str]:
    from ..engine import power

    if chosen.threads:
        return made.threads, ""
    return power.Saver().threads(cast("Mode", chosen.power), made.threads)
