"""What was agreed to outside the workspace can be carried out, and no more than that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.errors import Conflict, StoreError
from localagent.store.journal import Journal, reach
from localagent.values import Change
from tests.store.support import tree


def carried(journal: Journal, space: Path, *changes: Change, roots: list[str] | None = None) -> None:
    journal.commit(changes, reach(changes, space) if roots is None else roots, session="s", call="c", label="x")


def test_a_new_file_in_folders_that_do_not_exist_yet(space: Path, journal: Journal, new, tmp_path: Path) -> None:
    before, target = tree(tmp_path), tmp_path / "out" / "deep" / "n.txt"
    changes = (
        Change("write", str(target), content=new("hi"), before=""),
        Change("make_folder", str(space / "m")),
    )
    assert list(reach(changes, space)) == [str(space), str(target)]
    carried(journal, space, *changes)
    assert target.read_text() == "hi" and (space / "m").is_dir()
    assert not journal.undo().conflicts
    after = tree(tmp_path)
    assert not (tmp_path / "out").exists() and {k for k in before if "content" not in k} <= set(after)


def test_existing_files_and_folders_outside(space: Path, journal: Journal, new, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "old").mkdir(parents=True)
    (out / "old" / "x").write_text("x")
    (out / "f").write_text("f")
    (out / "l").symlink_to("old")
    before = tree(out)
    carried(
        journal,
        space,
        Change("write", str(out / "f"), content=new("g")),
        Change("move", str(out / "old"), dest=str(space / "came")),
        Change("copy", str(space / "docs"), dest=str(out / "went" / "docs")),
        Change("trash", str(out / "l")),
    )
    assert (out / "f").read_text() == "g" and (space / "came" / "x").exists() and (out / "went" / "docs").is_dir()
    assert not os.path.lexists(out / "l")
    assert not journal.undo().conflicts and tree(out) == before


@pytest.mark.parametrize("extra", ["out/f", "out/none/n.txt"])
def test_one_path_opens_nothing_beside_it(space: Path, journal: Journal, new, tmp_path: Path, extra: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f").write_text("f")
    roots = [str(space), str(tmp_path / extra)]
    for name in ("out/g", "beside", "out/none/other"):
        with pytest.raises(StoreError, match="outside"):
            carried(journal, space, Change("write", str(tmp_path / name), content=new("x"), before=""), roots=roots)
    assert sorted(os.listdir(tmp_path / "out")) == ["f"]
    with pytest.raises(StoreError, match="outside"):
        carried(journal, space, Change("trash", str(space)), roots=roots)


def test_through_a_link_that_leads_out(space: Path, journal: Journal, new, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (space / "way").symlink_to(tmp_path / "out")
    change = Change("write", str(space / "way" / "n"), content=new("x"), before="")
    with pytest.raises(StoreError):
        carried(journal, space, change, roots=[str(space)])
    carried(journal, space, change)
    assert (tmp_path / "out" / "n").read_text() == "x"


def test_the_floor_holds_outside_too(isolated: Path, space: Path, journal: Journal, new) -> None:
    with pytest.raises(StoreError, match="must not be changed"):
        carried(journal, space, Change("write", str(isolated / ".bashrc"), content=new("evil"), before=""))
    assert not (isolated / ".bashrc").exists()


@pytest.mark.parametrize("target", ["docs", "../out"])
def test_a_link_that_becomes_a_folder(space: Path, journal: Journal, new, tmp_path: Path, target: str) -> None:
    (tmp_path / "out").mkdir()
    (space / "l").symlink_to(target)
    os.utime(space / "l", ns=(5 * 10**17, 5 * 10**17), follow_symlinks=False)
    before, aim = tree(space), (space / target).stat().st_mtime_ns
    changes = (
        Change("make_folder", str(space / "l")),
        Change("write", str(space / "l" / "q"), content=new("1"), before=""),
        Change("trash", str(space / "l")),
    )
    carried(journal, space, *changes, roots=[str(space)])
    assert (space / "l" / "q").read_text() == "1" and not (space / "l").is_symlink()
    assert (space / target).stat().st_mtime_ns == aim and not (space / target / "q").exists()
    assert not journal.undo().conflicts
    assert tree(space) == before and (space / target).stat().st_mtime_ns == aim


@pytest.mark.parametrize("place", ["out", "space/docs/deep", "out/none/yet"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_folder_swapped_for_a_link_since_it_was_agreed_to(
    space: Path, journal: Journal, new, tmp_path: Path, place: str, kept: bool
) -> None:
    folder, victim = tmp_path / place, tmp_path / "victim"
    if place.startswith("space"):
        folder = space / "swapped" / "deep"
    if not place.endswith("yet"):
        folder.mkdir(parents=True)
    victim.mkdir()
    (victim / "n").write_text("theirs")
    change = Change("write", str(folder / ("n" if kept else "m")), content=new("x"))
    pinned = reach([change], space)
    if folder.exists():
        folder.rmdir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(victim)
    with pytest.raises(Conflict, match="leads elsewhere"):
        journal.commit([change], pinned, session="s", call="c", label="x")
    assert os.listdir(victim) == ["n"] and (victim / "n").read_text() == "theirs" and journal.steps() == []


def test_a_link_to_another_place_inside_is_noticed_too(space: Path, journal: Journal, new) -> None:
    (space / "one").mkdir()
    (space / "two").mkdir()
    change = Change("write", str(space / "one" / "n"), content=new("x"), before="")
    pinned = reach([change], space)
    (space / "one").rmdir()
    (space / "one").symlink_to("two")
    with pytest.raises(Conflict, match="leads elsewhere"):
        journal.commit([change], pinned, session="s", call="c", label="x")
    assert os.listdir(space / "two") == []


def test_what_was_not_pinned_is_not_carried_out(space: Path, journal: Journal, new) -> None:
    pinned = reach([Change("make_folder", str(space / "m"))], space)
    with pytest.raises(StoreError, match="agreed"):
        journal.commit([Change("make_folder", str(space / "n"))], pinned, session="s", call="c", label="x")
