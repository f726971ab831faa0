"""What the host makes of a worker's requests before anybody is asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localagent.errors import Conflict
from localagent.store.journal import Journal, reach

Make = Callable[..., Any]
MODIFY = Path(__file__).resolve().parents[2] / "tools" / "modify.py"


def commit(made: Any, changes: Any, folder: Path) -> None:
    Journal(folder / "j").commit(changes, reach(changes, made.workspace), session="s", call="c", label="x")


def test_folders_that_a_worker_only_cannot_see_are_not_proposed(box: Make, isolated: Path, tmp_path: Path) -> None:
    made = box(MODIFY)
    (isolated / "docs").mkdir()
    for target in (isolated / "docs" / "n.txt", isolated / "new" / "deep" / "n.txt"):
        result = made.call("write_file", path=str(target), content="hi")
        assert [(c.kind, c.path) for c in result.requests] == [("write", str(target))]
        commit(made, result.requests, tmp_path)
        assert target.read_text() == "hi"
    result = made.call("make_folder", path=str(isolated / "one" / "two"))
    assert [(c.kind, c.path) for c in result.requests] == [("make_folder", str(isolated / "one" / "two"))]
    commit(made, result.requests, tmp_path)
    assert (isolated / "one" / "two").is_dir()


def test_what_moves_goes_or_is_copied_is_named_by_what_it_is(box: Make, tmp_path: Path) -> None:
    made = box(MODIFY)
    (made.workspace / "a").write_text("a")
    (made.workspace / "d").mkdir()
    known = hashlib.sha256(b"a").hexdigest()
    assert [c.before for c in made.call("trash", path="a").requests] == [known]
    assert [c.before for c in made.call("move_file", source="a", destination="b").requests] == [known]
    (change,) = made.call("copy_file", source="d", destination="e").requests
    assert change.before.startswith("tree:")


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("trash", {"path": "d"}),
        ("move_file", {"source": "d", "destination": "e"}),
        ("copy_file", {"source": "d", "destination": "e"}),
    ],
)
def test_a_file_made_while_the_question_was_open_is_kept(box: Make, tmp_path: Path, tool: str, args: Any) -> None:
    made = box(MODIFY)
    (made.workspace / "d").mkdir()
    (made.workspace / "d" / "x").write_text("x")
    changes = made.call(tool, **args).requests
    (made.workspace / "d" / "precious").write_text("new")
    with pytest.raises(Conflict, match="changed since"):
        commit(made, changes, tmp_path)
    assert sorted(os.listdir(made.workspace)) == ["d"] and (made.workspace / "d" / "precious").exists()


def test_the_same_for_a_program(box: Make, tmp_path: Path) -> None:
    made = box(MODIFY.with_name("shell.py"))
    for name in ("d", "e"):
        (made.workspace / name).mkdir()
        (made.workspace / name / "x").write_text(name)
    for command in ("rm -r d", "mv d d2", "rm d/x; rmdir d", "mv d/x y; rmdir d"):
        changes = made.call("run", command=command).requests
        (made.workspace / "d" / "precious").write_text("new")
        with pytest.raises(Conflict, match="changed since"):
            commit(made, changes, tmp_path)
        assert sorted(os.listdir(made.workspace / "d")) == ["precious", "x"]
        (made.workspace / "d" / "precious").unlink()
    commit(made, made.call("run", command="rm -r d").requests, tmp_path)
    assert os.listdir(made.workspace) == ["e"]
