"""The fit behind a model's judge: weights that rank, and quality that is measured on what was held out."""

from __future__ import annotations

import importlib
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).resolve().parents[2] / "bench"), *sys.path])
    yield importlib.import_module("judge")


def _rows(count: int, seed: int = 1) -> tuple[list[list[float]], list[bool]]:
    """Two signs that tell, one that is noise."""
    dice = random.Random(seed)
    wanted = [dice.random() < 0.5 for _ in range(count)]
    rows = [[dice.gauss(1.0 if one else 0.0, 0.5), dice.gauss(20 if one else 5, 8), dice.random(), dice.random()] for one in wanted]
    return rows, wanted


def test_area_counts_pairs_in_the_right_order(judge: ModuleType) -> None:
    assert judge.area([3, 2, 1, 0], [True, True, False, False]) == 1.0
    assert judge.area([0, 1, 2, 3], [True, True, False, False]) == 0.0
    assert judge.area([1, 1, 1, 1], [True, True, False, False]) == 0.5


def test_a_fit_finds_the_signs_that_tell(judge: ModuleType) -> None:
    rows, wanted = _rows(200)
    fits, news, support, named, bias = judge.fit(rows, wanted)
    assert fits > 1.0 and news > 0.05 and max(support, named) < fits / 2
    kept = [fits * a + news * b + support * c + named * d + bias > 0 for a, b, c, d in rows]
    assert sum(one == two for one, two in zip(kept, wanted, strict=True)) > 170


def test_quality_is_that_of_questions_the_fit_has_not_seen(judge: ModuleType) -> None:
    dice = random.Random(3)
    noise = [[dice.random() for _ in range(4)] for _ in range(60)]
    wanted = [dice.random() < 0.5 for _ in noise]
    assert judge.area(judge.cross_validated(noise, wanted), wanted) < 0.65
    rows, wanted = _rows(60)
    assert judge.area(judge.cross_validated(rows, wanted), wanted) > 0.85


def test_no_sign_speaks_against_itself(judge: ModuleType) -> None:
    rows, wanted = _rows(100)
    turned = [[-a, *others] for a, *others in rows]
    assert judge.fit(turned, wanted)[0] == 0.0


def test_the_printed_line_is_a_table_of_the_catalogue(judge: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    rows, wanted = _rows(40)
    groups = ["simple_python" if one else "irrelevance" for one in wanted]
    records = [
        {"id": f"{group}_{number}", "fits": a, "news": b, "support": c, "named": d}
        for number, (group, (a, b, c, d)) in enumerate(zip(groups, rows, strict=True))
    ]
    judge.report(records)
    line = capsys.readouterr().out.splitlines()[-1]
    table = tomllib.loads(line)["judge"]
    assert set(table) == {"fits", "news", "support", "named", "bias"}
    assert all(math.isfinite(value) for value in table.values())
