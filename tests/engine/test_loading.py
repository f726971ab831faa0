"""Loading as planned, and with less on the graphics card where that fails."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import loading
from localagent.engine.cores import Cores
from localagent.engine.machine import GIB, Gpu, Machine
from localagent.engine.plan import Plan, Wanted
from localagent.errors import EngineError, ModelError
from localagent.store import tuned

WANTED = Wanted(1024)
CARD = Machine(16 * GIB, 12 * GIB, 0, (Gpu("card", 8 * GIB, 7 * GIB),), Cores(4, 8, 4))


def load(path: str, wanted: Wanted = WANTED) -> loading.Opened:
    return loading.opened(path, wanted, lambda _: True)


def test_a_model_is_loaded_as_planned(tiny: str) -> None:
    opened = load(tiny, Wanted(2048, threads=1))
    assert (opened.context.n_ctx, opened.context.threads, opened.context.n_batch) == (2048, 1, 512)
    assert opened.plan.layers == opened.model.n_layer + 1 and opened.note == ""
    opened.context.close()
    opened.model.close()


def test_what_was_measured_here_with_this_file_is_used(tiny: str) -> None:
    here = loading.engine_machine()
    measured = tuned.Tuned("2026-03-01", (tuned.Measured("batch", 128, 0.05),))
    tuned.save(loading.machine_key(here), tuned.model_key(tiny), measured)
    opened = load(tiny)
    assert opened.context.n_batch == 128 and opened.plan.reason("batch") == "measured on 2026-03-01: +5 %"
    opened.context.close()
    opened.model.close()
    other = replace(here, cpu="another")
    assert loading.planned(tiny, WANTED, other).batch == 512


def test_too_little_memory_is_said_in_a_sentence(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "this_machine", lambda **_: Machine(GIB, 200 << 20, 0))
    with pytest.raises(ModelError, match=r"context of 1024 tokens needs 0\.3 GiB of memory and 0\.2 GiB are free"):
        load(tiny)


class Card:
    """A card that takes so many layers and no more; `tried` are the layers of each attempt."""

    def __init__(self, takes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes, self.tried = takes, list[int]()
        monkeypatch.setattr(loading, "engine_machine", lambda: CARD)
        monkeypatch.setattr(loading, "_load", self._load)

    def _load(self, path: str, made: Plan, progress: Any, make: Any) -> tuple[str, str]:
        self.tried.append(made.gpu_layers)
        if made.gpu_layers > self.takes:
            raise ModelError("There is not enough memory.")
        return "model", "context"


@pytest.mark.parametrize(
    ("takes", "tried"), [(5, [5]), (3, [5, 3]), (2, [5, 3, 2]), (1, [5, 3, 2, 1]), (0, [5, 3, 2, 1, 0])]
)
def test_a_card_that_takes_fewer_gets_fewer(
    takes: int, tried: list[int], tiny: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    card = Card(takes, monkeypatch)
    with caplog.at_level(logging.WARNING, "localagent.engine"):
        opened = load(tiny)
    assert card.tried == tried and opened.plan.gpu_layers == takes
    if takes < 5:
        assert (
            opened.note == f"Only {takes} of the 5 layers planned are on the graphics card: There is not enough memory."
        )
        assert opened.note in caplog.text and opened.plan.reason("gpu_layers") == "with 5 loading failed"


def test_a_file_that_loads_nowhere_fails_and_a_loading_given_up_is_not_tried_again(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(-1, monkeypatch)
    with pytest.raises(ModelError, match="not enough memory"):
        load(tiny)
    assert card.tried[-1] == 0

    def gives_up(*_: Any) -> None:
        raise EngineError("Loading the model was cancelled.")

    monkeypatch.setattr(loading, "_load", gives_up)
    with pytest.raises(EngineError, match="cancelled"):
        load(tiny)


def test_a_plan_can_be_made_where_the_engine_cannot_be_loaded(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import localagent.engine as engine

    monkeypatch.setitem(__import__("sys").modules, "localagent.engine.llama", None)
    monkeypatch.delattr(engine, "llama", raising=False)
    assert loading.engine_machine().gpus == ()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_text("no model, whatever its name says")
    with pytest.raises(ModelError, match="not a GGUF"):
        load(str(file))
