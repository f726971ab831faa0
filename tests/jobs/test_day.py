"""A day of simulated time: 50 jobs and 500 messages, in seconds."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from localagent.jobs import cron, times
from localagent.store.jobs import Trigger
from localagent.values import Incoming

from .support import START, Desk, desk

pytestmark = pytest.mark.slow

DAY = 86400.0
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")


def _crons(text: str, zone: str) -> list[float]:
    """By looking at every minute of the day."""
    made, clock, found = cron.read(text), times.zone(zone), []
    for minute in range(1, 1441):
        at = START + minute * 60 - START % 60
        wall = datetime.fromtimestamp(at, clock)
        if made.on(wall.date()) and wall.hour in made.hours and wall.minute in made.minutes and START < at <= START + DAY:
            found.append(at)
    return found


def _fill(d: Desk) -> dict[str, list[float]]:
    """50 jobs; when each of those with times must run."""
    expected: dict[str, list[float]] = {}
    for n in range(15):
        seconds = 1800.0 + 613 * n
        d.every(f"every{n}", seconds)
        expected[f"every{n}"] = [START + seconds * k for k in range(1, int(DAY // seconds) + 1)]
    for n in range(15):
        text, zone = f"{7 * n % 60} {n}-23/{n % 5 + 1} * * *", ZONES[n % 4]
        trigger = Trigger("cron", text, zone=zone)
        d.add(f"cron{n}", trigger, times.following(trigger, START, START))
        expected[f"cron{n}"] = _crons(text, zone)
    for n in range(5):
        d.add(f"at{n}", Trigger("at", zone="UTC"), START + 5000.0 * (n + 1))
        expected[f"at{n}"] = [START + 5000.0 * (n + 1)]
    for n in range(8):
        d.add(f"mail{n}", Trigger("mail", "", 120.0, sender=f"s{n}@example.org"), cursor="0")
    # These wait for something that does not happen.
    for n in range(3):
        d.place.outputs[f"cmd{n}"] = "the same"
        d.add(f"output{n}", Trigger("output", f"cmd{n}", 300.0))
    for n in range(3):
        d.add(f"exit{n}", Trigger("exit", "", 60.0, pid=n + 1))
    d.add("never", Trigger("mail", "", 120.0, sender="nobody@example.org"), cursor="0")
    return expected


def _arrivals() -> list[tuple[float, Incoming]]:
    chosen = random.Random(3)
    made = []
    for n in range(500):
        at = START + chosen.random() * (DAY - 1800)
        sender = f"s{chosen.randrange(10)}@example.org"
        made.append((at, Incoming(f"id{n}", "mail", sender, "", f"text {n}", at, f"subject {n}", "")))
    return sorted(made, key=lambda one: one[0])


def test_no_run_is_missed_or_doubled(tmp_path: Path) -> None:
    d = desk(tmp_path)
    expected, arrivals, sizes = _fill(d), _arrivals(), []
    assert len(d.store.all()) == 50
    senders = {one.sender for _, one in arrivals}

    def each(now: float) -> None:
        while arrivals and arrivals[0][0] <= now:
            at, message = arrivals.pop(0)
            d.place.inbox.take("mail", [message], "", at)

    async def day() -> None:
        for _ in range(4):
            # Ended and begun anew four times, as a service is.
            await d.go(DAY / 4, each)
            gc.collect()
            sizes.append(len(gc.get_objects()) - 3 * len(d.runner.runs))

    d.runner.seconds = 2.0
    asyncio.run(day())
    for id, wanted in expected.items():
        found = [at for at in d.runner.times(id)]
        assert len(found) == len(wanted), id
        # Two run at once and each takes 2 s, so one waits for a few others at the most.
        assert all(0 <= at - due < 60 for at, due in zip(found, wanted, strict=True)), id
    mailed = [(id, run) for _, id, run in d.runner.runs if id.startswith("mail")]
    read = [(id, int(number)) for id, run in mailed for number in re.findall(r"^text (\d+)$", run.delta, re.M)]
    assert len(read) == len(set(read)) == sum(_count(d, f"s{n}@example.org") for n in range(8)) > 300
    assert {"s8@example.org", "s9@example.org"} < senders
    # Nothing happened for these, so nothing ran: the model was not called.
    assert not {id for _, id, _ in d.runner.runs if id.startswith(("output", "exit", "never"))}
    states = [state for kept in d.store.all() for state in d.states(kept.job.id)]
    # One that was going on when the service ended is told as stopped, and is not done again.
    assert states.count("done") + states.count("stopped") == len(states) and states.count("stopped") <= 4
    # But for the test's own list of runs nothing grows: as many objects after a quarter of the day as after all of it.
    assert sizes[-1] - sizes[0] < 500, (sizes, len(d.runner.runs))


def _count(d: Desk, sender: str) -> int:
    return len(d.place.inbox.search(sender=sender, limit=1000))


def test_the_clocks_change_within_the_day(tmp_path: Path) -> None:
    begin = datetime(2026, 10, 24, 23, tzinfo=times.zone("Europe/Berlin"))
    d = desk(tmp_path, begin.timestamp())
    daily, often = (Trigger("cron", text, zone="Europe/Berlin") for text in ("30 2 * * *", "*/30 * * * *"))
    d.add("daily", daily, times.following(daily, 0, d.clock.now()))
    d.add("often", often, times.following(often, 0, d.clock.now()))
    asyncio.run(d.go(timedelta(hours=6).total_seconds()))
    assert len(d.runner.times("daily")) == 1
    # 23:30 to 2:30 in the first pass, and 3:00 to 4:00 in winter time: nothing in the second pass.
    assert len(d.runner.times("often")) == 10
