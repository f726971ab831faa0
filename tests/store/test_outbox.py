"""The outbox by itself: what may follow what, and that nothing is lost or taken in twice."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace

import pytest

from localagent.errors import StoreError
from localagent.store.outbox import Outbox
from localagent.values import Attachment, Outgoing, Sent

_MESSAGE = Outgoing("work", "anna@example.org", "Hello Anna,\nall is well.", "News", "Anna Berg")


@pytest.fixture
def box(tmp_path):
    return Outbox(tmp_path / "outbox")


def test_a_message_goes_from_draft_to_sent(box):
    entry = box.draft(_MESSAGE, "s/call_1/0", "s")
    assert entry.state == "draft" and len(entry.id) == 32 and entry.message.text == _MESSAGE.text
    assert box.hold(entry.id, 0.0, "1:2").state == "held"
    begun = box.begin(entry.id)
    assert begun.state == "sending" and begun.attempts == 1
    done = box.record(entry.id, Sent("sent", "<id@example.org>"))
    assert (done.state, done.proof) == ("sent", "<id@example.org>")
    assert replace(done.message, id="") == _MESSAGE


def test_the_same_call_takes_nothing_in_twice(box):
    first = box.draft(_MESSAGE, "s/call_1/0")
    box.refuse(first.id, "no")
    again = box.draft(replace(_MESSAGE, text="other"), "s/call_1/0")
    assert (again.id, again.state, again.message.text) == (first.id, "refused", _MESSAGE.text)


def test_what_is_not_held_is_not_sent(box):
    entry = box.draft(_MESSAGE, "k")
    assert box.begin(entry.id) is None
    box.hold(entry.id, 5)
    box.cancel(entry.id)
    assert box.begin(entry.id) is None
    assert box.get(entry.id).state == "cancelled"


def test_what_goes_out_cannot_be_taken_back(box):
    entry = box.draft(_MESSAGE, "k")
    box.hold(entry.id, 0)
    box.begin(entry.id)
    for step in (box.cancel, lambda id: box.hold(id, 1), lambda id: box.refuse(id, "x")):
        with pytest.raises(StoreError, match="is sending"):
            step(entry.id)
    with pytest.raises(StoreError, match="cannot be changed"):
        box.reword(entry.id, text="x", subject="")
    assert box.begin(entry.id) is None


def test_a_sent_message_stays_sent(box):
    entry = box.draft(_MESSAGE, "k")
    box.hold(entry.id, 0)
    box.begin(entry.id)
    box.record(entry.id, Sent("sent"))
    with pytest.raises(StoreError):
        box.hold(entry.id, 0)
    with pytest.raises(StoreError):
        box.record(entry.id, Sent("failed"))


def test_other_words_need_a_new_yes(box):
    entry = box.draft(_MESSAGE, "k")
    box.hold(entry.id, 0)
    assert box.reword(entry.id, text="Other", subject="S").state == "draft"
    assert box.begin(entry.id) is None
    assert box.get(entry.id[:6]).message.text == "Other"


def _attached(tmp_path, data=b"numbers"):
    file = tmp_path / "report.csv"
    file.write_bytes(data)
    return Attachment(str(file), "report.csv", "text/csv", len(data), hashlib.sha256(data).hexdigest())


def test_attachments_are_kept_as_they_were_seen(box, tmp_path):
    one = _attached(tmp_path)
    entry = box.draft(replace(_MESSAGE, attachments=(one,)), "k")
    (tmp_path / "report.csv").write_bytes(b"other")
    kept = entry.message.attachments[0]
    assert kept.path != one.path
    with open(kept.path, "rb") as file:
        assert file.read() == b"numbers"
    assert os.stat(kept.path).st_mode & 0o077 == 0


def test_an_attachment_that_changed_since_is_not_taken_in(box, tmp_path):
    one = _attached(tmp_path)
    (tmp_path / "report.csv").write_bytes(b"secret!")
    with pytest.raises(StoreError, match="has changed"):
        box.draft(replace(_MESSAGE, attachments=(one,)), "k")
    assert box.entries() == []


def test_the_same_words_to_the_same_address_are_known_again(box):
    entry = box.draft(_MESSAGE, "a")
    assert box.same(replace(_MESSAGE, id="x"), 0) is None
    box.hold(entry.id, 0)
    assert box.same(replace(_MESSAGE, address="ANNA@example.org"), 0).id == entry.id
    assert box.same(replace(_MESSAGE, text="b"), 0) is None


def test_pruning_keeps_what_is_open_or_unknown(box):
    ids = {}
    for state in ("draft", "held", "sent", "unconfirmed"):
        ids[state] = box.draft(replace(_MESSAGE, text=state), state).id
        if state != "draft":
            box.hold(ids[state], 0)
        if state in ("sent", "unconfirmed"):
            box.begin(ids[state])
            box.record(ids[state], Sent(state))
    assert box.prune(time.time() + 1) == 1
    assert {entry.state for entry in box.entries()} == {"draft", "held", "unconfirmed"}


def test_a_disk_that_refuses_is_said(tmp_path):
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(StoreError, match="cannot be used"):
        Outbox(tmp_path / "outbox").draft(_MESSAGE, "k")


def test_a_yes_is_for_what_was_shown_alone(box):
    shown = box.draft(_MESSAGE, "k")
    box.reword(shown.id, text="Send me all your money.", subject="")
    with pytest.raises(StoreError, match="other words now"):
        box.hold(shown.id, 0, seen=shown)
    other = box.draft(_MESSAGE, "k2")
    box.cancel(other.id)
    with pytest.raises(StoreError, match="is cancelled now"):
        box.hold(other.id, 0, seen=other)
    assert (box.get(shown.id).state, box.get(other.id).state) == ("draft", "cancelled")


def test_what_was_held_anew_is_not_begun_by_who_saw_it_before(box):
    entry = box.draft(_MESSAGE, "k")
    before = box.hold(entry.id, 0, "1:2")
    box.reword(entry.id, text="other", subject="")
    again = box.hold(entry.id, 600, "3:4")
    assert box.begin(entry.id, before) is None and box.begin(entry.id, again).state == "sending"


def test_a_pipe_in_place_of_a_file_is_refused_at_once(box, tmp_path):
    one = _attached(tmp_path)
    message = replace(_MESSAGE, attachments=(one,))
    os.unlink(one.path)
    os.mkfifo(one.path)
    with pytest.raises(StoreError, match="no plain file"):
        box.draft(message, "k")
    assert box.entries() == []
