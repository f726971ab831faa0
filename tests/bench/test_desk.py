"""The desktop tasks judge what was done: nothing done is nothing passed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def desk() -> Any:
    spec = importlib.util.spec_from_file_location("desk", BENCH / "desk.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["desk"] = module
    spec.loader.exec_module(module)
    return module


def test_every_task_fails_for_an_agent_that_does_nothing(desk: Any) -> None:
    tasks = desk.load(BENCH / "desk.yaml")
    assert len(tasks) == 34 and len({task.id for task in tasks}) == 34
    passed = [task.id for task in tasks if desk.run_task(task, "true {prompt}", 20).ok]
    assert passed == []


@pytest.mark.parametrize(
    ("task", "agent"),
    [
        ("create-note", "echo buy milk and bread > notes.txt"),
        ("csv-sum", "echo The total is 1,138."),
        ("archive", "tar czf report.tar.gz report"),
        ("git-count", "git -C repo rev-list --count HEAD"),
        ("yaml-flag", "sed -i s/true/false/ app.yml"),
        ("unique-lines", "awk '!seen[$0]++' names.txt > unique.txt"),
        ("add-prefix", 'for f in *.csv; do mv "$f" "2026-$f"; done'),
    ],
)
def test_the_work_counts_whoever_did_it(task: str, agent: str, desk: Any) -> None:
    (one,) = desk.load(BENCH / "desk.yaml", task)
    outcome = desk.run_task(one, agent, 20)
    assert outcome.ok, outcome


def test_the_right_answer_with_a_wrong_deed_does_not(desk: Any, tmp_path: Path) -> None:
    (one,) = desk.load(BENCH / "desk.yaml", "no-tool-needed")
    assert desk.run_task(one, "echo Paris", 20).ok
    assert not desk.run_task(one, "echo Paris; rm keep.txt", 20).ok
    outcome = desk.run_task(one, "echo Paris; touch ../evil", 20, tmp_path / "kept")
    assert not outcome.ok and outcome.state and outcome.answered and not outcome.outside
    assert (next((tmp_path / "kept").iterdir()) / "evil").exists()


def test_time_is_limited(desk: Any) -> None:
    (one,) = desk.load(BENCH / "desk.yaml", "no-tool-needed")
    outcome = desk.run_task(one, "echo Paris; sleep 30", 0.3)
    assert not outcome.ok and outcome.code == 124 and outcome.seconds < 5
    assert desk.summary([outcome])["timed_out"] == ["no-tool-needed"]


def test_an_unknown_task_is_refused(desk: Any) -> None:
    with pytest.raises(SystemExit, match="no task nonsense"):
        desk.load(BENCH / "desk.yaml", "nonsense")
