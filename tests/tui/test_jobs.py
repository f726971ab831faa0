"""The jobs in the app: listed, one whole, paused and let go on, run with its end told, taken away when asked twice."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.store.jobs import Job, Jobs, Run, Trigger
from localagent.tui import jobs

from .scenes import _jobs as two_jobs
from .support import Playing, run, say, screen, shows, until


def test_paused_run_and_taken_away() -> None:
    two_jobs()
    store = Jobs()

    async def play(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.driver.session is not None)
        await say(pilot, "/jobs")
        await shows(pilot, "does not come again")
        assert "nobody watches them" in screen(pilot.app)
        await pilot.press("enter")
        await shows(pilot, "not allowed: write(x.md)")
        await pilot.press("p")
        await shows(pilot, "p lets it go on")
        assert store.get("a1b2c3").state == "paused"
        await pilot.press("p")
        await shows(pilot, "p pauses it")
        assert store.get("a1b2c3").state == "on"
        await pilot.press("r")
        await shows(pilot, "did: Sum up what is new")
        await say(pilot, "/jobs")
        await shows(pilot, "Call Anna")
        await pilot.press("down", "enter")
        await shows(pilot, "on this desktop; no model runs")
        await pilot.press("d")
        await shows(pilot, "Take this job away")
        await pilot.press("escape")
        assert len(store.all()) == 2
        await say(pilot, "/jobs")
        await shows(pilot, "Call Anna")
        await pilot.press("down", "enter")
        await shows(pilot, "on this desktop; no model runs")
        await pilot.press("d")
        await shows(pilot, "Take this job away")
        await pilot.press("y")
        await until(pilot, lambda: len(store.all()) == 1)

    run(Playing(), play)
    assert [one.state for one in store.runs()] == ["done", "denied"]


@pytest.mark.parametrize("kind", ["at", "every", "cron", "change", "output", "mail", "exit"])
def test_every_kind_is_drawn_and_nothing_in_it_acts(kind: Any) -> None:
    evil = "a\x1b[31m[b]\u202eb\nc"
    trigger = Trigger(kind, "0 8 * * 1" if kind == "cron" else evil, 60.0, "UTC", evil, evil, evil, 7)
    job = Job("abc", evil, evil, evil, trigger, ((evil, ""),), (evil,), ((evil, ""),), tell=evil)
    store = Jobs()
    store.add(job, 0.0)
    begun = Run(1, "abc", evil, "", 1.0, 9.0, "failed", 0, "", "s1", evil, {"error": {"message": evil}, "denied": [evil, ""]})
    drawn = [line.plain for line in jobs.lines(store.get("abc"), [begun])]
    drawn += [jobs.row(store.get("abc"), begun).about, jobs.row(store.get("abc"), None).text]
    assert not any(char in line for line in drawn for char in "\x1b\u202e\n")
    assert any("[b]" in line for line in drawn)
