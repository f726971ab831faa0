"""`undo`, `redo`, `changes`: what they print, what they return, what they restore."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.commands import undo
from localagent.errors import StoreError, UsageError
from localagent.values import Change


def call(configure: Callable, run: Callable, *argv: str) -> int:
    parser = argparse.ArgumentParser()
    configure(parser)
    return run(parser.parse_args(argv))


def do_undo(*argv: str) -> int:
    return call(undo.configure_undo, undo.run_undo, *argv)


def do_redo(*argv: str) -> int:
    return call(undo.configure_redo, undo.run_redo, *argv)


def do_changes(*argv: str) -> int:
    return call(undo.configure_changes, undo.run_changes, *argv)


@pytest.fixture
def work(isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which two steps were made: notes.txt written, then old.txt deleted and a folder made."""
    root = isolated / "work"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / "old.txt").write_text("old")
    (tmp_path / "content").write_text("new")
    journal = undo.open_journal()
    write = Change("write", str(root / "notes.txt"), content=str(tmp_path / "content"), before="")
    journal.commit([write], [root], session="s", call="1", label="write_file notes.txt")
    more = [Change("trash", str(root / "old.txt")), Change("make_folder", str(root / "a\x1b[2J"))]
    journal.commit(more, [root], session="s", call="2", label="run tidy")
    return root


def test_undo_and_redo_one_by_one(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert do_undo() == 0
    assert "Undid step 2: run tidy" in (said := capsys.readouterr().out) and "~/work/old.txt" in said
    assert "\x1b" not in said and (work / "old.txt").read_text() == "old"
    assert do_undo() == 0 and not (work / "notes.txt").exists()
    assert do_undo() == 1 and "nothing to undo" in capsys.readouterr().err
    assert do_redo() == 0 and (work / "notes.txt").read_text() == "new"
    assert do_redo() == 0 and not (work / "old.txt").exists()
    assert do_redo() == 1 and "nothing to redo" in capsys.readouterr().err


def test_undo_of_an_older_step(work: Path) -> None:
    assert do_undo("--step", "1") == 0
    assert not (work / "notes.txt").exists() and not (work / "old.txt").exists()
    with pytest.raises(StoreError, match="step 1 is undone"):
        do_undo("--step", "1")
    with pytest.raises(StoreError, match="no step 9"):
        do_changes("--step", "9")


def test_only_what_was_changed_here_is_undone_by_itself(work: Path, tmp_path: Path, monkeypatch) -> None:
    other = work.parent / "other"
    (other / "deep").mkdir(parents=True)
    journal = undo.open_journal()
    theirs = Change("make_folder", str(other / "deep" / "x"))
    journal.commit([theirs], [other], session="s", call="3", label="make_folder x")
    assert do_undo() == 0 and (other / "deep" / "x").exists() and (work / "old.txt").exists()
    assert do_redo() == 0 and not (work / "old.txt").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"latest step, 3 \(make_folder x\), changed .*/other/deep\. .*--step 3"):
        do_undo()
    monkeypatch.chdir(other)
    assert do_undo() == 0 and not (other / "deep" / "x").exists()
    with pytest.raises(StoreError, match=r"nothing to undo in .*/other: the latest step, 2"):
        do_undo()


def test_what_cannot_be_undone_is_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = undo.open_journal()
    (journal._folder / "steps" / "000002" / "record.json").write_text("[]")
    assert do_changes() == 0
    second, first = capsys.readouterr().out.splitlines()
    assert "its record is damaged" in second and "cannot be undone" in second and "notes.txt" in first
    assert do_undo() == 0 and not (work / "notes.txt").exists()
    stuck = undo.Step(7, (Change("trash", "/gone/x/y"),), 0.0, "run", state="stuck")
    assert "/gone/x cannot be reached" in stuck.recovery and "--step 7" in stuck.recovery


def test_a_conflict_is_told_and_force_restores_the_rest(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "old.txt").write_text("mine")
    assert do_undo() == 1
    said = capsys.readouterr()
    assert "exists again" in said.err and "--force" in said.err and "left as it is" in said.err and not said.out
    assert do_undo("--force") == 1
    assert (work / "old.txt").read_text() == "mine" and sorted(p.name for p in work.iterdir()) == [
        "notes.txt",
        "old.txt",
    ]


def test_changes_for_people(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    do_undo()
    capsys.readouterr()
    assert do_changes() == 0
    second, first = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "1" and "made ~/work/notes.txt" in first and "(undone)" not in first
    assert "deleted 1, made the folder 1" in second and "(undone)" in second
    assert do_changes("--step", "2") == 0
    said = capsys.readouterr().out
    assert "deleted ~/work/old.txt" in said and "made the folder ~/work/a\\x1b[2J" in said


def test_changes_for_programs(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert do_changes("--json") == 0
    steps = json.loads(capsys.readouterr().out)
    assert [step["number"] for step in steps] == [2, 1] and steps[1]["label"] == "write_file notes.txt"
    assert steps[0]["changes"][0] == {"op": "trash", "path": str(work / "old.txt")}
    assert do_changes("--json", "--limit", "1") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_nothing_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert do_changes() == 0 and "Nothing has been changed" in capsys.readouterr().out
    assert do_changes("--json") == 0 and json.loads(capsys.readouterr().out) == []
    assert do_undo() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Change("edit", "/x/a", before="1"), "changed /x/a"),
        (Change("move", "/x/a", dest="/x/b"), "moved /x/a to /x/b"),
        (Change("copy", "/x/a", dest="/x/b"), "copied /x/a to /x/b"),
        (Change("chmod", "/x/a", mode=0o755), "set the permissions of /x/a to 755"),
        (Change("link", "/x/a", content="b"), "linked /x/a to b"),
        (Change("write", "/x/a", before="1"), "wrote /x/a"),
    ],
)
def test_sentences(change: Change, sentence: str) -> None:
    assert undo.sentence(change) == sentence


def test_a_forced_undo_that_can_restore_nothing_leaves_the_step_as_it_is(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "notes.txt").write_text("mine")
    assert do_undo("--step", "1", "--force") == 1
    said = capsys.readouterr()
    assert "could be restored" in said.err and "--force" not in said.err and not said.out
    assert do_changes("--step", "1") == 0 and "(undone)" not in capsys.readouterr().out
    (work / "notes.txt").write_text("new")
    assert do_undo("--step", "1") == 0 and not (work / "notes.txt").exists()
    assert "Removed:\n  ~/work/notes.txt" in (said := capsys.readouterr().out) and "Restored" not in said


def test_a_folder_that_stays_does_not_make_a_blocked_step_undone(work: Path, tmp_path: Path) -> None:
    journal = undo.open_journal()
    change = Change("write", str(work / "in" / "f"), content=str(tmp_path / "content"), before="")
    journal.commit([change], [work], session="s", call="3", label="write")
    (work / "in" / "f").write_text("mine")
    done = journal.undo(3, force=True)
    assert not done.restored and done.conflicts and journal.step(3).state == "done"
    (work / "in" / "f").write_text("new")
    assert not journal.undo(3).conflicts and not (work / "in").exists()


def test_a_conflict_names_the_later_steps(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = undo.open_journal()
    out = work.parent / "out"
    out.mkdir()
    (tmp_path / "later").write_text("later")
    move = Change("move", str(work / "notes.txt"), dest=str(out / "n"))
    journal.commit([move], [work, out], session="s", call="3", label="move")
    edit = Change("write", str(out / "n"), content=str(tmp_path / "later"))
    journal.commit([edit], [out], session="s", call="4", label="edit")
    assert do_undo() == 1
    assert "changed since: undo step 4 first" in capsys.readouterr().err
    assert do_undo("--step", "4") == 0 and do_undo() == 0 and (work / "notes.txt").read_text() == "new"


def test_no_label_reaches_the_terminal_raw(work: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    journal = undo.open_journal()
    made = Change("make_folder", str(work / "z"))
    journal.commit([made], [work], session="s", call="3", label="run \x1b[2J\nFAKE \x9b31m")
    assert do_undo() == 0 and do_redo() == 0 and do_changes() == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x9b" not in said and "\nFAKE" not in said and r"run \x1b[2J\nFAKE" in said
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as refused:
        do_undo()
    assert "\x1b" not in str(refused.value)


def test_one_file_of_a_step(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert do_undo("--file", "old.txt") == 0 and (work / "old.txt").read_text() == "old"
    assert (work / "a\x1b[2J").is_dir() and "only old.txt" in capsys.readouterr().out
    assert do_changes("--file", "old.txt") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "deleted ~/work/old.txt" in line and "(undone)" in line
    assert do_redo("--file", str(work / "old.txt")) == 0 and not (work / "old.txt").exists()
    with pytest.raises(StoreError, match="no step has changed"):
        do_undo("--file", "elsewhere.txt")


def test_one_file_is_had_back_over_what_it_holds_now(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "old.txt").write_text("mine")
    assert do_undo("--file", "old.txt") == 1 and "--overwrite" in capsys.readouterr().err
    assert do_undo("--file", "old.txt", "--overwrite") == 0 and (work / "old.txt").read_text() == "old"
    said = capsys.readouterr()
    assert "Put back ~/work/old.txt" in said.out and "localagent undo --step" in said.err
    assert do_undo() == 0 and (work / "old.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="for one file"):
        do_undo("--overwrite")


def test_changes_of_one_session_and_what_undo_costs(work: Path, tmp_path: Path, capsys) -> None:
    journal = undo.open_journal()
    journal.commit([Change("make_folder", str(work / "z"))], [work], session="t", call="3", label="make z")
    assert do_changes("--session", "s") == 0
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["2", "1"]
    assert "of 2,048 MB (setting undo_mb)" in said.err and "never those of the newest session" in said.err


def test_what_could_not_be_brought_back_is_said(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = work / "gone.txt"
    done = undo.Undone(undo.open_journal().step(1), (str(work / "notes.txt"),), left=(str(work), str(gone)))
    assert undo._report(done, "Undid", "Restored", "") == 1
    said = capsys.readouterr()
    assert "gone.txt could not be brought back" in said.err and "Kept, because" in said.out
