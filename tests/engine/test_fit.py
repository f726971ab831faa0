from __future__ import annotations

import pytest

from localagent.engine import catalogue, fit
from localagent.engine.machine import GIB, Gpu, Machine


def entry(id: str = "qwen3.5-9b") -> catalogue.Entry:
    return catalogue.load().get(id)


def test_the_need_is_the_sum_of_its_parts() -> None:
    found = fit.fits(entry(), Machine(32 * GIB, 30 * GIB, 100 * GIB), 32768)
    assert found.kv == 1 * GIB and found.file == 5680522464
    assert found.need == found.file + found.kv + found.state + found.compute + fit.RUNTIME
    assert 7.0 < found.need / GIB < 7.3
    assert found.numbers().startswith("file 5.3 + context 1.0 + state 0.05 + compute 0.5 + runtime 0.3 = 7.1 GiB")
    assert "30.0 free of 32.0 GiB" in found.numbers()


@pytest.mark.parametrize(
    ("ram", "available", "verdict"),
    [(32, 30, "fits"), (16, 12, "fits"), (16, 5, "tight"), (8, 7, "tight"), (6, 5, "too big"), (0, 0, "unknown")],
)
def test_the_verdict_follows_the_memory(ram: float, available: float, verdict: str) -> None:
    assert fit.fits(entry(), Machine(int(ram * GIB), int(available * GIB), 0)).verdict == verdict


def test_a_gpu_counts_only_where_the_engine_can_use_it() -> None:
    machine = Machine(8 * GIB, 6 * GIB, 0, (Gpu("card", 24 * GIB, 23 * GIB),))
    assert fit.fits(entry(), machine).verdict == "tight"
    found = fit.fits(entry(), machine, offload=True)
    assert (found.verdict, found.place) == ("fits", "gpu")


def test_the_largest_context_is_named_and_fits() -> None:
    machine = Machine(9 * GIB, 8 * GIB, 0)
    largest = fit.fits(entry(), machine).largest_context
    assert 0 < largest < entry().context
    assert fit.fits(entry(), machine, largest).verdict == "fits"
    assert fit.fits(entry(), machine, largest + 512).verdict != "fits"
    assert fit.fits(entry("starter"), Machine(64 * GIB, 60 * GIB, 0)).largest_context == 32768
    assert fit.fits(entry(), Machine(2 * GIB, GIB, 0)).largest_context == 0


def test_a_context_beyond_the_models_own_is_not_counted() -> None:
    assert fit.fits(entry("starter"), Machine(64 * GIB, 60 * GIB, 0), 10**6).context == 32768


def test_a_short_disk_is_seen_and_a_hosted_model_needs_nothing() -> None:
    found = fit.fits(entry(), Machine(32 * GIB, 30 * GIB, 4 * GIB))
    assert found.disk_short == 5680522464 - 4 * GIB
    assert fit.fits(entry("glm-5"), Machine(GIB, GIB, GIB)).verdict == "hosted"
