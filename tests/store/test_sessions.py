"""Sessions forked, put aside and named: the old transcript is never changed, and nothing is lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from localagent.errors import StoreError, UsageError
from localagent.events import MessageDone, ToolFinished, TurnEnded
from localagent.store import meta, sessions, transcript
from localagent.values import Generated, Message, Text, ToolCall, ToolResult
from tests.store.sessions_support import stored, turn


def texts(session: str) -> list[str]:
    return [e.final if isinstance(e, TurnEnded) else e.message.text for e in transcript.Transcript(session).read() if hasattr(e, "message")]


def test_a_fork_begins_with_the_first_requests() -> None:
    old = stored("one", "two", "three")
    before = (transcript.sessions_dir() / old / "transcript.jsonl").read_bytes()
    whole, part = sessions.forked(old), sessions.forked(old, 2)
    assert texts(whole) == texts(old) == ["one", "Done.", "two", "Done.", "three", "Done."]
    assert texts(part) == ["one", "Done.", "two", "Done."]
    assert meta.load(part) == meta.Meta("", old, 2) and meta.load(whole).at == 3
    assert (transcript.sessions_dir() / old / "transcript.jsonl").read_bytes() == before
    assert [row.requests for row in sessions.rows()] == [2, 3, 3]
    stored("four", session=part)
    assert texts(part)[-2:] == ["four", "Done."] and texts(old) == texts(whole)
    assert stat.S_IMODE((transcript.sessions_dir() / part / "transcript.jsonl").stat().st_mode) == 0o600


def test_a_fork_has_what_it_needs_of_the_old_one() -> None:
    log = transcript.Transcript(transcript.new_id())
    old = log.folder.name
    log.spill.mkdir(parents=True)
    (log.spill / "1.txt").write_text("all of it")
    call = ToolCall("call_1", "run", {"command": f"cat {log.spill}/1.txt"})
    result = ToolResult("call_1", (Text(f"All of it is in {log.spill}/1.txt"),), spill=f"{log.spill}/1.txt")
    for event in [*turn(old, "one"), *turn(old, "two")]:
        if isinstance(event, MessageDone):
            event = MessageDone(Message("assistant", event.message.parts, generated=Generated("sha", (1, 2))))
        log.append(event)
    log.append(ToolFinished(call, result))
    meta.rename(old, "Mine")
    forked = sessions.forked(old)
    finished = next(event for event in transcript.Transcript(forked).read() if isinstance(event, ToolFinished))
    assert finished.result.spill == str(transcript.sessions_dir() / forked / "output" / "1.txt")
    assert finished.result.spill in finished.result.text and Path(finished.result.spill).read_text() == "all of it"
    first = [e for e in transcript.Transcript(sessions.forked(old, 1)).read() if isinstance(e, MessageDone)]
    assert [event.message.generated for event in first] == [Generated("sha", (1, 2))]
    assert meta.load(forked).title == "Mine (fork)"


def test_a_torn_line_is_not_taken_over_and_what_is_unknown_is() -> None:
    old = stored("one")
    file = transcript.sessions_dir() / old / "transcript.jsonl"
    with file.open("ab") as lines:
        lines.write(b'{"event":"FromTheFuture"}\nnonsense\n{"event":"TurnSta')
    forked = sessions.forked(old)
    assert (file.parent.parent / forked / "transcript.jsonl").read_bytes().endswith(b'{"event":"FromTheFuture"}\nnonsense\n')


def test_requests_that_were_gone_back_behind_do_not_count() -> None:
    old = stored("one", "gone")
    with (transcript.sessions_dir() / old / "transcript.jsonl").open("ab") as lines:
        lines.write(b'{"event":"Rewound","to":1}\n')
    stored("two", "three", session=old)
    assert texts(sessions.forked(old, 2))[-2:] == ["two", "Done."] and texts(sessions.forked(old, 3))[-2:] == ["three", "Done."]
    with pytest.raises(UsageError, match="3 requests"):
        sessions.forked(old, 4)


@pytest.mark.parametrize("at", [4, -1])
def test_a_request_that_is_not_there_cannot_be_forked_from(at: int) -> None:
    old = stored("one", "two")
    with pytest.raises(UsageError):
        sessions.forked(old, at)
    with pytest.raises(UsageError):
        sessions.forked("nowhere")
    assert len(list(transcript.sessions_dir().iterdir())) == 1


def test_a_fork_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    old = stored("one")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"):
        sessions.forked(old)
    assert [path.name for path in transcript.sessions_dir().iterdir()] == [old]


def test_a_session_is_put_aside_and_brought_back() -> None:
    session = stored("one")
    meta.rename(session, "Mine")
    sessions.remove(session)
    with pytest.raises(UsageError):
        transcript.find(session)
    with pytest.raises(UsageError, match="was put aside"):
        sessions.restore("../sessions")
    # One of the same name, as a process makes that still writes: neither is lost.
    stored("two", session=session)
    with pytest.raises(StoreError):
        sessions.restore(session)
    with pytest.raises(StoreError, match="before"):
        sessions.remove(session)
    os.rename(transcript.sessions_dir() / session, transcript.sessions_dir() / "20260101-000000-z")
    sessions.restore(session)
    assert texts(session) == ["one", "Done."] and meta.load(session).title == "Mine"


def test_what_was_put_aside_goes_after_thirty_days_and_not_before() -> None:
    old, new = stored("one"), stored("two")
    sessions.remove(old)
    os.utime(sessions._aside() / old, (0, 0))
    sessions.remove(new)
    assert [path.name for path in sessions._aside().iterdir()] == [new]
    sessions.restore(new)


def test_a_session_at_work_is_put_aside_by_force_only() -> None:
    session = stored("one")
    log = transcript.Transcript(session)
    log.append(turn(session, "two")[0])
    with pytest.raises(UsageError, match="at work"):
        sessions.remove(session)
    sessions.remove(session, force=True)
    assert sessions.rows() == []


def test_the_draft_of_a_fork_is_no_session() -> None:
    session = stored("one")
    (transcript.sessions_dir() / ".20990101-000000-x").mkdir()
    (transcript.sessions_dir() / ".20990101-000000-x" / "transcript.jsonl").write_text("")
    assert transcript.find("last") == session and len(sessions.rows()) == 1
