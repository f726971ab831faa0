"""Old originals are dropped, oldest first; the list of steps and everything younger stay."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import prune
from localagent.store.journal import Journal
from localagent.store.transcript import sessions_dir
from localagent.values import Change
from tests.store.support import commit

DAY = 86_400


def rewrite(journal: Journal, space: Path, new, texts: str) -> None:
    for text in texts:
        change = Change("write", str(space / "a.txt"), content=new(text * 5000))
        journal.commit([change], [space], session=text, call="c", label="test")


def aged(journal: Journal, number: int, days: float) -> None:
    file = journal._steps.place(number) / "record.json"
    record = json.loads(file.read_text())
    record["step"]["at"] = record["turned"] = time.time() - days * DAY
    file.write_text(json.dumps(record))


def later(journal: Journal) -> None:
    os.utime(journal._folder / "pruned", (time.time() - DAY,) * 2)


def states(journal: Journal) -> list[str]:
    return [step.state for step in reversed(journal.steps())]


def test_originals_older_than_a_month_are_dropped(space: Path, journal: Journal, new) -> None:
    rewrite(journal, space, new, "xyz")
    commit(journal, space, Change("make_folder", str(space / "made")))
    for number in (1, 4):
        aged(journal, number, 31)
    commit(journal, space, Change("make_folder", str(space / "last")))
    aged(journal, 2, 29)
    assert journal.recover() == []
    assert states(journal) == ["expired", "done", "done", "done", "done"]
    assert os.listdir(journal._steps.place(1)) == ["record.json"]
    with pytest.raises(StoreError, match="too old"):
        journal.undo(1)
    assert [journal.undo(number).conflicts for number in (4, 3, 2)] == [(), (), ()]
    assert (space / "a.txt").read_text() == "x" * 5000


def test_too_much_is_dropped_oldest_first(space: Path, journal: Journal, new, monkeypatch) -> None:
    rewrite(journal, space, new, "wxyz")
    for number in (1, 2, 3, 4):
        aged(journal, number, 2)
    monkeypatch.setattr(prune, "BYTES", 20_000)
    journal.recover()
    # The smallest original, eight bytes of a first version, is in the oldest step.
    assert states(journal) == ["expired", "expired", "done", "done"]
    assert not journal.undo().conflicts


def test_what_was_just_done_is_kept_however_large(space: Path, journal: Journal, new, monkeypatch) -> None:
    rewrite(journal, space, new, "xyz")
    aged(journal, 1, 2)
    monkeypatch.setattr(prune, "BYTES", 1)
    journal.recover()
    assert states(journal) == ["expired", "done", "done"]
    later(journal)
    for number in (2, 3):
        aged(journal, number, 400)
    journal.recover(tidy=False)
    assert states(journal) == ["expired", "done", "done"]
    journal.recover()
    assert states(journal) == ["expired", "expired", "done"]
    assert not journal.undo().conflicts and (space / "a.txt").read_text() == "y" * 5000


def test_it_is_looked_at_once_in_a_while(space: Path, journal: Journal, new) -> None:
    rewrite(journal, space, new, "xy")
    journal.recover()
    aged(journal, 1, 40)
    journal.recover()
    assert states(journal) == ["done", "done"]
    later(journal)
    journal.recover()
    assert states(journal) == ["expired", "done"]


def test_what_is_in_the_desktop_trash_stays(space: Path, journal: Journal, isolated: Path) -> None:
    commit(journal, space, Change("trash", str(space / "a.txt")))
    aged(journal, 1, 400)
    journal.recover()
    assert states(journal) == ["done"] and not journal.undo().conflicts


def test_leftovers_are_swept_by_age(tmp_path: Path) -> None:
    for name, age in (("call-a", 2), ("call-b", 0.5), ("other", 9)):
        (tmp_path / name / "in").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age * DAY,) * 2)
    prune.sweep(tmp_path, "call-*")
    assert sorted(os.listdir(tmp_path)) == ["call-b", "other"]


def test_outputs_of_old_sessions_go_and_their_transcripts_stay(space: Path, journal: Journal, new) -> None:
    rewrite(journal, space, new, "x")
    folder = sessions_dir() / "20200101-000000-aaaa"
    (folder / "spill").mkdir(parents=True)
    for path in (folder / "spill" / "old.txt", folder / "spill" / "new.txt", folder / "transcript.jsonl"):
        path.write_text("x")
        os.utime(path, (time.time() - (1 if path.name == "new.txt" else 31) * DAY,) * 2)
    journal.recover()
    assert sorted(path.name for path in folder.rglob("*.*")) == ["new.txt", "transcript.jsonl"]


def test_what_never_became_a_step_goes_after_a_day(space: Path, journal: Journal, new) -> None:
    rewrite(journal, space, new, "x")
    for number, age in ((7, 2), (8, 0.5)):
        (journal._steps.place(number) / "kept-0").mkdir(parents=True)
        os.utime(journal._steps.place(number), (time.time() - age * DAY,) * 2)
    journal.recover()
    assert sorted(os.listdir(journal._steps.folder)) == ["000001", "000008"]
