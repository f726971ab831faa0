"""`localagent tune`: what it measures is remembered, shown, used and forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localagent import cli
from localagent.commands import tune as command
from localagent.engine import loading, local, trials
from localagent.engine.trials import Load, Took, Work
from localagent.store import settings, tuned
from tests import make_gguf


class Bench:
    """Children that need no time: with repacked weights all is a quarter faster."""

    trouble = "it ended with -11"
    works = True

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def run(self, load: Load, work: Work) -> Took | None:
        factor = 0.8 if load.repack else 1.0
        return Took(work.read * 0.001 * factor, work.write * 0.01 * factor) if Bench.works else None

    async def keep(self, load: Load | None) -> None:
        pass


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model in use, on a machine where nothing else runs."""
    file = make_gguf.make("tiny-dense", tmp_path / "mine.gguf")
    settings.set_value("model", str(file))
    monkeypatch.setattr(trials, "Trials", lambda _: Bench())

    async def quiet(*_: Any) -> bool:
        return True

    monkeypatch.setattr(command, "_quiet_enough", quiet)
    return file


def engine(status: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    stopped: list[str] = []

    async def told() -> dict[str, Any] | None:
        return status

    async def stop() -> bool:
        stopped.append("stopped")
        return True

    monkeypatch.setattr(local, "status", told)
    monkeypatch.setattr(local, "stop", stop)
    return stopped


def test_what_is_found_is_shown_remembered_and_planned_with(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tune"]) == 0
    shown = capsys.readouterr()
    assert "repacked weights  on (+25 %)" in shown.out and "off 1.47 s, on 1.18 s" in shown.out
    assert "Together +25 %" in shown.out and "repacked weights: on (2 of 3)" in shown.err
    entry = tuned.load(loading.machine_key(loading.engine_machine()), tuned.model_key(mine))
    assert entry and (found := entry.find("repack")) and found.value is True
    assert cli.main(["model", "info", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["repack"] == {"value": True, "reason": f"measured on {entry.when}: +25 %"}
    assert plan["batch"]["reason"] == f"measured on {entry.when}: the fastest"
    assert cli.main(["model", "info"]) == 0
    assert "repacked weights  on" in capsys.readouterr().out


def test_it_is_forgotten(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tune", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["measured"]["repack"] == {"value": True, "gain": 0.25} and read["path"] == str(mine)
    assert cli.main(["tune", "--forget", str(mine)]) == 0
    assert "is forgotten" in capsys.readouterr().out
    assert cli.main(["tune", "--forget", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"forgotten": 0}
    assert cli.main(["model", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["repack"]["value"] is False


def test_what_cannot_be_measured_says_why_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Bench, "works", False)
    assert cli.main(["tune"]) == cli.Exit.FAILED
    assert "cannot be measured: it ended with -11" in capsys.readouterr().err and not tuned.file().exists()
    assert cli.main(["tune", "glm-5"]) == cli.Exit.USAGE
    assert cli.main(["tune", "qwen3.5-9b"]) == cli.Exit.MODEL


def test_an_idle_engine_is_stopped_first_and_a_busy_one_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = engine({"state": "answering", "waiting": 0}, monkeypatch)
    assert cli.main(["tune"]) == cli.Exit.FAILED and stopped == []
    assert "answering somebody" in capsys.readouterr().err
    stopped = engine({"state": "idle", "waiting": 0}, monkeypatch)
    assert cli.main(["tune"]) == 0 and stopped == ["stopped"]


def test_nothing_is_measured_while_others_are_busy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def busy(*_: Any) -> bool:
        return False

    monkeypatch.setattr(command, "_quiet_enough", busy)
    assert cli.main(["tune"]) == cli.Exit.FAILED
    assert "Other programs are busy" in capsys.readouterr().err and not tuned.file().exists()
    assert cli.main(["tune", "--anyway"]) == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert " tune " in out and "--forget --anyway --json" in out
