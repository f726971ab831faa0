"""Which cores this process may compute on, and which of them are worth a thread."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

ENOUGH_FAST = 4
"""Fewer performance cores than this do not do the work of all cores."""
_FAST_SHARE = 0.6
_SYSTEM = Path("/sys/devices")


@dataclass(frozen=True, slots=True)
class Cores:
    """What this process may use: `logical` processors, on `physical` cores, of which `fast` are performance cores.

    `fast` is `physical` where all are alike. `quota` is a container's share in whole cores, 0 where there is none.
    """

    physical: int = 1
    logical: int = 1
    fast: int = 1
    quota: int = 0

    @property
    def usable(self) -> int:
        """Threads worth computing with."""
        return self.advice()[0]

    def advice(self) -> tuple[int, str]:
        """Threads worth computing with, and why."""
        threads, why = self.physical, "one for each physical core"
        if ENOUGH_FAST <= self.fast < self.physical:
            threads, why = (
                self.fast,
                f"the performance cores; {self.physical - self.fast} efficiency cores are left out",
            )
        if 0 < self.quota < threads:
            return self.quota, f"this container may use {self.quota} of {self.physical} cores"
        return threads, why


def count(siblings: Mapping[int, str], slow: Collection[int], quota: int) -> Cores:
    """`siblings` names the physical core of each processor this process may use, `slow` are the efficiency ones."""
    physical = {core for core in siblings.values()}
    fast = {core for cpu, core in siblings.items() if cpu not in slow}
    return Cores(max(1, len(physical)), max(1, len(siblings)), len(fast) or max(1, len(physical)), quota)


def this_cores() -> Cores:
    """The cores of this process, within its affinity and its container's quota."""
    if sys.platform == "darwin":
        return _mac()
    if not (_SYSTEM / "system/cpu").is_dir():
        return _elsewhere()
    allowed = allowed_cpus()
    cpus = _SYSTEM / "system/cpu"
    siblings = {cpu: _text(cpus / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in allowed}
    return count(siblings, slow_cpus(_SYSTEM, allowed), quota())


def allowed_cpus() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def slow_cpus(system: Path, allowed: Collection[int]) -> set[int]:
    """The efficiency ones: Intel lists them, ARM gives every processor a capacity."""
    listed = numbers(_text(system / "cpu_atom/cpus")) if _text(system / "cpu_core/cpus") else set()
    if listed:
        return listed & set(allowed)
    capacity = {cpu: _text(system / f"system/cpu/cpu{cpu}/cpu_capacity") for cpu in allowed}
    sizes = {cpu: int(text) for cpu, text in capacity.items() if text.isdecimal()}
    return {cpu for cpu, size in sizes.items() if size < _FAST_SHARE * max(sizes.values())}


def numbers(text: str) -> set[int]:
    """`0-3,8` as the numbers it stands for; empty where it is no such list."""
    found: set[int] = set()
    try:
        for part in text.split(",") if text else ():
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    except ValueError:
        return set()
    return found


def quota(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole cores that the tightest control group we are in leaves us, 0 where none limits us."""
    found = 0
    for line in _text(own).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            base = root
        elif "cpu" in controllers.split(","):
            base = root / "cpu"
        else:
            continue
        folder = base / path.lstrip("/")
        for place in (folder, *folder.parents):
            cores = _share(place)
            found = min(found or cores, cores) if cores else found
            if place == base:
                break
    return found


def _share(group: Path) -> int:
    told = _text(group / "cpu.max") or f"{_text(group / 'cpu.cfs_quota_us')} {_text(group / 'cpu.cfs_period_us')}"
    try:
        allowed, period = map(int, told.split())
    except ValueError:
        return 0
    return max(1, math.ceil(allowed / period)) if allowed > 0 and period > 0 else 0


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _mac() -> Cores:
    physical = _sysctl("hw.physicalcpu") or os.cpu_count() or 1
    return Cores(physical, _sysctl("hw.logicalcpu") or physical, _sysctl("hw.perflevel0.physicalcpu") or physical)


def _sysctl(name: str) -> int:
    import ctypes

    value, size = ctypes.c_int64(), ctypes.c_size_t(8)
    try:
        call = ctypes.CDLL(None).sysctlbyname
        return value.value if call(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0) == 0 else 0
    except (OSError, AttributeError):
        return 0


def _elsewhere() -> Cores:
    logical = os.cpu_count() or 1
    try:
        import psutil

        physical = psutil.cpu_count(logical=False) or logical
    except (ImportError, OSError):
        physical = logical
    return Cores(physical, logical, physical)
