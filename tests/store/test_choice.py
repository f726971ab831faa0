"""Undo and redo of one path of a step: exact, refused where it must be, and whole after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import prune
from localagent.store.journal import Journal
from localagent.store.steps import Steps
from localagent.values import Change
from tests.store.support import commit, digest, leftovers, tree


def several(space: Path, journal: Journal, new) -> None:
    """One step that writes, makes, moves and deletes."""
    commit(
        journal,
        space,
        Change("write", str(space / "a.txt"), content=new("changed"), before=digest(space / "a.txt"), mode=0o600),
        Change("write", str(space / "made" / "x"), content=new("x"), before=""),
        Change("move", str(space / "run.sh"), dest=str(space / "empty" / "go.sh")),
        Change("trash", str(space / "docs")),
    )


def test_one_file_of_a_step_comes_back_and_the_rest_stays(space: Path, journal: Journal, new) -> None:
    before = tree(space)
    several(space, journal, new)
    after = tree(space)
    done = journal.undo(file=space / "a.txt")
    assert done.restored == (str(space / "a.txt"),) and done.step.number == 2
    assert tree(space)["a.txt"] == before["a.txt"]
    assert {k: v for k, v in tree(space).items() if k not in ("a.txt", "./.", ".")} == {
        k: v for k, v in after.items() if k not in ("a.txt", "./.", ".")
    }
    assert [(s.number, s.state, len(s.changes)) for s in journal.steps()] == [(2, "undone", 1), (1, "done", 3)]
    # In a new process, the other way round, and then all of it.
    again = Journal(journal._folder)
    assert not again.redo(file=space / "a.txt").conflicts and tree(space)["a.txt"] == after["a.txt"]
    assert not again.undo(file=space / "a.txt").conflicts
    assert not again.undo(1).conflicts
    files = {k: v for k, v in before.items() if not k.endswith(".")}
    assert {k: v for k, v in tree(space).items() if not k.endswith(".")} == files and not leftovers(space)


def test_a_moved_file_goes_back_by_either_name(space: Path, journal: Journal, new) -> None:
    several(space, journal, new)
    assert not journal.undo(file=space / "empty" / "go.sh").conflicts
    assert (space / "run.sh").exists() and not (space / "empty" / "go.sh").exists() and not (space / "docs").exists()
    assert not journal.redo(file=space / "run.sh").conflicts and (space / "empty" / "go.sh").exists()


def test_a_users_own_edit_is_left_alone_and_nothing_is_split(space: Path, journal: Journal, new) -> None:
    several(space, journal, new)
    (space / "a.txt").write_text("mine")
    done = journal.undo(file=space / "a.txt")
    assert "was changed since" in done.conflicts[0] and (space / "a.txt").read_text() == "mine"
    assert journal.undo(file=space / "a.txt", force=True).conflicts and len(journal.steps()) == 1


def test_what_cannot_be_undone_alone_is_said(space: Path, journal: Journal, new) -> None:
    several(space, journal, new)
    with pytest.raises(StoreError, match="no step has changed"):
        journal.undo(file=space / "link")
    with pytest.raises(StoreError, match=r"changed .*/docs as a whole.*--file .*/docs"):
        journal.undo(file=space / "docs" / "deep")
    with pytest.raises(StoreError, match="has not changed"):
        journal.undo(1, file=space / "link")
    assert not journal.undo(file=space / "docs").conflicts and (space / "docs" / "deep").is_dir()


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_crash_while_splitting_loses_nothing(space: Path, journal: Journal, new, monkeypatch, dies_at: int) -> None:
    before = tree(space)
    several(space, journal, new)
    saved = []
    real = Steps.save

    def save(self, record, **how):
        saved.append(record)
        if len(saved) == dies_at:
            raise KeyboardInterrupt
        real(self, record, **how)

    monkeypatch.setattr(Steps, "save", save)
    with pytest.raises(KeyboardInterrupt):
        journal.undo(file=space / "a.txt")
    monkeypatch.undo()
    again = Journal(journal._folder)
    assert again.recover() == [] and not (again._folder / "active").exists()
    assert [s.state for s in again.steps()] == ["done"] * (1 if dies_at < 3 else 2)
    for step in again.steps():
        assert not again.undo(step.number).conflicts
    assert {k: v for k, v in tree(space).items() if not k.endswith(".")} == {
        k: v for k, v in before.items() if not k.endswith(".")
    }


def test_originals_that_a_part_needs_stay(space: Path, journal: Journal, new, monkeypatch) -> None:
    several(space, journal, new)
    assert not journal.undo(file=space / "a.txt").conflicts and not journal.redo(file=space / "a.txt").conflicts
    change = Change("make_folder", str(space / "other"))
    journal.commit([change], [space], session="later", call="c", label="test")
    monkeypatch.setattr(prune, "_YOUNG_S", -1.0)
    assert [(s.number, s.state) for s in journal.steps()] == [(3, "done"), (2, "done"), (1, "done")]
    monkeypatch.setattr(prune, "DAYS", 10)
    assert prune.prune(journal._folder, journal._steps, 10**9) == []
    assert prune.prune(journal._folder, journal._steps, 0) == [1]
    assert [s.state for s in journal.steps()] == ["done", "expired", "expired"]
    with pytest.raises(StoreError, match="too old"):
        journal.undo(2)
