"""One file put back over what is there now: kept, undoable, refused where it must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import stepfiles
from localagent.store.journal import Journal
from localagent.store.restore import restore
from localagent.values import Change
from tests.store.support import commit, digest, leftovers, tree


def _edited(space: Path, journal: Journal, new, text: str) -> None:
    commit(journal, space, Change("write", str(space / "a.txt"), content=new(text), before=digest(space / "a.txt")))


def test_a_file_that_was_changed_since_comes_back_as_a_step_that_can_be_undone(space: Path, journal: Journal, new) -> None:
    before = tree(space)["a.txt"]
    _edited(space, journal, new, "one")
    _edited(space, journal, new, "two")
    (space / "a.txt").write_text("mine")
    assert journal.undo(1, file=space / "a.txt").conflicts
    made = restore(journal, space / "a.txt", 1)
    assert made.number == 3 and tree(space)["a.txt"] == before
    assert not journal.undo(3).conflicts and (space / "a.txt").read_text() == "mine"
    assert not journal.redo().conflicts and tree(space)["a.txt"] == before and not leftovers(space)


def test_made_deleted_and_executable_files(space: Path, journal: Journal, new) -> None:
    mode = (space / "run.sh").stat().st_mode
    commit(
        journal, space, Change("write", str(space / "made"), content=new("x"), before=""), Change("trash", str(space / "run.sh"))
    )
    (space / "made").write_text("grown")
    (space / "run.sh").write_text("another")
    restore(journal, space / "made")
    assert not (space / "made").exists()
    restore(journal, space / "run.sh")
    assert (space / "run.sh").read_text() == "#!/bin/sh\n" and (space / "run.sh").stat().st_mode == mode
    assert not journal.undo().conflicts and (space / "run.sh").read_text() == "another"
    assert not journal.undo().conflicts and (space / "made").read_text() == "grown"


def test_what_cannot_be_put_back_is_left_alone(space: Path, journal: Journal, new, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    commit(journal, space, Change("trash", str(space / "run.sh")), Change("trash", str(space / "docs")))
    kept = next(f for f in stepfiles.files(journal.folder, 1) if f.path.endswith("run.sh")).before
    assert kept is not None
    Path(kept).write_text("#!/bin/su\n")
    (space / "run.sh").write_text("mine")
    for path, told in ((space / "run.sh", "is not what it held"), (space / "docs", "no plain file"), (space / "a.txt", "No step")):
        with pytest.raises(StoreError, match=told):
            restore(journal, path)
    Path(kept).unlink()
    with pytest.raises(StoreError, match="not kept any more"):
        restore(journal, space / "run.sh")
    assert (space / "run.sh").read_text() == "mine" and len(journal.steps()) == 1


def test_a_step_shows_what_it_left_behind_though_later_ones_changed_it(space: Path, journal: Journal, new) -> None:
    _edited(space, journal, new, "one")
    _edited(space, journal, new, "two")
    first = stepfiles.files(journal.folder, 1)[0]
    assert first.later == (2,) and first.kind == "changed" and first.before and first.after
    assert [Path(p).read_text() for p in (first.before, first.after)] == ["alpha\n", "one"]
    journal.undo(2)
    journal.undo(1)
    first = stepfiles.files(journal.folder, 1)[0]
    assert first.before and first.after
    assert [Path(p).read_text() for p in (first.before, first.after)] == ["alpha\n", "one"] and first.later == ()
