"""The long tasks: nothing done is nothing passed, and a known good way of each holds through the real program and is undone again.

The model is a script; loop, dispatch, tools, sandbox, policy and journal are real.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent import cli
from tests.bench.test_desk import BENCH
from tests.bench.test_desk_control import run
from tests.fakes import approve_all, call, nobody

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def long() -> Iterator[Any]:
    sys.path.insert(0, str(BENCH))
    try:
        yield importlib.import_module("long")
    finally:
        sys.path.remove(str(BENCH))


def names(file: str) -> list[str]:
    import yaml

    return [task["id"] for task in yaml.safe_load((BENCH / file).read_text()) if "id" in task]


def script(task: Any) -> list[Any]:
    made = [step if isinstance(step, str) else [call(name, **args) for name, args in step.items()] for step in task.steps]
    assert isinstance(made[-1], str), "the last step is the answer"
    return made


def everything(folder: Path) -> dict[str, str]:
    """Each path below a folder, with its kind, its mode and a hash of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path.relative_to(folder))] = f"{path.lstat().st_mode:o} {held}"
    return found


def fresh(desk: Any, task: Any, work: Path) -> dict[str, str]:
    """What lies there before the agent comes."""
    work.mkdir(parents=True)
    env = {**os.environ, "LC_ALL": "C.UTF-8", "DESK_OUTSIDE": str(work.parent)}
    assert desk._script(task.setup, work, env).returncode == 0
    return everything(work)


def test_there_are_enough_and_each_is_long(long: Any) -> None:
    tasks = long.load(BENCH / "long.yaml")
    assert len(tasks) >= 15 and len({task.id for task in tasks}) == len(tasks)
    lengths = [sum(len(step) for step in task.steps if not isinstance(step, str)) for task in tasks]
    assert min(lengths) >= 8 and max(lengths) <= 30


@pytest.mark.parametrize("file", ["long.yaml", "languages.yaml"])
def test_every_task_fails_for_an_agent_that_does_nothing(file: str, long: Any) -> None:
    assert [task.id for task in long.load(BENCH / file) if long.run(task, "", "true", 20).ok] == []


@pytest.mark.parametrize(("file", "name"), [(file, name) for file in ("long.yaml", "languages.yaml") for name in names(file)])
def test_a_known_good_way_holds_and_undo_brings_everything_back(
    file: str, name: str, long: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = long.load(BENCH / file, name)
    before = fresh(long.desk, task, tmp_path / "before" / "work")
    ended, held = run(task, "auto", script(task), nobody, long.desk, tmp_path / "now")
    assert held and ended.status == "done" and ended.questions == 0 and not ended.denied
    assert long.speaks(ended.final, task.language) if task.language else True
    work = tmp_path / "now" / "work"
    monkeypatch.chdir(work)
    for _ in range(sum(len(step) for step in task.steps if not isinstance(step, str))):
        if everything(work) == before or cli.main(["undo"]) != 0:
            break
    assert everything(work) == before


def test_a_person_who_says_yes_sees_no_more_than_the_changes(long: Any, tmp_path: Path) -> None:
    (task,) = long.load(BENCH / "long.yaml", "tidy-downloads")
    ended, held = run(task, "ask", script(task), approve_all, long.desk, tmp_path / "x")
    looks = sum("list_files" in step for step in task.steps if not isinstance(step, str))
    assert held and 0 < ended.questions <= len(task.steps) - 1 - looks


def test_the_table_pairs_the_ways(long: Any) -> None:
    def ran(task: str, way: str, ok: bool) -> Any:
        return long.Ran(task, way, ok, ok, True, True, 0, 3, 1000, 20, 4.5, "", "", "")

    rows = long.table([ran("a", "plain", True), ran("a", "plans", False), ran("b", "plain", True), ran("b", "plans", True)]).splitlines()
    assert rows[2] == "| plain | 2/2 | 2/2 | 6 | 2,000 | 40 | 9 |" and rows[3].startswith("| plans | 1/2 | 1/2 |")
    assert "| a | yes (3 calls, 4 s) | no-state (3 calls, 4 s) |" in rows
