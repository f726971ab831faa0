"""What a model needs and what this machine has: computed, so that the numbers can be shown.

Everything is in bytes. What a machine has is read from the system's own files; no program is started.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .entry import MIB, Entry, Memory

GIB = 1 << 30
# The interpreter, the engine's own buffers and the tokenizer.
RUNTIME = 300 * MIB
# What the rest of the system should keep, at most; a quarter of a small machine.
RESERVE = 3 * GIB

Verdict = Literal["fits", "tight", "too big", "hosted", "unknown"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """`free` None where the driver does not tell."""

    name: str
    total: int
    free: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """`ram` is what this process may use at most (a container's limit counts), `available` what is free of it now.

    `disk` is free at the models folder, 0 where unknown.
    """

    ram: int
    available: int
    disk: int
    gpus: tuple[Gpu, ...] = ()


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
    gpu = max((gpu.total if gpu.free is None else gpu.free for gpu in machine.gpus), default=0) if offload else 0
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


# ---------------------------------------------------------------- the machine


def this_machine(models: Path | None = None) -> Machine:
    """This machine as it is now; `models` is the folder whose disk counts."""
    ram, available = _memory()
    return Machine(ram, available, disk_free(models) if models else 0, gpus())


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


def _memory() -> tuple[int, int]:
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
