"""Who sends, when, and what follows from each end of an attempt."""

from __future__ import annotations

import asyncio
import functools
import time
from datetime import datetime

import pytest

from localagent.channels import sender
from localagent.channels.base import Health
from localagent.channels.sender import Pace, Sender, alive, left_over, me
from localagent.errors import ChannelError
from localagent.store.outbox import Outbox
from localagent.values import Outgoing, Sent

_MESSAGE = Outgoing("work", "anna@example.org", "Hello")


def asynced(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


class Fake:
    name, kind = "work", "fake"

    def __init__(self, *ends, idempotent=False, found=None):
        self.ends, self.idempotent, self.found = list(ends), idempotent, found
        self.sent: list[str] = []

    async def send(self, message):
        self.sent.append(message.id)
        end = self.ends.pop(0) if self.ends else Sent("sent", "proof")
        if isinstance(end, BaseException):
            raise end
        if isinstance(end, float):
            await asyncio.sleep(end)
            return Sent("sent")
        return end

    async def find(self, message):
        return self.found

    async def probe(self):
        return Health(True, "")

    async def aclose(self): ...


@pytest.fixture
def box(tmp_path):
    return Outbox(tmp_path / "outbox")


def _held(box, key="k", seconds=0.0, owner=None, text="Hello"):
    entry = box.draft(Outgoing("work", "anna@example.org", text), key)
    return box.hold(entry.id, seconds, me() if owner is None else owner)


def _sender(box, channel, pace=Pace()):
    async def of(name):
        if channel is None:
            raise ChannelError("There is no channel.")
        return channel

    return Sender(box, of, pace)


@asynced
async def test_what_is_due_is_sent_once(box):
    entry, channel = _held(box), Fake()
    done = await _sender(box, channel).wait_for([entry.id])
    assert (done[0].state, done[0].proof) == ("sent", "proof")
    assert not await _sender(box, channel).run_once()
    assert channel.sent == [entry.id]


@asynced
async def test_what_is_not_due_waits_and_can_be_taken_back(box):
    entry, channel = _held(box, seconds=60), Fake()
    await _sender(box, channel).run_once()
    assert box.cancel(entry.id).state == "cancelled" and channel.sent == []


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (Sent("failed", detail="550"), "failed"),
        (Sent("unconfirmed"), "unconfirmed"),
        (Sent("handed over"), "handed over"),
        (RuntimeError("a plugin's mistake"), "unconfirmed"),
    ],
)
@asynced
async def test_every_end_is_told_as_what_it_is(box, end, state):
    entry, channel = _held(box), Fake(end)
    done = await _sender(box, channel).wait_for([entry.id])
    assert done[0].state == state
    await _sender(box, channel).run_once()
    assert len(channel.sent) == 1


@asynced
async def test_a_passing_failure_is_tried_again_later(box):
    entry, channel = _held(box), Fake(Sent("failed", again=True, detail="busy"))
    await _sender(box, channel).run_once()
    held = box.get(entry.id)
    assert held.state == "held" and held.due > time.time() + 20 and held.detail == "busy"


@asynced
async def test_interrupted_it_may_have_left(box):
    entry, channel = _held(box), Fake(30.0)
    task = asyncio.create_task(_sender(box, channel).wait_for([entry.id]))
    while not channel.sent:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert box.get(entry.id).state == "unconfirmed"


def _left_sending(box):
    entry = _held(box, owner="1:0")
    box.begin(entry.id)
    return entry


@pytest.mark.parametrize(
    ("channel", "state", "sends"),
    [
        (Fake(), "unconfirmed", 0),
        (Fake(found=Sent("sent", "there")), "sent", 0),
        (Fake(found=Sent("failed", detail="never came")), "failed", 0),
        (Fake(idempotent=True), "sent", 1),
        (None, "unconfirmed", 0),
    ],
)
@asynced
async def test_a_message_of_a_dead_sender(box, channel, state, sends):
    entry = _left_sending(box)
    await _sender(box, channel).run_once()
    assert box.get(entry.id).state == state
    assert channel is None or channel.sent == [entry.id] * sends


@asynced
async def test_a_dead_process_message_is_left_for_a_person(box):
    entry, channel = _held(box, owner="1:0"), Fake()
    await _sender(box, channel).run_once()
    assert channel.sent == [] and [one.id for one in left_over(box)] == [entry.id]
    box.hold(entry.id, 0, me())
    await _sender(box, channel).run_once()
    assert channel.sent == [entry.id]


@asynced
async def test_two_senders_send_each_message_once(box):
    channel = Fake(*[0.02] * 8)
    ids = [_held(box, str(n), owner="", text=str(n)).id for n in range(8)]
    await asyncio.gather(*(_until_sent(box, _sender(box, channel), ids) for _ in range(2)))
    assert sorted(channel.sent) == sorted(ids)


async def _until_sent(box, sender, ids):
    while any(box.get(id).state in ("held", "sending") for id in ids):
        await sender.run_once()
        await asyncio.sleep(0.001)


@asynced
async def test_too_many_in_an_hour_wait(box):
    channel = Fake()
    ids = [_held(box, str(n), text=str(n)).id for n in range(4)]
    await _sender(box, channel, Pace(per_hour=2)).run_once()
    assert len(channel.sent) == 2
    late = [box.get(id) for id in ids if box.get(id).state == "held"]
    assert len(late) == 2 and all(entry.due > time.time() + 3000 and "an hour" in entry.detail for entry in late)


def test_quiet_hours_reach_over_midnight():
    pace = Pace(quiet=(22 * 3600, 7 * 3600))
    at = lambda hour: time.mktime((2026, 5, 4, hour, 30, 0, 0, 0, -1))  # noqa: E731
    assert pace.later(at(12), []) is None
    assert pace.later(at(23), [])[0] == time.mktime((2026, 5, 5, 7, 0, 0, 0, 0, -1))
    assert pace.later(at(3), [])[0] == time.mktime((2026, 5, 4, 7, 0, 0, 0, 0, -1))


def test_a_process_is_known_by_its_beginning():
    assert alive(me())
    assert not alive("1:0") and not alive("") and not alive(f"{me()}9")


def test_a_clock_that_was_set_back_holds_nothing_up_for_a_year(box):
    year = 365 * 86400.0
    assert Pace(2).later(1000.0, [1000.0 + year, 1001.0 + year]) is None
    entry = _held(box, seconds=10)
    assert not sender._is_due(entry, time.time()) and sender._is_due(entry, time.time() - year)


@pytest.mark.parametrize("now", ["2026-03-29 01:59:30", "2026-10-25 01:15:00"])
def test_quiet_hours_never_end_in_the_past(monkeypatch, now):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        at = datetime.fromisoformat(f"{now}+00:00" if "10-25" in now else f"{now}+01:00").timestamp()
        later = Pace(0, (22 * 3600, 2 * 3600 + 1800)).later(at, [])
        assert later is not None and later[0] >= at + 60
    finally:
        monkeypatch.undo()
        time.tzset()
