"""Whether to save power: on a battery that runs low, or when the processor is too hot to run at its speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LOW = 20
"""Percent of the battery."""
HOT = 0.1
"""Share of the time that the processor is slowed down to cool."""
LOOK_S = 10.0
_SYSTEM = Path("/sys")

Mode = Literal["auto", "full", "save"]


@dataclass(frozen=True, slots=True)
class Power:
    """`battery` in percent, None where there is none; `plugged` None where it is not known.

    `slowed_ms` is how long the processor has been slowed down to cool since the start, None where it is not told.
    """

    battery: float | None = None
    plugged: bool | None = None
    slowed_ms: int | None = None


def advice(mode: Mode, now: Power, hot: bool, threads: int) -> tuple[int, str]:
    """How many of the threads to use, and why fewer; "" where all are."""
    half = max(1, threads // 2)
    if mode == "full":
        return threads, ""
    if mode == "save":
        return half, "power: save is set"
    if now.battery is not None and now.battery < LOW and not now.plugged:
        return half, f"the battery is at {now.battery:.0f} %"
    if hot:
        return half, "the processor is slowed down to cool"
    return threads, ""


class Saver:
    """Looks every `LOOK_S` seconds at most."""

    def __init__(self, read: Callable[[], Power] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read or this_power, clock
        self._at, self._now, self._hot = clock(), self._read(), False

    def threads(self, mode: Mode, full: int) -> tuple[int, str]:
        """As `advice`, with what is known now."""
        at = self._clock()
        if at - self._at >= LOOK_S:
            before, self._now = self._now, self._read()
            slowed = (self._now.slowed_ms or 0) - (before.slowed_ms or 0)
            self._hot = before.slowed_ms is not None and slowed > HOT * 1e3 * (at - self._at)
            self._at = at
        return advice(mode, self._now, self._hot, full)


def this_power(system: Path = _SYSTEM) -> Power:
    """How this machine is powered now."""
    if not (system / "class/power_supply").is_dir():
        return _elsewhere()
    battery, plugged = None, None
    for supply in sorted((system / "class/power_supply").glob("*")):
        kind, scope = _text(supply / "type"), _text(supply / "scope")
        if kind == "Battery" and scope != "Device" and (charge := _text(supply / "capacity")).isdecimal():
            battery = float(charge)
            plugged = plugged or _text(supply / "status") in ("Charging", "Full", "Not charging")
        elif kind in ("Mains", "USB") and (online := _text(supply / "online")):
            plugged = plugged or online != "0"
    return Power(battery, plugged, _slowed(system))


def _slowed(system: Path) -> int | None:
    """Of the processor that was slowed down longest."""
    files = (system / "devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/package_throttle_total_time_ms")
    told = [int(text) for file in files if (text := _text(file)).isdecimal()]
    return max(told, default=None)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _elsewhere() -> Power:
    try:
        import psutil

        found = psutil.sensors_battery()
    except (ImportError, OSError, AttributeError):
        return Power()
    return Power(found.percent, found.power_plugged) if found else Power()
