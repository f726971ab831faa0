"""One session, one process that writes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from localagent.errors import StoreError
from localagent.events import Notice
from localagent.store.transcript import Transcript


def test_two_processes_do_not_write_one_session() -> None:
    code = (
        "import sys; from localagent.store.transcript import Transcript; from localagent.events import Notice\n"
        "log = Transcript('held'); log.append(Notice('mine')); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="open in another localagent"):
            Transcript("held").append(Notice("yours"))
        with pytest.raises(StoreError, match="sessions fork"):
            Transcript("held").claim()
    finally:
        other.communicate()
    Transcript("held").append(Notice("later"))
    assert [event.text for event in Transcript("held").read()] == ["mine", "later"]


def test_one_process_may_go_on_with_its_own_session() -> None:
    first, second = Transcript("mine"), Transcript("mine")
    first.append(Notice("one"))
    second.append(Notice("two"))
    assert len(list(first.read())) == 2
