"""What a program did to a folder by itself becomes a step: undone exactly, done again, and never over a later edit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from localagent.store.adopt import Before
from localagent.store.copying import copy_entry
from localagent.store.journal import Journal
from tests.store.support import tree


def adopted(journal: Journal, space: Path, tmp_path: Path, script, **how):
    """Run a function on the folder itself and adopt what it did."""
    copy_entry(str(space), str(tmp_path / "copy"))
    script(space)
    before = Before(str(space), str(tmp_path / "copy"), **how)
    return journal.adopt(before, session="s", call="c", label="background")


def much(space: Path) -> None:
    (space / "a.txt").write_text("changed")
    (space / "a.txt").chmod(0o600)
    shutil.rmtree(space / "docs")
    (space / "docs").write_text("now a file")
    (space / "link").unlink()
    (space / "link").mkdir()
    (space / "link" / "in").write_text("x")
    (space / "empty").rmdir()
    (space / "new" / "deep").mkdir(parents=True)
    (space / "new" / "deep" / "f").write_text("f")
    (space / "new" / "l").symlink_to("deep")
    os.setxattr(space / "run.sh", "user.x", b"y")
    (space / "run.sh").write_text("echo new\n")


def test_everything_is_undone_and_done_again(space: Path, journal: Journal, tmp_path: Path) -> None:
    before = tree(space)
    step = adopted(journal, space, tmp_path, much)
    after = tree(space)
    assert step is not None and step.number == 1
    for _ in range(2):
        assert not Journal(journal._folder).undo().conflicts
        now = tree(space)
        assert {k: v for k, v in now.items() if k not in (".", "./.")} == {
            k: v for k, v in before.items() if k not in (".", "./.")
        }
        assert not Journal(journal._folder).redo().conflicts
        assert {k: (v[0], *v[2:]) for k, v in tree(space).items()} == {k: (v[0], *v[2:]) for k, v in after.items()}


def test_nothing_done_is_no_step(space: Path, journal: Journal, tmp_path: Path) -> None:
    assert adopted(journal, space, tmp_path, lambda space: None) is None and journal.steps() == []


def test_only_permissions(space: Path, journal: Journal, tmp_path: Path) -> None:
    before = tree(space)
    step = adopted(journal, space, tmp_path, lambda space: (space / "docs").chmod(0o700))
    assert step is not None and [c.kind for c in step.changes] == ["chmod"]
    assert not journal.undo().conflicts and tree(space) == before


def test_what_is_skipped_or_edited_later_stays(space: Path, journal: Journal, tmp_path: Path) -> None:
    def script(space: Path) -> None:
        (space / "a.txt").write_text("program")
        (space / "run.sh").write_text("theirs")
        shutil.rmtree(space / "docs")

    step = adopted(journal, space, tmp_path, script, skipped=("run.sh",))
    assert step is not None and {Path(c.path).name for c in step.changes} >= {"a.txt", "docs"}
    assert not any(c.path.endswith("run.sh") for c in step.changes)
    (space / "a.txt").write_text("mine")
    assert journal.undo().conflicts and (space / "a.txt").read_text() == "mine" and not (space / "docs").exists()
    assert journal.undo(force=True).restored and (space / "docs" / "deep").is_dir()
    assert (space / "a.txt").read_text() == "mine" and (space / "run.sh").read_text() == "theirs"


@pytest.mark.parametrize("word", ["rename", "mkdir"])
def test_trouble_on_the_way_leaves_the_folder_and_no_step(
    space: Path, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    from localagent.errors import StoreError
    from localagent.store import adopt

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adopt, "_out" if word == "rename" else "_folder_out", fails)
    with pytest.raises(StoreError, match="disk is full"):
        adopted(journal, space, tmp_path, much)
    assert journal.steps() == [] and (space / "a.txt").read_text() == "changed"
