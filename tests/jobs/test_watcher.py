"""One job at a time: what is missed, overlaps, fails, is cut off, or sets itself off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.jobs.running import Outcome
from localagent.jobs.watcher import MOST_AN_HOUR
from localagent.store.jobs import Jobs, Trigger
from localagent.values import Incoming

from .support import START, Desk, desk

HOUR = 3600.0


@pytest.fixture
def d(tmp_path: Path) -> Desk:
    return desk(tmp_path)


def test_what_came_while_nobody_watched_runs_once_or_not_at_all(d: Desk) -> None:
    d.every("once", HOUR)
    d.every("skip", HOUR, missed="skip")
    d.add("at", Trigger("at", zone="UTC"), START + HOUR)
    d.add("gone", Trigger("at", zone="UTC"), START + HOUR, missed="skip")
    d.clock.jump(START + 5.5 * HOUR)
    asyncio.run(d.go(60))
    assert d.states("once") == ["done"] and "4 more times since, while nobody watched" in d.store.runs("once")[0].why
    assert d.states("skip") == ["missed"] and "5 times" in d.store.runs("skip")[0].why
    assert d.states("at") == ["done"] and d.states("gone") == ["missed"]
    assert {one: d.store.get(one).state for one in ("once", "at", "gone")} == {"once": "on", "at": "done", "gone": "done"}
    asyncio.run(d.go(HOUR))
    assert d.runner.times("once")[1] == d.runner.times("skip")[0] == START + 6 * HOUR
    assert len(d.runner.times("at")) == 1


def test_a_laptop_that_slept_was_not_watching(d: Desk) -> None:
    d.every("skip", HOUR, missed="skip")

    async def night() -> None:
        task = asyncio.create_task(d.watcher().run())
        await d.clock.run(START + 600)
        d.clock.jump(START + 8 * HOUR + 600)
        await d.clock.run(START + 9 * HOUR + 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(night())
    assert d.states("skip") == ["missed", "done"] and d.runner.times("skip") == [START + 9 * HOUR]


def test_a_job_has_one_run_at_a_time(d: Desk) -> None:
    d.runner.seconds = 2.5 * 60
    d.every("job", 60)
    asyncio.run(d.go(6 * 60 + 40))
    assert d.states("job") == ["done", "skipped", "skipped", "done", "skipped", "skipped"]
    assert "still going on" in d.store.runs("job")[0].why


def test_many_wait_for_one_another_and_none_is_lost(d: Desk) -> None:
    for n in range(6):
        d.every(f"job{n}", 600, missed="skip")
    d.runner.seconds = 100
    asyncio.run(d.go(1100))
    assert all(d.states(f"job{n}") == ["done"] for n in range(6))
    assert max(at for at, _, _ in d.runner.runs) - START == pytest.approx(800, abs=20)


def test_a_failure_of_the_engine_is_tried_again_a_few_times(d: Desk) -> None:
    broken = Outcome("failed", facts={"error": {"kind": "engine", "message": "The engine died."}}, again=True)
    d.add("at", Trigger("at", zone="UTC"), START + 60)
    d.runner.outcomes = [broken, broken]
    asyncio.run(d.go(2 * HOUR))
    assert d.states("at") == ["failed", "failed", "done"] and [run.attempt for _, _, run in d.runner.runs] == [0, 1, 2]
    waits = [b - a for a, b in zip(d.runner.times("at"), d.runner.times("at")[1:], strict=False)]
    assert waits == [pytest.approx(80, abs=6), pytest.approx(320, abs=6)]
    assert [run.state for _, run in d.told] == ["done"]
    d.runner.outcomes = [broken] * 10
    d.every("never", HOUR * 3)
    asyncio.run(d.go(5 * HOUR))
    assert d.states("never") == ["failed"] * 4


def test_a_failure_that_did_something_is_not_tried_again(d: Desk) -> None:
    d.add("at", Trigger("at", zone="UTC"), START + 60)
    d.runner.outcomes = [Outcome("failed", again=False)]
    asyncio.run(d.go(2 * HOUR))
    assert d.states("at") == ["failed"]


def test_the_watch_of_a_broken_runner_goes_on(d: Desk) -> None:
    class Broken(type(d.runner)):
        async def __call__(self, job, run, began):
            raise RuntimeError("a mistake")

    d.runner = Broken(d.clock)
    d.every("job", HOUR)
    asyncio.run(d.go(2 * HOUR + 60))
    assert d.states("job") == ["failed", "failed"] and "a mistake" in d.store.runs("job")[0].facts["error"]["message"]


def test_a_stop_is_recorded(d: Desk) -> None:
    d.every("job", HOUR)
    d.runner.seconds = HOUR
    asyncio.run(d.go(1.5 * HOUR))
    assert d.states("job") == ["stopped"]


CHILD = """
import os, sys, time
from pathlib import Path
from localagent.channels.sender import me
from localagent.store.jobs import Jobs
store = Jobs(Path(sys.argv[1]))
run = store.begin("job", "it was due", "", me(), float(sys.argv[2]), after=lambda kept: kept)
print(run.number, flush=True)
time.sleep(60)
"""


def test_a_run_that_was_killed_is_told_and_not_done_again(d: Desk) -> None:
    d.every("job", HOUR)
    argv = [sys.executable, "-c", CHILD, str(d.store.path), str(START + HOUR)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()}) as child:
        assert child.stdout is not None and child.stdout.readline().strip() == "1"
        # It still runs there: nobody else begins one.
        assert d.store.begin("job", "by hand", "", "me", START, after=None) is None
        child.send_signal(signal.SIGKILL)
    d.store.set_state("job", "on", START + 2 * HOUR)
    d.clock.jump(START + HOUR + 10)
    asyncio.run(d.go(HOUR + 60))
    assert d.states("job") == ["cut off", "done"] and d.runner.times("job") == [START + 2 * HOUR]
    assert [run.state for _, run in d.told] == ["cut off", "done"]
    assert any("cut off" in line for line in d.lines)


def test_the_occasion_is_taken_with_the_run(d: Desk) -> None:
    """Killed right behind `begin`, the job is not due any more: it cannot begin twice for one time."""
    job = d.every("job", HOUR)
    begun = d.store.begin("job", "due", "", "1:gone", START + HOUR, after=lambda kept: replace(kept, due=START + 2 * HOUR))
    assert begun is not None
    again = Jobs(d.store.path)
    assert again.get("job").due == START + 2 * HOUR and again.runs(job.id)[0].state == "begun"
    again.close()


def test_mail_sets_off_one_run_for_what_came(d: Desk) -> None:
    d.add("mail", Trigger("mail", "", 60, sender="@example.org", words="invoice"), cursor="0")

    def arrive(sender: str, text: str, authentic: bool | None = None) -> None:
        count = d.place.inbox.count()
        message = Incoming(f"id{count}", "mail", sender, "", text, START, "about", authentic=authentic)
        d.place.inbox.take("mail", [message], "", START)

    arrive("a@example.org", "the INVOICE of may")
    arrive("a@example.org", "hello")
    arrive("a@example.org.evil.example", "invoice")
    arrive("false@example.org", "invoice", authentic=False)
    for n in range(30):
        arrive("b@example.org", f"invoice {n}")
    asyncio.run(d.go(600))
    deltas = [run.delta for _, _, run in d.runner.runs]
    assert [delta.count("subject: about") for delta in deltas] == [20, 11]
    assert "INVOICE of may" in deltas[0] and "hello" not in deltas[0] and "evil" not in deltas[0] and "false@" not in deltas[0]


def test_mail_that_came_while_nobody_watched_can_be_passed_over(d: Desk) -> None:
    d.add("mail", Trigger("mail", "", 60), cursor="0", missed="skip")
    messages = [Incoming(f"id{n}", "mail", "a@example.org", "", "text", START) for n in range(70)]
    d.place.inbox.take("mail", messages[:50], "", START)
    d.clock.jump(START + HOUR)

    def each(now: float) -> None:
        if now > START + 1.5 * HOUR:
            d.place.inbox.take("mail", messages[50:55], "", now)

    asyncio.run(d.go(HOUR, each))
    assert d.states("mail") == ["missed"] * 3 + ["done"] and d.store.runs("mail")[0].why.startswith("5 messages")


def test_what_a_run_changed_itself_does_not_set_it_off(d: Desk) -> None:
    d.place.files = {"/w/a": "1"}
    d.add("files", Trigger("change", "/w", 60), cursor=json.dumps(d.place.files))
    d.runner.outcomes = [Outcome("done", changed=("/w/b",))]

    def each(now: float) -> None:
        if now >= START + 100:
            d.place.files = {"/w/a": "2"} | d.place.files
            d.place.files["/w/a"] = "2"
        if d.runner.going:
            d.place.files |= {"/w/b": "own"}
        if now >= START + 600:
            d.place.files |= {"/w/c": "1"}

    asyncio.run(d.go(1200, each))
    assert [run.delta for _, _, run in d.runner.runs] == ["changed: a", "new: c"]


def test_an_output_and_an_exit(d: Desk) -> None:
    d.place.outputs["df"] = "one\ntwo"
    d.add("output", Trigger("output", "df", 60))
    d.add("exit", Trigger("exit", "", 60, pid=7))

    def each(now: float) -> None:
        d.place.outputs["df"] = "one\ntwo" if now < START + 1000 else "one\nthree"
        if now > START + 2000:
            d.place.ended = {7}

    asyncio.run(d.go(HOUR, each))
    diff = "--- before\n+++ now\n@@ -1,2 +1,2 @@\n one\n-two\n+three"
    assert [(id, run.delta) for _, id, run in d.runner.runs] == [("output", diff), ("exit", "")]
    assert d.store.get("exit").state == "done"


def test_what_cannot_be_looked_at_is_said_once_and_runs_nothing(d: Desk) -> None:
    d.add("output", Trigger("output", "df", 60))
    d.place.broken = "It is not there."
    asyncio.run(d.go(HOUR))
    assert d.store.get("output").problem == "It is not there." and len(d.lines) == 1 and not d.runner.runs
    d.place.broken, d.place.outputs["df"] = "", "fine"
    asyncio.run(d.go(HOUR))
    assert d.store.get("output").problem == "" and not d.runner.runs


def test_jobs_that_set_each_other_off_are_paused(d: Desk) -> None:
    d.add("output", Trigger("output", "date", 10))
    d.runner.seconds = 1

    def each(now: float) -> None:
        d.place.outputs["date"] = str(now)

    each(START)
    asyncio.run(d.go(2 * HOUR, each))
    assert len(d.runner.runs) == MOST_AN_HOUR and d.store.get("output").state == "paused"
    assert "paused" in d.store.get("output").problem


def test_other_processes_add_pause_and_remove(d: Desk) -> None:
    other = Jobs(d.store.path)
    d.every("first", 600)

    def each(now: float) -> None:
        known = {kept.job.id: kept for kept in other.all()}
        if now > START + 1000 and "second" not in known:
            other.add(replace(known["first"].job, id="second", name="second", made=now), now + 600)
        if now > START + 2000 and "first" in known and known["first"].state == "on":
            other.set_state("first", "paused")
        if now > START + 3000 and "second" in known:
            other.remove("second")

    async def watch() -> None:
        task = asyncio.create_task(d.watcher().run())
        await d.clock.run(START + 2900, each)
        assert len(d.runner.times("second")) == 3
        await d.clock.run(START + 4500, lambda now: other.remove("second"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(watch())
    assert len(d.runner.times("first")) == 3 and len(d.runner.times("second")) == 3


def test_a_clock_that_was_wrong_and_is_set_back(d: Desk) -> None:
    d.clock.jump(START + 1000 * HOUR)
    d.add("job", Trigger("cron", "0 * * * *", zone="UTC"), START + 1001 * HOUR)
    d.clock.jump(START)
    asyncio.run(d.go(3 * HOUR))
    assert len(d.runner.runs) == 3
