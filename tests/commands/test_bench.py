"""`localagent bench`: the arithmetic with a scripted engine, and the whole command with a random model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from localagent import cli, handed
from localagent.commands import bench
from localagent.commands.bench import Found
from localagent.engine import local
from localagent.engine.base import Options
from localagent.errors import EngineError
from localagent.events import MessageDone, PrefillProgress
from localagent.store import settings
from localagent.values import Message, Timings, Usage
from tests import make_gguf


class TimedEngine:
    """Reads at 100 tokens a second and writes at 20, or at 16 under a schema; a schema's answer costs 3 tokens to open."""

    model = "timed"

    def __init__(self) -> None:
        self.asked: list[Options] = []

    async def stream(self, messages: Sequence[Message], specs: Any, options: Options) -> AsyncIterator[Any]:
        self.asked.append(options)
        yield PrefillProgress(1000, 1000, 600)
        extra, rate = (3, 16) if options.schema else (0, 20)
        usage = Usage(1000, 600, options.max_tokens)
        yield MessageDone(Message("assistant"), usage, Timings(0.0, 4000.0, (options.max_tokens + extra) / rate * 1000))

    async def close(self) -> None: ...


def found(**changed: Any) -> Found:
    facts: dict[str, Any] = {
        "read_per_s": 100.0, "written_per_s": 10.0, "cold_s": 1.4, "load_s": 0.9, "prompt": 1512, "restored": 1498,
        "warm_s": 0.25, "grammar_cost": 0.012, "threads": 4, "gpu_layers": "0",
    }  # fmt: skip
    return Found(**facts | changed)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the engine's host says of itself, and how often it was stopped."""
    state: dict[str, Any] = {"state": "idle", "waiting": 0, "threads": 4, "gpu_layers": "33/33", "stopped": 0}

    async def status() -> dict[str, Any]:
        return state

    async def stop() -> bool:
        state["stopped"] += 1
        return True

    monkeypatch.setattr(local, "status", status)
    monkeypatch.setattr(local, "stop", stop)
    return state


def test_speed_is_of_fresh_tokens_and_a_grammar_costs_what_each_token_costs(host: dict[str, Any]) -> None:
    engine = TimedEngine()
    got = asyncio.run(bench.measure(engine, (), settle_s=0.0))
    assert got.read_per_s == pytest.approx(100.0) and got.written_per_s == pytest.approx(20.0)
    assert got.grammar_cost == pytest.approx(20 / 16 - 1)
    assert (got.prompt, got.restored, got.threads, got.gpu_layers) == (1000, 600, 4, "33/33")
    assert 0.05 <= got.warm_s < 30 and host["stopped"] == 1


def test_the_table_says_what_the_numbers_mean() -> None:
    text = "\n".join(bench._table("mine", found(), ()))
    assert "mine, 4 threads, no GPU seen" in text
    assert "a page of new text takes 5.00 s" in text and "an answer of 100 words takes 13 s" in text
    assert "1,498 of 1,512 tokens were kept" in text and "+1.2%" in text


def test_layers_are_said_where_a_graphics_card_is_seen() -> None:
    assert "33/33 layers on A Card" in bench._table("mine", found(gpu_layers="33/33"), ["A Card"])[0]
    assert "no layer on A Card" in bench._table("mine", found(), ["A Card"])[0]


def test_an_engine_at_work_is_left_alone(
    host: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_gguf.make("tiny", tmp_path / "mine.gguf")
    host["state"] = "answering"
    assert cli.main(["bench", "--model", str(file)]) == cli.Exit.FAILED
    assert "at work" in capsys.readouterr().err and host["stopped"] == 0


def test_a_model_that_is_not_here_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--model", "starter"]) == cli.Exit.MODEL
    assert "model pull starter" in capsys.readouterr().err


def test_an_answer_without_an_end_is_an_error(host: dict[str, Any]) -> None:
    class Silent(TimedEngine):
        async def stream(self, messages: Sequence[Message], specs: Any, options: Options) -> AsyncIterator[Any]:
            yield PrefillProgress(1, 1, 0)

    with pytest.raises(EngineError):
        asyncio.run(bench.first(Silent(), (), "x"))


def test_a_random_model_is_measured_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_gguf.make("tiny-dense", tmp_path / "mine.gguf")
    monkeypatch.setattr(bench, "SETTLE_S", 0.1)
    monkeypatch.setattr(bench, "PAIRS", 1)
    monkeypatch.setattr(handed, "_bench", _without_tools)
    settings.set_value("threads", "1")
    try:
        assert cli.main(["bench", "--model", str(file), "--json"]) == 0
    finally:
        asyncio.run(local.stop())
    told = json.loads(capsys.readouterr().out)
    assert told["read_per_s"] > 0 and told["written_per_s"] > 0 and told["cold_s"] > told["load_s"] > 0
    assert told["warm_s"] > 0 and told["gpu_layers"] == "0" and told["model"] == str(file)


def _without_tools(entry: Any, path: Path, chosen: Any) -> tuple[Any, Sequence[Any]]:
    from localagent import wiring

    return wiring.engine_of(entry, path, chosen), ()
