"""Where the context goes, and making room, in the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent.accounting import CATEGORIES, Account
from localagent.tui import context, view
from localagent.values import Message, Text, Usage

from .support import Playing, idle, run, say, shows


def test_the_rows_tell_every_category_its_cost_and_what_is_free() -> None:
    account = Account("m", 16384, 13107, 3000, tuple((name, 100 + n) for n, name in enumerate(CATEGORIES)), reading=50.0)
    told = "\n".join(line.plain for line in context.rows(account))
    for name in ("instructions", "your words", "tool results", "images", "free"):
        assert name in told
    assert "3,000 of 16,384 tokens" in told and "13,384" in told and "13,107" in told and "50 tokens per second" in told
    assert "(estimated)" in context.rows(Account("m", 0, 0, 10, (), exact=False))[0].plain


def test_a_shortened_conversation_is_told_and_the_meter_falls() -> None:
    before = view.View(used=9000)
    after = view.reduce(before, e.Compacted(4, "s", 0, {}, 9000, 3000, 16384, seconds=12.0), 1.0)
    assert after.used == 3000 and after.phase == "idle"
    assert "9,000 tokens are 3,000 now" in after.items[-1].text  # type: ignore[union-attr]


@pytest.mark.slow
def test_both_commands_in_the_app(work: Path) -> None:
    said = "a long answer " * 200
    answer = [e.MessageDone(Message("assistant", (Text(said),)), Usage(900, 0, 600))]
    notes = [e.MessageDone(Message("assistant", (Text("It was long."),)), Usage(900, 890, 4))]
    engine = Playing(answer, answer, answer, notes)
    engine.context = 8192  # type: ignore[attr-defined]

    async def play(pilot: Any) -> None:
        await say(pilot, "/compact")
        await shows(pilot, "There is nothing to shorten yet.")
        for n in range(3):
            await say(pilot, f"tell me {n}")
            await idle(pilot)
        await say(pilot, "/context")
        await shows(pilot, "the model's answers")
        await pilot.press("escape")
        await say(pilot, "/compact")
        await shows(pilot, "was shortened to make room")
        await idle(pilot)
        assert "| It was long." in pilot.app.driver.session.talk.shown[0].text

    run(engine, play)
