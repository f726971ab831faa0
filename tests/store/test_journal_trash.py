"""Deleted files of one name: none may take another's place in the trash."""

from __future__ import annotations

import os
from pathlib import Path

from localagent.store.journal import Journal
from localagent.values import Change
from tests.store.support import commit, tree


def test_files_of_one_name_deleted_in_one_step_all_come_back(space: Path, journal: Journal, isolated: Path) -> None:
    for number in range(5):
        (space / f"d{number}").mkdir()
        (space / f"d{number}" / "README").write_text(str(number))
    before = tree(space)
    commit(journal, space, *(Change("trash", str(space / f"d{number}" / "README")) for number in range(5)))
    for _ in range(2):
        done = journal.undo()
        assert not done.conflicts and not done.left and tree(space) == before
        assert not journal.redo().conflicts and not (space / "d3" / "README").exists()


def test_what_is_in_the_trash_already_is_never_replaced(space: Path, journal: Journal, isolated: Path) -> None:
    commit(journal, space, Change("trash", str(space / "a.txt")))
    (op,) = journal._steps.load(1).ops
    assert not journal.undo().conflicts
    if op.info:
        # Somebody else takes the place between the plan and the deed.
        Path(op.kept).write_text("theirs")
        assert "Trash" in op.kept and os.path.exists(op.kept)
        commit(journal, space, Change("trash", str(space / "a.txt")))
        assert Path(op.kept).read_text() == "theirs"
        assert not journal.undo().conflicts and (space / "a.txt").read_text() == "alpha\n"


def test_the_longest_names_can_be_deleted_and_come_back(space: Path, journal: Journal, isolated: Path) -> None:
    for name in ("b" * 255, "日" * 85, "\udcff" * 250):
        (space / name).write_text("x")
        before = tree(space)
        commit(journal, space, Change("trash", str(space / name)))
        assert not (space / name).exists()
        assert not journal.undo().conflicts and tree(space) == before
