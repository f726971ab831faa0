"""The journal: what a step did is undone exactly, also after kill -9, and nobody's later work is touched."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import apply as applying
from localagent.store import copying
from localagent.store import journal as journals
from localagent.store import plan as planning
from localagent.store.journal import Journal
from localagent.values import Change

OPERATIONS = int(os.environ.get("LOCALAGENT_JOURNAL_OPERATIONS", "50"))
KILLS = int(os.environ.get("LOCALAGENT_JOURNAL_KILLS", "5"))
SEED = int(os.environ.get("LOCALAGENT_SEED", "20"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(root: Path) -> dict[str, tuple]:
    """Everything that undo promises to bring back."""
    found: dict[str, tuple] = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files, "."):
            path = Path(folder, name)
            info = path.lstat()
            what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            extra = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
            key = os.path.relpath(path, root)
            found[key] = (info.st_mode, info.st_mtime_ns, what, tuple(sorted(extra.items())))
    return found


@pytest.fixture
def space(tmp_path: Path) -> Path:
    root = tmp_path / "space"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("alpha\n")
    (root / "docs" / "b with space.txt").write_text("beta\n")
    (root / "docs" / "deep" / "ünï\nline").write_bytes(b"\0\xff" * 100)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    (root / "link").symlink_to("a.txt")
    os.setxattr(root / "a.txt", "user.note", b"keep me")
    for path in (root / "a.txt", root / "docs", root / "empty", root):
        os.utime(path, ns=(10**18 + 123, 10**18 + 456))
    return root


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def new(tmp_path: Path):
    """A file of the host's with the new content."""

    def make(text: str | bytes) -> str:
        path = tmp_path / f"content-{random.getrandbits(64):x}"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return make


def commit(journal: Journal, root: Path, *changes: Change):
    return journal.commit(changes, [root], session="s", call="c", label="test")


def leftovers(root: Path) -> list[str]:
    return [
        name for _, folders, files in os.walk(root) for name in (*folders, *files) if name.startswith(".localagent")
    ]


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
    def refused(self, outside: str, path: str) -> None:
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


def test_a_damaged_record_is_said(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "x"), content=new("x"), before=""))
    (journal._folder / "steps" / "000001" / "record.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        journal.undo()


def test_two_processes_take_turns(space: Path, journal: Journal, new, monkeypatch) -> None:
    monkeypatch.setattr(journals, "_LOCK_WAIT_S", 0.1)
    with journal._locked():
        # flock is per open file, so the same process can stand for another one.
        with pytest.raises(StoreError, match="Another localagent"), Journal(journal._folder)._locked(wait=0.1):
            pass
        assert Journal(journal._folder).recover() == []


# ---------------------------------------------------------------- storms


class Storm:
    """Random changes to a tree, in batches that do not depend on each other."""

    def __init__(self, root: Path, contents: Path, seed: int) -> None:
        self.root, self.contents, self.random = root, contents, random.Random(seed)
        contents.mkdir(exist_ok=True)
        self.count = 0

    def content(self) -> str:
        self.count += 1
        path = self.contents / str(self.count)
        path.write_bytes(self.random.randbytes(self.random.choice((0, 10, 5000))))
        if self.random.random() < 0.2:
            os.setxattr(path, "user.storm", b"x")
        return str(path)

    def name(self) -> str:
        return self.random.choice(("plain", "with space", "línea\n", "-dash", "x" * 120)) + str(
            self.random.getrandbits(24)
        )

    def batch(self) -> list[Change]:
        changes, used = [], set()
        for _ in range(self.random.randint(1, 4)):
            change = self.change()
            tops = {Path(p).relative_to(self.root).parts[0] for p in (change.path, change.dest) if p}
            if not tops & used:
                used |= tops
                changes.append(change)
        return changes

    def change(self) -> Change:
        files = [p for p in self.root.rglob("*") if p.is_file() and not p.is_symlink()]
        folders = [p for p in self.root.rglob("*") if p.is_dir() and not p.is_symlink()]
        place = self.random.choice([self.root, *folders]) / self.name()
        pick = self.random.choice(files) if files else None
        folder = self.random.choice(folders) if folders else None
        kind = self.random.choice(
            ("new", "new", "over", "move", "copy", "trash", "chmod", "mkdir", "link", "mvdir", "rmdir")
        )
        if kind == "over" and pick:
            return Change(
                "write", str(pick), content=self.content(), before=digest(pick), mode=self.random.choice((None, 0o640))
            )
        if kind in ("move", "copy") and pick:
            return Change(kind, str(pick), dest=str(place), before=digest(pick))
        if kind == "mvdir" and folder and not place.is_relative_to(folder):
            return Change(self.random.choice(("move", "copy")), str(folder), dest=str(place))
        if kind == "trash" and pick:
            return Change("trash", str(pick))
        if kind == "rmdir" and folder and self.random.random() < 0.4:
            return Change("trash", str(folder))
        if kind == "chmod" and pick:
            return Change("chmod", str(pick), mode=self.random.choice((0o600, 0o755, 0o444)))
        if kind == "mkdir":
            return Change("make_folder", str(place / self.name()))
        if kind == "link":
            return Change("link", str(place), content=self.random.choice(("../x", "a.txt", "/etc")), before="")
        return Change(
            "write", str(place), content=self.content(), before="", mtime_ns=self.random.choice((None, 10**18))
        )


def test_random_steps_are_undone_exactly(space: Path, journal: Journal, tmp_path: Path) -> None:
    storm = Storm(space, tmp_path / "contents", SEED)
    states = [tree(space)]
    done = 0
    while done < OPERATIONS:
        done += len(commit(journal, space, *storm.batch()).changes)
        states.append(tree(space))
    for before, after in zip(states[-2::-1], states[:0:-1], strict=True):
        assert tree(space) == after
        assert not journal.undo().conflicts
        assert tree(space) == before
    assert not leftovers(space)


VICTIM = textwrap.dedent(
    """
    import importlib.util, sys
    from pathlib import Path
    spec = importlib.util.spec_from_file_location("storms", {test!r})
    storms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(storms)
    root, seed = Path({root!r}), int(sys.argv[1])
    journal = storms.Journal(Path({journal!r}))
    storm = storms.Storm(root, Path({contents!r}) / str(seed), seed)
    print("ready", flush=True)
    while True:
        storms.commit(journal, root, *storm.batch())
        if storm.random.random() < 0.3:
            journal.undo()
            if storm.random.random() < 0.5:
                journal.redo()
    """
)


def test_kill_9_at_any_moment_loses_nothing(space: Path, journal: Journal, tmp_path: Path) -> None:
    before = tree(space)
    (tmp_path / "contents").mkdir()
    script = VICTIM.format(
        test=__file__, root=str(space), journal=str(journal._folder), contents=str(tmp_path / "contents")
    )
    moments = random.Random(SEED)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for kill in range(KILLS):
        victim = subprocess.Popen([sys.executable, "-c", script, str(SEED + kill)], stdout=subprocess.PIPE, env=env)
        try:
            assert victim.stdout is not None and victim.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.25))
        finally:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            victim.stdout.close()
        journal.recover()
        assert not leftovers(space)
        assert not (journal._folder / "active").exists()
    steps = journal.steps(10_000)
    assert steps, "the victims never got to work"
    for step in steps:
        if step.state == "done":
            assert not journal.undo(step.number).conflicts
    assert {k: (v[0], v[2:]) for k, v in tree(space).items()} == {k: (v[0], v[2:]) for k, v in before.items()}


def test_records_are_private_and_hold_hashes(space: Path, journal: Journal, new) -> None:
    commit(journal, space, Change("write", str(space / "a.txt"), content=new("z"), before=digest(space / "a.txt")))
    place = journal._folder / "steps" / "000001"
    assert stat.S_IMODE(journal._folder.stat().st_mode) == 0o700 and stat.S_IMODE(place.stat().st_mode) == 0o700
    record = json.loads((place / "record.json").read_text())
    assert record["state"] == "done"
    assert record["ops"][0]["before"]["sha256"] == hashlib.sha256(b"alpha\n").hexdigest()
    assert record["ops"][0]["after"]["sha256"] == hashlib.sha256(b"z").hexdigest()
