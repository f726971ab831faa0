"""The search for the fastest settings, on a bench whose speeds the test decides, and on real children."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import loading, plan, trials, tune, weights
from localagent.engine.cores import Cores
from localagent.engine.machine import GIB, Gpu, Machine
from localagent.engine.trials import Load, Took, Trials, Work
from localagent.engine.tune import Result, Setting
from localagent.engine.weights import Layer, Weights
from localagent.errors import EngineError

pytestmark = pytest.mark.slow

CORES = Cores(4, 8, 4)
SHAPE = Weights(tuple(Layer(GIB // 8, 4096) for _ in range(8)), GIB // 8, GIB // 8, 4096, 16, 32000, 32768, True)
CPU = Machine(16 * GIB, 12 * GIB, 0, (), CORES)
WANTED = plan.Wanted(8192)


class Bench:
    """`speed(load, work)` is (tokens read, tokens written) a second, None for a crash. Time passes only here."""

    trouble = "it ended with -11"

    def __init__(self, speed: Callable[[Load, Work], tuple[float, float] | None], noise: float = 0.0) -> None:
        self.speed, self.noise = speed, noise
        self.now = 0.0
        self.runs: list[tuple[Load, Work]] = []

    async def run(self, load: Load, work: Work) -> Took | None:
        self.runs.append((load, work))
        rates = self.speed(load, work)
        if rates is None:
            self.now += 2.0
            return None
        wobble = 1 + self.noise * (-1) ** len(self.runs)
        took = Took(work.read / rates[0] * wobble, work.write / rates[1] * wobble)
        self.now += took.read_s + took.write_s
        return took

    async def keep(self, load: Load | None) -> None:
        pass


def search(bench: Bench, machine: Machine = CPU) -> Result:
    made = plan.plan(machine, SHAPE, WANTED)
    settings = tune.candidates(machine, SHAPE, made)
    return asyncio.run(tune.tune("m.gguf", made, settings, bench, lambda _: None, lambda: bench.now))


def found(result: Result) -> dict[str, Any]:
    return {one.name: one.value for one in result.measured}


def rates(
    read: float = 100.0, write: float = 10.0, **changes: Callable[[Any], float]
) -> Callable[[Load, Work], tuple[float, float]]:
    def speed(load: Load, work: Work) -> tuple[float, float]:
        factor = 1.0
        for name, change in changes.items():
            factor *= change(work.threads if name == "threads" else getattr(load, name))
        return read * factor, write * factor

    return speed


def test_where_nothing_helps_the_defaults_stay() -> None:
    bench = Bench(rates(), noise=0.01)
    result = search(bench)
    assert found(result) == {"repack": False, "flash": True, "threads": 4, "batch": 512}
    assert result.gain == 0 and all(one.gain == 0 for one in result.measured)
    assert bench.now < 120


def test_what_is_faster_is_chosen_with_its_gain_and_the_next_is_tried_on_top_of_it() -> None:
    bench = Bench(rates(repack=lambda on: 1.25 if on else 1.0, threads=lambda n: {2: 0.8, 4: 1.0, 8: 1.1}[n]))
    result = search(bench)
    assert found(result) == {"repack": True, "flash": True, "threads": 8, "batch": 512}
    gains = {one.name: one.gain for one in result.measured}
    assert gains["repack"] == pytest.approx(0.25) and gains["threads"] == pytest.approx(0.1)
    assert result.gain == pytest.approx(0.375)
    assert all(load.repack for load, work in bench.runs[-6:]) and bench.runs[-1][1].threads == 8


def test_a_gain_that_is_noise_is_not_chosen() -> None:
    assert found(search(Bench(rates(flash=lambda on: 1.0 if on else 1.02))))["flash"] is True
    assert found(search(Bench(rates(flash=lambda on: 1.0 if on else 1.2), noise=0.03)))["flash"] is False
    # Where one and the same setting takes now this and now that, no difference means anything.
    busy = iter([1.0, 1.0, 1.0, 0.6, 0.5, 0.6, 1.1, 0.7] * 9)
    assert (
        found(search(Bench(lambda load, work: (factor := next(busy)) and (100 * factor, 10 * factor))))["repack"]
        is False
    )


def test_what_crashes_costs_one_trial_and_is_never_chosen() -> None:
    faster = rates(repack=lambda on: 9.0 if on else 1.0)
    bench = Bench(lambda load, work: None if load.repack else faster(load, work))
    result = search(bench)
    assert found(result)["repack"] is False and "batch" in found(result)
    assert sum(load.repack for load, _ in bench.runs) == 1
    assert dict(result.tried)["repack"][1] == (True, None)


def test_runs_take_turns() -> None:
    bench = Bench(rates())
    search(bench)
    assert [load.repack for load, _ in bench.runs[2:8]] == [False, True] * 3


def test_a_model_that_cannot_be_loaded_as_planned_is_an_error_that_says_why() -> None:
    with pytest.raises(EngineError, match="ended with -11"):
        search(Bench(lambda load, work: None))


@pytest.mark.parametrize(("read", "write"), [(3000.0, 200.0), (120.0, 12.0), (21.0, 2.5), (2.0, 0.3)])
def test_it_ends_within_two_minutes_and_a_half_on_fast_and_slow_machines(read: float, write: float) -> None:
    bench = Bench(rates(read, write))
    result = search(bench)
    assert bench.now < (120 if read > 10 else 240)
    assert "repack" in found(result)
    # The batch is worth measuring only where a long prompt can be read in the time.
    assert ("batch" in found(result)) == (read > 100)


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        (CPU, {"repack": (False, True), "flash": (True, False), "threads": (4, 2, 8), "batch": (512, 256, 128)}),
        (replace(CPU, available=3 * GIB), {"repack": None, "flash": (True, False), "threads": (4, 2, 8)}),
        (
            replace(CPU, gpus=(Gpu("card", 8 * GIB, 7 * GIB),)),
            {"repack": None, "threads": None, "flash": (True, False)},
        ),
        (replace(CPU, cores=Cores(8, 8, 8, quota=2)), {"threads": (2, 1)}),
        (replace(CPU, cores=Cores(14, 20, 6)), {"threads": (6, 3, 14, 20)}),
        (replace(CPU, cores=Cores(1, 1, 1)), {"threads": None}),
    ],
)
def test_only_what_fits_and_means_something_is_tried(machine: Machine, names: dict[str, Any]) -> None:
    settings = tune.candidates(machine, SHAPE, plan.plan(machine, SHAPE, WANTED))
    listed = {setting.name: setting.values for setting in settings}
    assert {name: listed.get(name) for name in names} == names


# ---------------------------------------------------------------- real children

LOAD = Load("", repack=False, flash=True, batch=64, kv="f16", gpu_layers=0, split=())
WORK = Work(threads=1, read=96, write=2)


def test_a_real_model_is_measured_in_children_that_are_gone_afterwards(dense: str) -> None:
    async def go() -> tuple[Took | None, Took | None, int]:
        async with Trials() as bench:
            first = await bench.run(replace(LOAD, path=dense), WORK)
            other = await bench.run(replace(LOAD, path=dense, repack=True, kv="q8_0"), WORK)
            pid = bench._children[replace(LOAD, path=dense)].process.pid
            await bench.keep(replace(LOAD, path=dense))
            assert len(bench._children) == 1
            return first, other, pid

    first, other, pid = asyncio.run(go())
    assert first and other and first.read_s > 0 and first.write_s > 0
    assert not Path(f"/proc/{pid}").exists()


CARD = replace(CPU, gpus=(Gpu("card", 4 * GIB, 4 * GIB),))


def test_only_so_many_ways_are_loaded_at_once_as_fit() -> None:
    """SHAPE has 1.25 GiB of weights."""
    usual, other = replace(LOAD, batch=512), replace(LOAD, batch=256)
    packed, repacked = replace(usual, repack=True), replace(other, repack=True)
    fits = tune.beside(replace(CPU, available=4 * GIB), SHAPE)
    assert fits([usual, other]) and fits([usual, packed]) and not fits([packed, repacked])
    assert tune.beside(replace(CPU, ram=0), SHAPE)([packed, repacked])
    there = [replace(load, gpu_layers=9) for load in (usual, other, packed)]
    assert tune.beside(CARD, SHAPE)(there[:2]) and not tune.beside(CARD, SHAPE)(there)


def test_a_child_ends_where_another_would_not_fit_beside_it(dense: str) -> None:
    loads = [replace(LOAD, path=dense, batch=batch) for batch in (64, 96, 128)]

    async def go() -> list[list[int]]:
        alive: list[list[int]] = []
        async with Trials(lambda loaded: len(loaded) <= 2) as bench:
            for number in (0, 1, 0, 2, 1):
                assert await bench.run(loads[number], WORK)
                alive.append([loads.index(load) for load in bench._children])
        return alive

    assert asyncio.run(go()) == [[0], [0, 1], [1, 0], [0, 2], [2, 1]]


@pytest.mark.parametrize("how", ["ends", "crashes", "hangs", "babbles"])
def test_a_child_that_fails_is_a_failed_trial(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripts = {
        "ends": "echo no such thing >&2; exit 3",
        "crashes": "echo '{\"ready\": true}'; kill -SEGV $$",
        "hangs": "echo '{\"ready\": true}'; exec sleep 60",
        "babbles": "echo what",
    }
    fake, again = tmp_path / "python", tmp_path / "again"
    fake.write_text(f"#!/bin/sh\n{scripts[how]}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(trials.sys, "executable", str(fake))
    monkeypatch.setattr(trials, "RUN_S", 0.5)

    async def go() -> str:
        async with Trials() as bench:
            assert await bench.run(LOAD, WORK) is None
            said = bench.trouble
            fake.write_text(f"#!/bin/sh\ntouch {again}\n")
            assert await bench.run(LOAD, WORK) is None
            return said

    said = asyncio.run(go())
    expected = {
        "ends": "ended with 3; no such thing",
        "crashes": "ended with -11",
        "hangs": "more than 0 s",
        "babbles": "",
    }
    assert expected[how] in said and not again.exists()


def test_what_is_planned_for_a_real_model_can_be_tried(tiny: str) -> None:
    machine = loading.engine_machine()
    shape = weights.read(tiny)
    names = [setting.name for setting in tune.candidates(machine, shape, plan.plan(machine, shape, WANTED))]
    assert "repack" in names and "batch" in names


def test_a_setting_is_shown_as_a_person_says_it() -> None:
    said: list[str] = []
    bench = Bench(rates())
    made = plan.plan(CPU, SHAPE, WANTED)
    setting = Setting("flash", "flash attention", (True, False))
    asyncio.run(tune.tune("m.gguf", made, [setting], bench, said.append, lambda: bench.now))
    assert said[:3] == ["loading the model", "flash attention: on (1 of 3)", "flash attention: off (1 of 3)"]
