"""The journal when something fails in the middle: a full disk, a lost folder, a damaged record."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import apply as applying
from localagent.store import copying
from localagent.store import journal as journals
from localagent.store import plan as planning
from localagent.store.journal import Journal
from localagent.values import Change
from tests.store.support import commit, digest, leftovers, tree

# ---------------------------------------------------------------- trouble in the middle


@pytest.mark.parametrize("at", range(6))
def test_a_failure_in_the_middle_is_rolled_back(space: Path, journal: Journal, new, monkeypatch, at: int) -> None:
    before = tree(space)
    done: list[object] = []

    def failing(op, roots):
        if len(done) == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(op)
        applying.apply(op, roots)

    monkeypatch.setattr(journals, "apply", failing)
    with pytest.raises(StoreError, match="disk is full"):
        commit(
            journal,
            space,
            Change("make_folder", str(space / "made")),
            Change("write", str(space / "made" / "x"), content=new("x"), before=""),
            Change("write", str(space / "a.txt"), content=new("y"), before=digest(space / "a.txt")),
            Change("chmod", str(space / "run.sh"), mode=0o700),
            Change("move", str(space / "docs"), dest=str(space / "papers")),
            Change("trash", str(space / "empty")),
            Change("trash", str(space / "link")),
        )
    assert tree(space) == before and not leftovers(space)
    assert journal.steps() == [] and not os.listdir(journal._folder / "steps")


def test_a_full_disk_is_found_before_anything_is_touched(space: Path, journal: Journal, new, monkeypatch) -> None:
    before = tree(space)
    content = new(b"x" * 3_000_000)

    def fails(source: int, target: int) -> None:
        os.write(target, b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copying, "copy_bytes", fails)
    with pytest.raises(StoreError, match="disk is full"):
        commit(journal, space, Change("write", str(space / "big"), content=content, before=""))
    monkeypatch.undo()
    free = os.statvfs(space)
    monkeypatch.setattr(
        planning.os, "fstatvfs", lambda fd: os.statvfs_result((free.f_bsize, 4096, 0, 0, 10, *free[5:]))
    )
    with pytest.raises(StoreError, match="needs 2 MB, and 0 MB are free"):
        commit(journal, space, Change("write", str(space / "big"), content=content, before=""))
    assert tree(space) == before and not leftovers(space)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk; the seam is tried above")
def test_a_really_full_disk(journal: Journal, tmp_path: Path, new) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "mine").write_bytes(b"m" * 500_000)
        before = tree(disk)
        parts = [Change("write", str(disk / f"{i}"), content=new(b"x" * 50_000), before="") for i in range(20)]
        with pytest.raises(StoreError, match="disk is full") as caught:
            commit(journal, disk, Change("trash", str(disk / "mine")), *parts)
        assert "Free some space" in caught.value.hint and tree(disk) == before and journal.steps() == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_unwritable_folder_is_one_sentence(space: Path, journal: Journal, new, monkeypatch) -> None:
    def refused(self, outside: str, path: str, **_: bool) -> None:
        raise OSError(errno.EROFS, "Read-only file system", os.path.join(self.path, path))

    monkeypatch.setattr(planning.Root, "copy_in", refused)
    with pytest.raises(StoreError, match="read-only"):
        commit(journal, space, Change("write", str(space / "x"), content=new("x"), before=""))


def test_the_workspace_on_another_file_system(journal: Journal, new) -> None:
    root = Path("/dev/shm") / f"localagent-test-{os.getpid()}"
    if not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == os.stat(journal._folder.parent).st_dev:
        pytest.skip("/dev/shm is no file system of its own")
    (root / "docs").mkdir(parents=True)
    try:
        (root / "docs" / "a").write_text("alpha")
        (root / "b").write_text("beta")
        before = tree(root)
        commit(
            journal,
            root,
            Change("trash", str(root / "docs")),
            Change("write", str(root / "b"), content=new("changed"), before=digest(root / "b")),
            Change("write", str(root / "c"), content=new("c"), before=""),
        )
        assert sorted(os.listdir(root)) == ["b", "c"]
        journal.undo()
        assert tree(root) == before
        journal.redo()
        assert sorted(os.listdir(root)) == ["b", "c"]
        journal.undo()
        assert tree(root) == before
    finally:
        shutil.rmtree(root)


def test_a_damaged_record_is_said_and_the_others_work(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "x"), content=new("x"), before=""))
    commit(journal, space, Change("write", str(space / "y"), content=new("y"), before=""))
    (journal._folder / "steps" / "000002" / "record.json").write_text("{")
    assert [(step.number, step.state) for step in journal.steps()] == [(2, "damaged"), (1, "done")]
    with pytest.raises(StoreError, match="damaged"):
        journal.undo(2)
    assert journal.undo().step.number == 1 and not (space / "x").exists()
    assert commit(journal, space, Change("make_folder", str(space / "z"))).number == 3


DYING = textwrap.dedent(
    """
    import os, sys
    from localagent.store import journal
    from localagent.values import Change
    root, folder, content = sys.argv[1:]
    real = journal.apply
    def dying(op, roots):
        real(op, roots)
        os._exit(9)
    journal.apply = dying
    changes = [Change("write", f"{root}/a.txt", content=content), Change("write", f"{root}/run.sh", content=content)]
    journal.Journal(journal.Path(folder)).commit(changes, [root], session="s", call="c", label="broken")
    """
)


def test_a_step_whose_folder_is_gone_stops_nothing_else(space: Path, journal: Journal, new, tmp_path: Path) -> None:
    before, away = tree(space), tmp_path / "unplugged"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [str(space), str(journal._folder), new("half")]
    assert subprocess.run([sys.executable, "-c", DYING, *arguments], env=env, check=False).returncode == 9
    space.rename(away)
    (stuck,) = journal.recover()
    assert (stuck.state, stuck.folder) == ("stuck", str(space))
    assert journal.recover() == []
    other = tmp_path / "other"
    other.mkdir()
    assert commit(journal, other, Change("make_folder", str(other / "x"))).number == 2
    assert not journal.undo().conflicts
    assert [(step.number, step.state) for step in journal.steps()] == [(2, "undone"), (1, "stuck")]
    assert journal.undo(1).conflicts
    away.rename(space)
    assert (space / "a.txt").read_text() == "half"
    assert not journal.undo(1).conflicts
    assert tree(space) == before and not leftovers(space)


def test_two_processes_take_turns(space: Path, journal: Journal, new, monkeypatch) -> None:
    monkeypatch.setattr(journals, "_LOCK_WAIT_S", 0.1)
    with journal._locked():
        # flock is per open file, so the same process can stand for another one.
        with pytest.raises(StoreError, match="Another localagent"), Journal(journal._folder)._locked(wait=0.1):
            pass
        assert Journal(journal._folder).recover() == []
