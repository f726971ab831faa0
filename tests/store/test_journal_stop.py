"""A commit that is told to stop before it began changes nothing, and does not wait."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import plan
from localagent.store.journal import Journal
from localagent.values import Change
from tests.store.support import leftovers, tree


def stopped(journal: Journal, space: Path, stop: threading.Event, *changes: Change) -> None:
    with pytest.raises(StoreError, match="Interrupted, nothing was changed"):
        journal.commit(changes, [space], session="s", call="c", label="x", stop=stop)


def test_the_wait_for_another_process_ends(space: Path, journal: Journal) -> None:
    journal._folder.mkdir(parents=True, exist_ok=True)
    held = os.open(journal._folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    stop, started = threading.Event(), time.monotonic()
    threading.Timer(0.2, stop.set).start()
    try:
        stopped(journal, space, stop, Change("make_folder", str(space / "m")))
    finally:
        os.close(held)
    assert time.monotonic() - started < 2 and not (space / "m").exists()


def test_between_two_contents(space: Path, journal: Journal, new, monkeypatch: pytest.MonkeyPatch) -> None:
    before, stop = tree(space), threading.Event()
    content = plan.Plan._content

    def then_stop(self: plan.Plan, *args: object) -> None:
        content(self, *args)
        stop.set()

    monkeypatch.setattr(plan.Plan, "_content", then_stop)
    changes = [Change("write", str(space / name), content=new("x"), before="") for name in ("n1", "n2")]
    stopped(journal, space, stop, *changes)
    assert tree(space) == before and leftovers(space) == [] and journal.steps() == []


def test_a_commit_that_nobody_stops(space: Path, journal: Journal) -> None:
    change = Change("make_folder", str(space / "m"))
    journal.commit([change], [space], session="s", call="c", label="x", stop=threading.Event())
    assert (space / "m").is_dir()
