"""Disks that are full, read-only or elsewhere, folders that cannot be staged, links put in the way: clear answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.errors import LocalAgentError, StoreError
from localagent.sandbox import stage
from localagent.store import journal as journals
from localagent.store.journal import Journal, reach
from localagent.values import Change
from tests.store.support import digest, leftovers, tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@contextlib.contextmanager
def disk(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def staged(work: Path, scratch: Path, journal: Path, script) -> Journal:
    """Run a function on a view and commit what it changed."""

    async def main() -> Journal:
        async with stage.open(work, scratch) as view:
            script(view.path)
            changes = view.changes()
            made = Journal(journal)
            made.commit(changes, reach(changes, work), session="s", call="c", label="x")
            return made

    return asyncio.run(main())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "a").write_text("alpha")
    (root / "b").write_bytes(os.urandom(600_000))
    return root


@needs_root
def test_no_room_for_the_view(work: Path, tmp_path: Path) -> None:
    with disk(tmp_path / "small", "size=256k") as small:
        with pytest.raises(StoreError, match="disk is full") as caught:
            staged(work, small / "scratch", tmp_path / "j", lambda view: None)
        assert "Free some space" in caught.value.hint and os.listdir(small / "scratch") == []


@needs_root
def test_no_room_for_the_originals(work: Path, tmp_path: Path) -> None:
    before = tree(work)
    with disk(tmp_path / "small", "size=256k") as small:
        with pytest.raises(StoreError, match="disk is full"):
            staged(work, tmp_path / "s", small / "journal", lambda view: (view / "b").write_text("new"))
        assert tree(work) == before and not leftovers(work)
        journal = Journal(small / "journal")
        assert journal.steps() == [] and journal.recover() == []
        (work / "b").write_text("small")
        change = Change("write", str(work / "b"), content=str(work / "docs" / "a"), before=digest(work / "b"))
        journal.commit([change], [work], session="s", call="c", label="x")
        assert not journal.undo().conflicts and (work / "b").read_text() == "small"


@needs_root
def test_a_read_only_workspace(tmp_path: Path) -> None:
    with disk(tmp_path / "work", "size=4m") as work:
        (work / "a").write_text("alpha")
        subprocess.run(["mount", "-o", "remount,ro", str(work)], check=True)
        with pytest.raises(StoreError, match=r"read-only"):
            staged(work, tmp_path / "s", tmp_path / "j", lambda view: (view / "a").write_text("new"))
        assert (work / "a").read_text() == "alpha" and Journal(tmp_path / "j").steps() == []


@needs_root
def test_a_workspace_on_another_disk(tmp_path: Path) -> None:
    with disk(tmp_path / "work", "size=4m") as work:
        (work / "docs" / "deep").mkdir(parents=True)
        (work / "docs" / "deep" / "a").write_text("alpha")
        os.link(work / "docs" / "deep" / "a", work / "docs" / "twin")
        (work / "b").write_text("beta")
        before = tree(work)

        def script(view: Path) -> None:
            (view / "docs").rename(view / "papers")
            (view / "papers" / "twin").unlink()
            (view / "b").write_text("new")

        def remove(view: Path) -> None:
            subprocess.run(["rm", "-r", view / "docs"], check=True)

        journal = staged(work, tmp_path / "s", tmp_path / "j", remove)
        assert not journal.undo().conflicts and tree(work) == before
        assert (work / "docs" / "twin").stat().st_nlink == 2, "hard links stay hard links"
        journal = staged(work, tmp_path / "s", tmp_path / "j", script)
        assert not (work / "docs").exists() and (work / "b").read_text() == "new"
        after = tree(work)
        for _ in range(2):
            undone = journal.undo()
            assert not undone.conflicts and not undone.left and tree(work) == before
            assert not journal.redo().conflicts
            assert {k: v[2] for k, v in tree(work).items()} == {k: v[2] for k, v in after.items()}


@needs_root
def test_what_came_into_a_folder_while_it_was_taken_to_another_disk_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk(tmp_path / "work", "size=4m") as work:
        (work / "docs").mkdir()
        (work / "docs" / "a").write_text("alpha")
        real = journals.apply

        def late(op, roots) -> None:
            (work / "docs" / "mine").write_text("just now")
            real(op, roots)

        monkeypatch.setattr(journals, "apply", late)
        journal = Journal(tmp_path / "j")
        journal.commit([Change("trash", str(work / "docs"))], [work], session="s", call="c", label="x")
        assert not (work / "docs").exists() and not leftovers(work)
        assert not journal.undo().conflicts and (work / "docs" / "mine").read_text() == "just now"


@pytest.mark.parametrize("folder", ["/", "home"])
def test_a_home_or_the_whole_disk_is_refused_and_says_what_to_do(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path if folder == "home" else Path("/")
    scratch = tmp_path / ".cache" / "localagent" / "scratch"
    with pytest.raises(StoreError, match="own working folder") as caught:
        staged(work, scratch, tmp_path / "j", lambda view: None)
    assert caught.value.hint == "Choose a folder inside it to work in." and not scratch.exists()


def test_a_folder_replaced_by_a_link_before_the_commit(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("theirs")

    def script(view: Path) -> None:
        (view / "docs" / "a").write_text("program")
        (work / "docs").rename(work / "away")
        (work / "docs").symlink_to(outside)

    with pytest.raises(LocalAgentError):
        staged(work, tmp_path / "s", tmp_path / "j", script)
    assert (outside / "a").read_text() == "theirs" and os.listdir(outside) == ["a"]


def test_no_link_put_in_the_way_while_copying_leads_out(tmp_path: Path) -> None:
    """Somebody swaps a folder and a link to a secret as fast as can be: no copy holds the secret."""
    work, secret = tmp_path / "work", tmp_path / "secret"
    for number in range(20):
        (work / f"d{number}").mkdir(parents=True)
        (work / f"d{number}" / "f").write_text("mine")
    secret.mkdir()
    (secret / "f").write_text("SECRET")
    (work / "link").symlink_to(secret)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for number in range(20):
                with contextlib.suppress(OSError):
                    (work / f"d{number}").rename(work / "t")
                    (work / "link").rename(work / f"d{number}")
                    (work / f"d{number}").rename(work / "link")
                    (work / "t").rename(work / f"d{number}")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(5):

            async def main() -> None:
                async with stage.open(work, tmp_path / "s") as view:
                    for path in view.path.rglob("f"):
                        if not path.parent.is_symlink():
                            assert path.read_text() == "mine"

            asyncio.run(main())
    finally:
        over.set()
        swapping.join()
