"""What a machine has: memory, cores and graphics cards, as the system's files tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.engine import cores, machine
from localagent.engine.cores import Cores, count
from localagent.engine.machine import GIB, Gpu, Machine


def test_this_machine_has_memory_and_a_disk(tmp_path: Path) -> None:
    here = machine.this_machine(tmp_path / "not" / "there" / "yet")
    assert 0 < here.available <= here.ram and here.disk > 0


def test_meminfo() -> None:
    text = "MemTotal:       16000000 kB\nMemFree: 1000 kB\nMemAvailable:    8000000 kB\nHugePages_Total:       0\n"
    assert machine._meminfo(text) == (16000000 * 1024, 8000000 * 1024)
    assert machine._meminfo(text.replace("MemAvailable", "Other")) == (16000000 * 1024, 1000 * 1024)


def test_the_tightest_control_group_counts(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    limits = ((tmp_path, "max", 0), (tmp_path / "outer", str(4 * GIB), GIB), (inner, str(8 * GIB), 0))
    for folder, limit, used in limits:
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
    (tmp_path / "outer" / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 2}\n")
    own = tmp_path / "cgroup"
    own.write_text("0::/outer/inner\n")
    assert machine._container(tmp_path, own) == (4 * GIB, GIB // 2)
    own.write_text("0::/\n")
    assert machine._container(tmp_path, own) == (0, 0)
    assert machine._container(tmp_path, tmp_path / "none") == (0, 0)


def test_the_older_control_groups(tmp_path: Path) -> None:
    folder = tmp_path / "memory" / "box"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(str(2 * GIB))
    (folder / "memory.usage_in_bytes").write_text(str(GIB))
    own = tmp_path / "cgroup"
    own.write_text("5:cpu,cpuacct:/x\n4:memory:/box\n")
    assert machine._container(tmp_path, own) == (2 * GIB, GIB)


def test_amd_cards_are_read_from_sysfs(tmp_path: Path) -> None:
    device = tmp_path / "card0" / "device"
    device.mkdir(parents=True)
    (device / "mem_info_vram_total").write_text(f"{16 * GIB}\n")
    (device / "mem_info_vram_used").write_text(f"{GIB}\n")
    assert machine._amd(tmp_path) == [Gpu("AMD GPU", 16 * GIB, 15 * GIB)]


def test_only_the_cards_that_the_engine_can_use_count() -> None:
    here = Machine(16 * GIB, 8 * GIB, 0, (Gpu("seen, not usable", GIB, GIB),))
    cpu = {"name": "CPU", "description": "x", "kind": "cpu", "free": 1, "total": 1}
    card = {"name": "CUDA0", "description": "card", "kind": "gpu", "free": 5 * GIB, "total": 8 * GIB}
    inside = {"name": "Vulkan1", "description": "inside", "kind": "igpu", "free": 3 * GIB, "total": 4 * GIB}
    apple = {"name": "Metal", "description": "Apple M2", "kind": "gpu", "free": 10 * GIB, "total": 10 * GIB}
    assert machine.with_devices(here, [cpu]).gpus == ()
    assert machine.with_devices(here, [cpu, card, inside]).gpus == (Gpu("card", 8 * GIB, 5 * GIB),)
    assert machine.with_devices(here, [inside]).gpus == (Gpu("inside", 4 * GIB, 3 * GIB, unified=True),)
    assert machine.with_devices(here, [apple]).gpus == (Gpu("Apple M2", 10 * GIB, 10 * GIB, unified=True),)


def test_another_machine_has_another_name() -> None:
    one = Machine(16 * GIB, 8 * GIB, 0, cores=Cores(4, 8, 4), cpu="A")
    others = [
        Machine(32 * GIB, 8 * GIB, 0, cores=Cores(4, 8, 4), cpu="A"),
        Machine(16 * GIB, 8 * GIB, 0, cores=Cores(4, 8, 4, quota=2), cpu="A"),
        Machine(16 * GIB, 8 * GIB, 0, cores=Cores(4, 8, 4), cpu="B"),
        Machine(16 * GIB, 8 * GIB, 0, (Gpu("card", 8 * GIB, 1),), Cores(4, 8, 4), "A"),
    ]
    assert len({m.name for m in (one, *others)}) == 5
    assert one.name == Machine(16 * GIB, GIB, 7, cores=Cores(4, 8, 4), cpu="A").name


# ---------------------------------------------------------------- cores

TWINS = {cpu: f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}" for cpu in range(16)}
ALONE = {cpu: str(cpu) for cpu in range(16)}


@pytest.mark.parametrize(
    ("siblings", "slow", "quota", "threads", "why"),
    [
        (TWINS, set(), 0, 8, "one for each physical core"),
        (ALONE, set(), 0, 16, "one for each physical core"),
        ({c: TWINS[c] for c in range(4)}, set(), 0, 2, "one for each physical core"),
        (TWINS, set(), 3, 3, "this container may use 3 of 8 cores"),
        (TWINS, set(), 64, 8, "one for each physical core"),
        # Four performance cores with two threads each, and eight efficiency cores.
        (
            {**{c: TWINS[c] for c in range(8)}, **{c: str(c) for c in range(8, 16)}},
            set(range(8, 16)),
            0,
            4,
            "8 efficiency",
        ),
        # Two performance cores do less than all ten.
        (
            {**{c: TWINS[c] for c in range(4)}, **{c: str(c) for c in range(4, 12)}},
            set(range(4, 12)),
            0,
            10,
            "physical",
        ),
        ({}, set(), 0, 1, "physical"),
    ],
)
def test_the_threads_worth_computing_with(
    siblings: dict[int, str], slow: set[int], quota: int, threads: int, why: str
) -> None:
    advised, reason = count(siblings, slow, quota).advice()
    assert advised == threads and why in reason


def test_efficiency_cores_are_told_apart(tmp_path: Path) -> None:
    assert cores.slow_cpus(tmp_path, range(4)) == set()
    for cpu, capacity in enumerate((1024, 1024, 446, 446)):
        (tmp_path / f"system/cpu/cpu{cpu}").mkdir(parents=True)
        (tmp_path / f"system/cpu/cpu{cpu}/cpu_capacity").write_text(f"{capacity}\n")
    assert cores.slow_cpus(tmp_path, range(4)) == {2, 3}
    for kind, listed in (("core", "0-3,8"), ("atom", "4-7")):
        (tmp_path / f"cpu_{kind}").mkdir()
        (tmp_path / f"cpu_{kind}" / "cpus").write_text(f"{listed}\n")
    assert cores.slow_cpus(tmp_path, range(6)) == {4, 5}
    assert cores.numbers("0-3,8") == {0, 1, 2, 3, 8} and cores.numbers("none") == set() == cores.numbers("")


def test_the_tightest_quota_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    own.write_text("0::/a/b\n")
    assert cores.quota(own, tmp_path) == 0
    (tmp_path / "a" / "cpu.max").write_text("250000 100000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    assert cores.quota(own, tmp_path) == 3
    (inner / "cpu.max").write_text("50000 100000\n")
    assert cores.quota(own, tmp_path) == 1
    older = tmp_path / "cpu" / "box"
    older.mkdir(parents=True)
    own.write_text("4:cpu,cpuacct:/box\n3:memory:/box\n")
    (older / "cpu.cfs_period_us").write_text("100000\n")
    (older / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores.quota(own, tmp_path) == 0
    (older / "cpu.cfs_quota_us").write_text("400000\n")
    assert cores.quota(own, tmp_path) == 4


def test_the_cores_of_this_machine() -> None:
    here = cores.this_cores()
    assert 1 <= here.usable <= here.physical <= here.logical == len(cores.allowed_cpus())
