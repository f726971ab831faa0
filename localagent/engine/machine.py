"""What this machine has: memory, disk, cores and graphics cards, read from the system's own files.

Everything is in bytes. No program is started.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .cores import Cores, this_cores

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Gpu:
    """`free` None where the driver does not tell. `unified` where its memory is the machine's own."""

    name: str
    total: int
    free: int | None
    unified: bool = False

    @property
    def room(self) -> int:
        return self.total if self.free is None else self.free


@dataclass(frozen=True, slots=True)
class Machine:
    """`ram` is what this process may use at most (a container's limit counts), `available` what is free of it now.

    `disk` is free at the models folder, 0 where unknown. `gpus` are those that are there, or, where
    the engine was asked (`with_devices`), those that it can use.
    """

    ram: int
    available: int
    disk: int
    gpus: tuple[Gpu, ...] = ()
    cores: Cores = field(default_factory=Cores)
    cpu: str = ""

    @property
    def name(self) -> str:
        """What makes measurements of one machine mean nothing on another."""
        cards = (f"{gpu.name} {gpu.total // GIB} GiB" for gpu in self.gpus)
        cores = f"{self.cores.usable}/{self.cores.physical}/{self.cores.logical} cores"
        return "; ".join((f"{self.cpu or platform.machine()}", cores, f"{round(self.ram / GIB)} GiB", *cards))


def with_devices(machine: Machine, devices: Iterable[Mapping[str, Any]]) -> Machine:
    """The machine with the graphics cards that the engine's build can use (`llama.devices`).

    An integrated one counts only where there is no other. Metal tells the recommended working set as its total.
    """
    found = list(devices)
    cards = [d for d in found if d["kind"] == "gpu"] or [d for d in found if d["kind"] == "igpu"]
    return replace(machine, gpus=tuple(_card(device) for device in cards if device["total"]))


def _card(device: Mapping[str, Any]) -> Gpu:
    metal = str(device["name"]).lower().startswith(("metal", "mtl"))
    return Gpu(device["description"], device["total"], device["free"], metal or device["kind"] == "igpu")


def this_machine(models: Path | None = None, *, cards: bool = True) -> Machine:
    """This machine as it is now; `models` is the folder whose disk counts, and without `cards` none are looked for."""
    ram, available = memory()
    return Machine(ram, available, disk_free(models) if models else 0, gpus() if cards else (), this_cores(), _cpu())


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return ""


def disk_free(place: Path) -> int:
    """Bytes this user may still write at `place` or its nearest existing parent; 0 where unknown."""
    import shutil

    for folder in (place, *place.parents):
        try:
            return shutil.disk_usage(folder).free
        except FileNotFoundError:
            continue
        except OSError:
            return 0
    return 0


def memory() -> tuple[int, int]:
    """(what this process may use at most, what is free of it now); (0, 0) where the system does not say."""
    try:
        ram, available = _meminfo(Path("/proc/meminfo").read_text())
    except (OSError, ValueError, KeyError):
        return _memory_elsewhere()
    limit, used = _container()
    if limit and limit < ram:
        return limit, max(0, min(available, limit - used))
    return ram, available


def _meminfo(text: str) -> tuple[int, int]:
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line.endswith(" kB")}
    return values["MemTotal"], values.get("MemAvailable", values["MemFree"])


def _memory_elsewhere() -> tuple[int, int]:
    try:
        import psutil

        memory = psutil.virtual_memory()
    except (ImportError, OSError):
        return 0, 0
    return memory.total, memory.available


def _container(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> tuple[int, int]:
    """(limit, used) of the tightest control group we are in; (0, 0) where there is none."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return 0, 0
    found = (0, 0)
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            base, names = root, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            base, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        folder = base / path.lstrip("/")
        for place in (folder, *folder.parents):
            limit, used = (_number(place / name) for name in names)
            if 0 < limit < 1 << 60 and (not found[0] or limit < found[0]):
                # Cached files count as used but are given back when memory is short.
                found = (limit, max(0, used - _reclaimable(place)))
            if place == base:
                break
    return found


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _reclaimable(group: Path) -> int:
    try:
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return int(stat.get("inactive_file", stat.get("total_inactive_file", 0)))
    except (OSError, ValueError):
        return 0


def gpus() -> tuple[Gpu, ...]:
    """NVIDIA's through its driver library, AMD's through sysfs; on a Mac memory is shared, so none."""
    return (*_nvidia(), *_amd(Path("/sys/class/drm")))


class _NvmlMemory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def _nvidia() -> list[Gpu]:
    if sys.platform.startswith("linux") and not os.path.isdir("/proc/driver/nvidia"):
        return []
    try:
        library = ctypes.CDLL("nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1")
        if library.nvmlInit_v2() != 0:
            return []
    except (OSError, AttributeError):
        return []
    found = []
    try:
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        for number in range(count.value):
            device, memory, name = ctypes.c_void_p(), _NvmlMemory(), ctypes.create_string_buffer(96)
            if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) != 0:
                continue
            if library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) != 0:
                continue
            library.nvmlDeviceGetName(device, name, len(name))
            found.append(Gpu(name.value.decode(errors="replace"), memory.total, memory.free))
    finally:
        library.nvmlShutdown()
    return found


def _amd(cards: Path) -> list[Gpu]:
    found = []
    for total_file in sorted(cards.glob("card*/device/mem_info_vram_total")):
        total = _number(total_file)
        used = _number(total_file.with_name("mem_info_vram_used"))
        if total >= GIB:
            found.append(Gpu("AMD GPU", total, max(0, total - used)))
    return found
