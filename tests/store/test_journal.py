"""The journal: what a step did is undone exactly, and nobody's later work is touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store.journal import Journal
from localagent.values import Change
from tests.store.support import commit, digest, leftovers, tree

# ---------------------------------------------------------------- one of each


def test_every_kind_of_change_is_done_and_undone(space: Path, journal: Journal, new) -> None:
    before = tree(space)
    step = commit(
        journal,
        space,
        Change("trash", str(space / "docs" / "deep")),
        Change("move", str(space / "run.sh"), dest=str(space / "bin" / "go.sh")),
        Change("write", str(space / "a.txt"), content=new("changed"), before=digest(space / "a.txt")),
        Change("write", str(space / "new" / "x.txt"), content=new("x"), before="", mode=0o600, mtime_ns=5 * 10**17),
        Change("make_folder", str(space / "made")),
        Change("copy", str(space / "docs"), dest=str(space / "docs2")),
        Change("link", str(space / "second"), content="docs", before=""),
        Change("link", str(space / "link"), content="elsewhere"),
        Change("chmod", str(space / "docs" / "b with space.txt"), mode=0o400),
        Change("trash", str(space / "empty")),
    )
    assert step.number == 1 and len(step.changes) == 10
    assert (space / "a.txt").read_text() == "changed"
    assert os.getxattr(space / "a.txt", "user.note") == b"keep me"
    assert stat.S_IMODE((space / "bin" / "go.sh").stat().st_mode) == 0o750
    info = (space / "new" / "x.txt").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (0o600, 5 * 10**17)
    assert (space / "docs2" / "deep" / "ünï\nline").exists() and not (space / "docs" / "deep").exists()
    assert os.readlink(space / "link") == "elsewhere" and not (space / "empty").exists()
    assert not leftovers(space)
    after = tree(space)

    undone = journal.undo()
    assert not undone.conflicts and not undone.left
    assert tree(space) == before

    assert not journal.redo().conflicts
    again = tree(space)
    assert {k: (v[0], v[2:]) for k, v in again.items()} == {k: (v[0], v[2:]) for k, v in after.items()}
    journal.undo()
    assert tree(space) == before


def test_deleted_files_are_in_the_desktop_trash(space: Path, journal: Journal, isolated: Path) -> None:
    commit(journal, space, Change("trash", str(space / "a.txt")))
    trash = isolated / ".local" / "share" / "Trash"
    assert (trash / "files" / "a.txt").read_text() == "alpha\n"
    info = (trash / "info" / "a.txt.trashinfo").read_text()
    assert info.startswith("[Trash Info]\nPath=/") and "DeletionDate=" in info
    assert not journal.undo().conflicts
    assert (space / "a.txt").read_text() == "alpha\n"
    assert not os.listdir(trash / "files") and not os.listdir(trash / "info")


def test_the_same_name_twice_in_the_trash(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("trash", str(space / "a.txt")))
    commit(journal, space, Change("write", str(space / "a.txt"), content=new("second"), before=""))
    commit(journal, space, Change("trash", str(space / "a.txt")))
    assert not journal.undo(3).conflicts
    assert (space / "a.txt").read_text() == "second"


def test_a_file_becomes_a_folder_and_back(space: Path, journal: Journal, new) -> None:
    before = tree(space)
    commit(
        journal,
        space,
        Change("write", str(space / "a.txt" / "inside"), content=new("in"), before=""),
        Change("trash", str(space / "a.txt")),
        Change("trash", str(space / "docs")),
        Change("write", str(space / "docs"), content=new("a file now"), before=""),
    )
    assert (space / "a.txt" / "inside").read_text() == "in" and (space / "docs").read_text() == "a file now"
    journal.undo()
    assert tree(space) == before


def test_nothing_to_commit_makes_no_step(space: Path, journal: Journal) -> None:
    assert commit(journal, space).number == 0
    assert journal.steps() == []


def test_a_hard_link_is_replaced_under_this_name_only_and_comes_back(space: Path, journal: Journal, new) -> None:
    os.link(space / "a.txt", space / "twin")
    commit(journal, space, Change("write", str(space / "a.txt"), content=new("mine"), before=digest(space / "a.txt")))
    assert (space / "twin").read_text() == "alpha\n"
    journal.undo()
    assert (space / "a.txt").stat().st_ino == (space / "twin").stat().st_ino


def test_a_sparse_file_stays_sparse(space: Path, journal: Journal, tmp_path: Path) -> None:
    size = int(os.environ.get("LOCALAGENT_SPARSE_BYTES", "100_000_000"))
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.write(b"start")
        file.seek(size)
        file.write(b"end")
    commit(journal, space, Change("write", str(space / "big"), content=str(big), before=""))
    info = (space / "big").stat()
    assert info.st_size == size + 3 and info.st_blocks * 512 < 1024**2
    journal.undo()
    assert not (space / "big").exists()


# ---------------------------------------------------------------- refusals: nothing is touched


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda s, n: Change("write", str(s / "a.txt"), content=n("x"), before="0" * 64), "changed since"),
        (lambda s, n: Change("write", str(s / "a.txt"), content=n("x"), before=""), "exists already"),
        (lambda s, n: Change("write", str(s / "gone"), content=n("x"), before="0" * 64), "no longer exists"),
        (lambda s, n: Change("trash", str(s / "gone")), "no longer exists"),
        (lambda s, n: Change("move", str(s / "a.txt"), dest=str(s / "run.sh")), "exists already"),
        (lambda s, n: Change("move", str(s / "docs"), dest=str(s / "docs" / "in")), "into itself"),
        (lambda s, n: Change("write", str(s / "docs"), content=n("x")), "is a folder"),
        (lambda s, n: Change("write", str(s / "x"), content=n("x"), after="0" * 64), "not what was approved"),
        (lambda s, n: Change("write", str(s / "x"), content="/no/such"), "missing"),
        (lambda s, n: Change("write", "/etc/passwd", content=n("x")), "outside"),
        (lambda s, n: Change("write", str(s / ".." / "out"), content=n("x")), "outside"),
        (lambda s, n: Change("move", str(s / "a.txt"), dest=str(s.parent / "out")), "outside"),
        (lambda s, n: Change("trash", str(s)), "outside"),
        (lambda s, n: Change("write", "relative", content=n("x")), "absolute"),
        (lambda s, n: Change("write", str(s / ".git/hooks/pre-commit"), content=n("x")), "hook"),
        (lambda s, n: Change("write", str(s / ".GIT/HOOKS/x"), content=n("x")), "hook"),
        (lambda s, n: Change("move", str(s / "a.txt"), dest=str(s / ".git/hooks/pre-push")), "hook"),
        (lambda s, n: Change("link", str(s / ".git/hooks/pre-push"), content="../../a.txt"), "hook"),
    ],
)
def test_what_is_refused_changes_nothing(space: Path, journal: Journal, new, make, said: str) -> None:
    before = tree(space)
    other = Change("write", str(space / "docs" / "other"), content=new("other"), before="")
    with pytest.raises(StoreError, match=said):
        commit(journal, space, other, make(space, new))
    assert tree(space) == before
    assert journal.steps() == [] and not leftovers(space)


@pytest.mark.parametrize(
    "name", [".bashrc", ".config/autostart/x.desktop", ".ssh/authorized_keys", "config/config.yaml"]
)
def test_startup_files_and_our_own_are_the_floor(isolated: Path, journal: Journal, new, name: str) -> None:
    with pytest.raises(StoreError, match="must not be changed"):
        commit(journal, isolated, Change("write", str(isolated / name), content=new("evil")))
    assert not (isolated / name).exists()


def test_what_holds_our_own_files_is_neither_moved_nor_deleted(isolated: Path, tmp_path: Path, new) -> None:
    (isolated / "config").mkdir(exist_ok=True)
    (isolated / "config" / "policy.yaml").write_text("mine")
    journal = Journal(tmp_path / "j")
    for change in (
        Change("trash", str(isolated / "config")),
        Change("trash", str(isolated)),
        Change("move", str(isolated / "config"), dest=str(isolated / "other")),
    ):
        with pytest.raises(StoreError, match="must not be changed"):
            journal.commit([change], [isolated.parent], session="s", call="c", label="x")
    assert (isolated / "config" / "policy.yaml").read_text() == "mine"


def test_a_hook_cannot_come_in_with_a_moved_folder(space: Path, journal: Journal) -> None:
    (space / "x" / "hooks").mkdir(parents=True)
    (space / "x" / "hooks" / "post-checkout").write_text("evil")
    with pytest.raises(StoreError, match="hook"):
        commit(journal, space, Change("move", str(space / "x"), dest=str(space / ".git")))


def test_a_new_repository_with_its_samples_is_fine(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / ".git/hooks/pre-commit.sample"), content=new("x"), before=""))
    assert (space / ".git/hooks/pre-commit.sample").exists()


def test_links_lead_nowhere_outside(space: Path, journal: Journal, tmp_path: Path, new) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (space / "way").symlink_to(outside)
    with pytest.raises(StoreError):
        commit(journal, space, Change("write", str(space / "way" / "x"), content=new("x")))
    with pytest.raises(StoreError, match="missing"):
        secret = tmp_path / "lnk"
        secret.symlink_to("/etc/hostname")
        commit(journal, space, Change("write", str(space / "leak"), content=str(secret)))
    assert not os.listdir(outside)


def test_pipes_and_devices_are_refused(space: Path, journal: Journal, new) -> None:
    os.mkfifo(space / "pipe")
    with pytest.raises(StoreError, match="regular"):
        commit(journal, space, Change("write", str(space / "pipe"), content=new("x")))
    (space / "pipe").rename(space / "docs" / "pipe")
    with pytest.raises(StoreError, match=r"space/docs/pipe cannot be copied: it is a socket, a pipe"):
        commit(journal, space, Change("copy", str(space / "docs"), dest=str(space / "docs2")))
    assert not leftovers(space)


# ---------------------------------------------------------------- what the user changed since


def test_undo_never_overwrites_a_later_edit(space: Path, journal: Journal, new) -> None:
    commit(
        journal,
        space,
        Change("write", str(space / "a.txt"), content=new("agent"), before=digest(space / "a.txt")),
        Change("write", str(space / "fresh"), content=new("agent"), before=""),
    )
    (space / "a.txt").write_text("the user's own")
    undone = journal.undo()
    assert len(undone.conflicts) == 1 and "a.txt was changed since" in undone.conflicts[0]
    assert (space / "a.txt").read_text() == "the user's own" and (space / "fresh").exists()
    forced = journal.undo(force=True)
    assert len(forced.conflicts) == 1 and not (space / "fresh").exists()
    assert (space / "a.txt").read_text() == "the user's own"


def test_undo_keeps_a_folder_with_the_users_own_file(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "made" / "x"), content=new("x"), before=""))
    (space / "made" / "mine").write_text("mine")
    undone = journal.undo()
    assert undone.left == (str(space / "made"),) and not undone.conflicts
    assert os.listdir(space / "made") == ["mine"]


@pytest.mark.parametrize("kind", ["trash", "move"])
def test_undo_does_not_replace_what_stands_there_again(space: Path, journal: Journal, kind) -> None:
    commit(journal, space, Change(kind, str(space / "a.txt"), dest=str(space / "z") if kind == "move" else None))
    (space / "a.txt").write_text("again")
    assert "exists again" in journal.undo().conflicts[0]
    assert (space / "a.txt").read_text() == "again"


def test_an_emptied_trash_is_said(space: Path, journal: Journal, isolated: Path) -> None:
    commit(journal, space, Change("trash", str(space / "a.txt")))
    shutil.rmtree(isolated / ".local" / "share" / "Trash")
    assert "no longer in the trash" in journal.undo().conflicts[0]


def test_an_older_step_is_undone_where_nothing_depends_on_it(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "one"), content=new("1"), before=""))
    commit(journal, space, Change("write", str(space / "two"), content=new("2"), before=""))
    commit(journal, space, Change("write", str(space / "one"), content=new("3"), before=digest(space / "one")))
    assert journal.undo(1).conflicts
    assert not journal.undo(2).conflicts and not (space / "two").exists()
    with pytest.raises(StoreError, match="nothing to undo"):
        journal.undo(2)


def test_redo_refuses_what_the_user_made_since(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "one"), content=new("1"), before=""))
    journal.undo()
    (space / "one").write_text("mine")
    assert "exists already" in journal.redo().conflicts[0]
    assert (space / "one").read_text() == "mine"


def test_nothing_to_undo_or_redo_is_said(journal: Journal) -> None:
    with pytest.raises(StoreError, match="nothing to undo"):
        journal.undo()
    with pytest.raises(StoreError, match="nothing to redo"):
        journal.redo()
    with pytest.raises(StoreError, match="no step 7"):
        journal.undo(7)


def test_records_are_private_and_hold_hashes(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "a.txt"), content=new("z"), before=digest(space / "a.txt")))
    place = journal._folder / "steps" / "000001"
    assert stat.S_IMODE(journal._folder.stat().st_mode) == 0o700 and stat.S_IMODE(place.stat().st_mode) == 0o700
    record = json.loads((place / "record.json").read_text())
    assert record["state"] == "done"
    assert record["ops"][0]["before"]["sha256"] == hashlib.sha256(b"alpha\n").hexdigest()
    assert record["ops"][0]["after"]["sha256"] == hashlib.sha256(b"z").hexdigest()


def test_a_new_content_is_made_durable_once_and_complete(space: Path, journal: Journal, new, monkeypatch) -> None:
    synced: list[tuple[int, int, bytes]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        info = os.fstat(fd)
        if stat.S_ISREG(info.st_mode) and info.st_size == 7:
            synced.append((stat.S_IMODE(info.st_mode), info.st_mtime_ns, os.pread(fd, 9, 0)))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    change = Change("write", str(space / "n"), content=new("durable"), before="", mode=0o640, mtime_ns=10**18)
    commit(journal, space, change)
    assert synced == [(0o640, 10**18, b"durable")]
