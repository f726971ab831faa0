"""The plan for a model on a machine: a table of machines, and what each must lead to."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from localagent.engine.cores import Cores
from localagent.engine.entry import MIB
from localagent.engine.fit import RUNTIME
from localagent.engine.layout import GPU_MARGIN, lay_out
from localagent.engine.machine import GIB, Gpu, Machine
from localagent.engine.plan import LEAST_CONTEXT, Plan, Wanted, fewer_layers, plan
from localagent.engine.weights import Layer, Weights
from localagent.store.tuned import Measured, Tuned

# As Qwen3.5-9B: 32 layers of which every fourth attends, 32 KiB a token at f16.
LAYERS = tuple(Layer(130 * MIB, 4096, 0) if n % 4 == 3 else Layer(130 * MIB, 0, 2 * MIB) for n in range(32))
NINE_B = Weights(LAYERS, 700 * MIB, 500 * MIB, 49152, 16, 248320, 262144, True)
CORES = Cores(8, 16, 8)
WANTED = Wanted(16384)


def machine(available: float, *gpus: Gpu, ram: float = 64, cores: Cores = CORES) -> Machine:
    return Machine(int(ram * GIB), int(available * GIB), 0, gpus, cores)


def card(free: float, unified: bool = False, name: str = "card") -> Gpu:
    return Gpu(name, int((free + 1) * GIB), int(free * GIB), unified)


LAPTOP, SHORT = machine(12, ram=16), machine(6.7, ram=8)


@pytest.mark.parametrize(
    ("here", "wanted", "expected"),
    [
        (LAPTOP, WANTED, {"threads": 8, "context": 16384, "kv": "f16", "gpu_layers": 0, "flash": True, "short": 0}),
        (LAPTOP, Wanted(32768, threads=3), {"threads": 3, "context": 32768, "batch": 512, "repack": False}),
        (LAPTOP, Wanted(1024), {"context": 1024}),
        (SHORT, WANTED, {"kv": "q8_0", "context": 16384, "short": 0}),
        (SHORT, Wanted(65536), {"kv": "q8_0", "short": 0}),
        (machine(0, ram=0), WANTED, {"kv": "f16", "context": 16384, "short": 0}),
        (machine(12, card(8)), WANTED, {"gpu_layers": 33, "layers": 33, "split": (33,), "kv": "f16", "threads": 4}),
        (machine(12, card(7)), Wanted(65536), {"gpu_layers": 33, "kv": "q8_0"}),
        (machine(12, card(0.4)), WANTED, {"gpu_layers": 0, "split": (), "threads": 8, "gpu_memory": 0}),
        (machine(12, card(3.5), card(3.5)), WANTED, {"gpu_layers": 33, "kv": "f16"}),
        (machine(12, card(10, unified=True), ram=16), WANTED, {"gpu_layers": 33, "kv": "f16"}),
        (machine(12, ram=16, cores=Cores(14, 20, 6)), WANTED, {"threads": 6}),
        (machine(12, ram=16, cores=Cores(8, 16, 8, quota=2)), WANTED, {"threads": 2}),
    ],
)
def test_what_a_machine_leads_to(here: Machine, wanted: Wanted, expected: dict[str, Any]) -> None:
    made = plan(here, NINE_B, wanted)
    assert {name: getattr(made, name) for name in expected} == expected
    check(made, here)


def check(made: Plan, here: Machine) -> None:
    """What holds of every plan."""
    names = {"threads", "context", "kv", "batch", "flash", "gpu_layers", "repack"}
    assert {name for name, why in made.reasons if why} == names
    assert sum(made.split) == made.gpu_layers <= made.layers
    if here.ram:
        assert made.short == max(0, made.memory - here.available)
    assert made.kv == "f16" or made.flash
    assert made.facts()["kv"] == {"value": made.kv, "reason": made.reason("kv")}
    assert len(list(made.shown())) == len(names)


def test_no_plan_takes_more_than_there_is_unless_it_says_so() -> None:
    cards: list[tuple[float, ...]] = [(), (4,), (8,), (2, 6), (24, 24)]
    for ram, free, gpus, context in product((4, 6, 7, 8, 12, 16, 32), (0.3, 0.6, 0.95), cards, (2048, 16384, 262144)):
        here = machine(ram * free, *map(card, gpus), ram=ram)
        made = plan(here, NINE_B, Wanted(context))
        check(made, here)
        assert made.short or made.memory <= here.available
        assert min(context, LEAST_CONTEXT) <= made.context <= context
        assert made.gpu_memory <= sum(gpu.room for gpu in here.gpus)
        assert not made.short or plan(here, NINE_B, Wanted(min(context, LEAST_CONTEXT))).short


def test_a_context_that_does_not_fit_is_made_smaller_and_says_so() -> None:
    made = plan(SHORT, NINE_B, Wanted(131072))
    assert made.context < 131072 and "131,072 would not fit into 6.7 GiB" in made.reason("context")
    larger = lay_out((), NINE_B, made.context + 1024, 512, small=True)
    assert larger.memory > SHORT.available - SHORT.ram // 16
    assert plan(machine(64, ram=64), replace(NINE_B, context=8192), WANTED).context == 8192


def test_a_model_that_is_too_big_is_short() -> None:
    made = plan(machine(3, ram=4), NINE_B, WANTED)
    assert made.short == made.memory - 3 * GIB > 2 * GIB


def test_the_last_layers_go_to_the_card_first() -> None:
    some = lay_out((card(3),), NINE_B, 16384, 512)
    compute = NINE_B.compute(16384, 512)
    assert 0 < some.gpu_layers < 33
    moved = NINE_B.output + sum(
        layer.bytes + layer.kv * 16384 + layer.state for layer in LAYERS[33 - some.gpu_layers :]
    )
    assert some.gpu_memory == moved + compute <= 3 * GIB - GPU_MARGIN
    everything = NINE_B.bytes + sum(layer.kv * 16384 + layer.state for layer in LAYERS)
    assert some.memory == everything - moved + compute + RUNTIME


def test_layers_are_spread_by_free_memory() -> None:
    even = lay_out((card(8), card(8)), NINE_B, 16384, 512).split
    assert sum(even) == 33 and abs(even[0] - even[1]) <= 6
    uneven = lay_out((card(3), card(12)), NINE_B, 16384, 512).split
    assert sum(uneven) == 33 and uneven[1] > 2 * uneven[0] > 0


def test_memory_that_a_card_shares_counts_in_main_memory_too() -> None:
    own = lay_out((card(12),), NINE_B, 16384, 512)
    shared = lay_out((card(12, unified=True),), NINE_B, 16384, 512)
    assert shared.memory == own.memory + own.gpu_memory
    assert plan(machine(4, card(12, unified=True), ram=16), NINE_B, WANTED).short > 0


TUNED = Tuned(
    "2026-03-01",
    (
        Measured("repack", True, 0.21),
        Measured("flash", False, 0.1),
        Measured("batch", 256, 0.0),
        Measured("threads", 6, 0.08),
    ),
)


def test_what_was_measured_is_used_with_its_date_and_gain() -> None:
    made = plan(machine(32), NINE_B, WANTED, TUNED)
    assert (made.repack, made.flash, made.batch, made.threads) == (True, False, 256, 6)
    assert made.reason("repack") == "measured on 2026-03-01: +21 %"
    assert made.reason("batch") == "measured on 2026-03-01: the fastest"
    assert plan(machine(32), NINE_B, Wanted(16384, threads=2), TUNED).threads == 2


def test_what_was_measured_gives_way_where_memory_is_short() -> None:
    made = plan(LAPTOP, NINE_B, Wanted(16384), TUNED)
    assert made.repack and made.memory + NINE_B.bytes <= LAPTOP.available
    tight = plan(machine(8, ram=16), NINE_B, WANTED, TUNED)
    assert not tight.repack and "no memory" in tight.reason("repack")
    # Without flash attention the scores alone take 2 GiB here, and 4 GiB in the longest context.
    long = plan(LAPTOP, NINE_B, Wanted(131072), TUNED)
    assert (long.flash, long.kv, long.short) == (True, "f16", 0) and "would not fit" in long.reason("flash")
    longest = plan(LAPTOP, NINE_B, Wanted(262144), TUNED)
    assert (longest.flash, longest.kv, longest.short) == (True, "q8_0", 0)


def test_fewer_layers_are_the_same_plan() -> None:
    made = plan(machine(12, card(8), card(8)), NINE_B, WANTED)
    half = fewer_layers(made, 16, "it failed")
    assert (half.gpu_layers, half.context, half.reason("gpu_layers")) == (16, made.context, "it failed")
    assert len(half.split) == 2 and half.offloaded == "16/33"
    none = fewer_layers(made, 0, "it failed")
    assert none.split == () and none.offloaded == "0"
