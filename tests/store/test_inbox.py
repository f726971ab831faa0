"""The inbox: each message once with its cursor, found by words, pruned, and safe between processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import attachments
from localagent.store.inbox import Inbox
from localagent.values import Incoming

ROOT = Path(__file__).resolve().parents[2]


def message(id: str, text: str = "hello", **more: object) -> Incoming:
    return Incoming(id, "work", str(more.pop("sender", "ann@b.test")), "ann@b.test", text, float(more.pop("at", 100.0)), **more)  # type: ignore[arg-type]


@pytest.fixture
def inbox():
    with Inbox() as made:
        yield made


def test_a_message_comes_back_as_it_was_and_once_only(inbox: Inbox) -> None:
    one = message("1", "Grüße", subject="Hi", name="Ann", reply_to="<x>", thread="<y> <x>", authentic=False)
    (stored,) = inbox.take("work", [one], "c1", now=5.0)
    assert inbox.get(stored.number) == stored and stored.message == one and inbox.by_id("work", "1") == stored
    assert inbox.take("work", [one], "c2") == () and inbox.cursor("work") == "c2" and inbox.count() == 1
    assert inbox.cursor("other") == "" and inbox.get(99) is None


def test_message_and_cursor_are_stored_together_or_not_at_all(inbox: Inbox) -> None:
    inbox.take("work", [message("1")], "c1")
    with pytest.raises(AttributeError):
        inbox.take("work", [message("2"), None], "c2")  # type: ignore[list-item]
    assert inbox.cursor("work") == "c1" and inbox.count() == 1


def test_odd_texts_are_stored(inbox: Inbox) -> None:
    (stored,) = inbox.take("work", [message("1", "a\0b\ud83d '\"); DROP TABLE messages; --")], "c")
    assert stored.number == inbox.search("drop table")[0].number and inbox.get(stored.number).message.text.startswith("ab?")  # type: ignore[union-attr]


def test_words_find_messages(inbox: Inbox) -> None:
    file = attachments.keep(b"x", "Rechnung_2026.pdf", "application/pdf")
    inbox.take(
        "work",
        [
            message("1", "the quarterly Müller report", subject="Numbers", at=1.0),
            message("2", "see file", attachments=(file,), sender="bob@c.test", name="Bob", at=2.0),
            message("3", "会议定于明天上午", at=3.0),
            message("4", 'say "now" OR never* ann@b.test', at=4.0),
        ],
        "c",
    )

    def found(*words: str, **more: object) -> list[str]:
        return [one.message.id for one in inbox.search(*words, **more)]  # type: ignore[arg-type]

    assert found() == ["4", "3", "2", "1"] and found(limit=2) == ["4", "3"]
    assert found("muller REPORT") == ["1"] and found("quart") == ["1"] and found("numbers report") == ["1"] and found("report bob") == []
    assert found("rechnung") == ["2"] and found("明天") == ["3"] and found('"now" OR') == ["4"] and found("ann@b.test now") == ["4"]
    assert found(sender="bob") == ["2"] and found(sender="B.TEST") == ["4", "3", "1"] and found(sender="%") == []
    assert found(since=2.0, before=4.0) == ["3", "2"] and found(channel="other") == []
    assert found("* ) NEAR (") == [] and found("-- ( *") == ["4", "3", "2", "1"]
    assert inbox.search("rechnung")[0].message.attachments == (file,)


def test_old_messages_and_their_files_go(inbox: Inbox) -> None:
    old, new = attachments.keep(b"old", "a", "text/plain"), attachments.keep(b"new", "b", "text/plain")
    day = 86400.0
    inbox.take("work", [message("1", attachments=(old,), at=0.0), message("2", attachments=(new,), at=90 * day)], "c", now=1.0)
    for file in (old, new):
        os.utime(file.path, (0, 0))
    assert inbox.prune(days=30, now=100 * day) == 1 and [one.message.id for one in inbox.search()] == ["2"]
    assert not Path(old.path).exists() and Path(new.path).exists()
    young = attachments.keep(b"young", "c", "text/plain")
    inbox.prune(days=30, now=100 * day)
    assert Path(young.path).exists()
    assert inbox.search("hello")[0].message.id == "2"


def test_the_oldest_go_until_the_rest_fits(inbox: Inbox) -> None:
    now = time.time()
    inbox.take("work", [message(str(n), "x" * 100_000, at=now - 10 + n) for n in range(10)], "c")
    assert inbox.prune(megabytes=0.35) == 7 and [one.message.id for one in inbox.search()] == ["9", "8", "7"]


def test_forgetting_a_channel_leaves_the_others(inbox: Inbox) -> None:
    inbox.take("work", [message("1")], "c")
    inbox.take("home", [message("1")], "d")
    assert inbox.forget("work") == 1 and inbox.count() == 1 and inbox.cursor("work") == "" and inbox.cursor("home") == "d"


def test_how_fresh_it_is(inbox: Inbox) -> None:
    inbox.take("work", [], "c", now=10.0)
    inbox.failed("work", "no network", now=20.0)
    state = inbox.state("work")
    assert (state.reached, state.failed, state.reason, state.cursor) == (10.0, 20.0, "no network", "c")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_only_the_owner_can_read_it(inbox: Inbox) -> None:
    inbox.take("work", [message("1")], "c")
    made = [path for path in inbox.path.parent.glob("inbox.db*")]
    assert len(made) == 3 and all(path.stat().st_mode & 0o777 == 0o600 for path in made)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(StoreError, match=r"x\.db"):
        Inbox(tmp_path / "x.db").count()
    with sqlite3.connect(tmp_path / "y.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="another version"):
        Inbox(tmp_path / "y.db").count()


_WRITER = """
import sys, time
from localagent.store.inbox import Inbox
from localagent.values import Incoming
with Inbox() as inbox:
    for n in range(int(sys.argv[2])):
        inbox.take("work", [Incoming(f"{n}", "work", "a@b", "a@b", f"word{n}", float(n))], str(n))
        if n == 20: print("going", flush=True)
"""


def _writer(count: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", _WRITER, "x", str(count)], env=environment, stdout=subprocess.PIPE)


def test_two_processes_take_in_each_message_once() -> None:
    both = [_writer(60), _writer(60)]
    for one in both:
        one.communicate(timeout=60)
        assert one.returncode == 0
    with Inbox() as inbox:
        assert inbox.count() == 60 and len(inbox.search("word5", limit=99)) == 11


def test_a_killed_process_leaves_message_and_cursor_together() -> None:
    for _ in range(int(os.environ.get("LOCALAGENT_TEST_KILLS", "2"))):
        one = _writer(1_000_000)
        assert one.stdout is not None and one.stdout.readline() == b"going\n"
        one.send_signal(signal.SIGKILL)
        one.communicate()
        with Inbox() as inbox:
            newest = inbox.search(limit=1)[0].message.id
            assert inbox.count() == int(newest) + 1 and int(inbox.cursor("work")) >= 20
            assert inbox.search(f"word{newest}")[0].message.id == newest
            inbox.forget("work")
