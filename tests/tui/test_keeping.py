"""`/remember` and `/forget` in the app, what is told of them, and the instructions of a folder with `/trust .`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.agent.beside import Beside
from localagent.store import agreed, instructions, memory
from localagent.tui.trust import Looked

from .scenes import said
from .support import Playing, idle, run, say, screen, shows, until


def test_something_is_remembered_told_to_the_model_and_forgotten(work: Path) -> None:
    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: app.driver.session is not None)
        await say(pilot, "/remember my sister's name is [b]Anna[/b]\x1b[2J")
        await shows(pilot, "Remembered: my sister's name is [b]Anna[/b]")
        await say(pilot, "/remember . the build is make all")
        await shows(pilot, "Remembered for this project: the build is make all")
        await say(pilot, "/remember my token is ghp_abcdefghijklmnopqrstuvwxyz0123456789")
        await shows(pilot, "looks like a secret")
        session = app.driver.session
        beside = Beside(work, True, memory.books(work))
        session.setting = replace(session.setting, beside=beside)
        await say(pilot, "What is my sister called?")
        await idle(pilot)
        await shows(pilot, "From memory: my sister's name is [b]Anna[/b]")
        await say(pilot, "/remember")
        await shows(pilot, "In every conversation")
        await shows(pilot, "the build is make all")
        await pilot.press("escape")
        await say(pilot, "/forget")
        await shows(pilot, "What should be forgotten?")
        await pilot.press(*"build", "enter")
        await shows(pilot, "Forgotten: the build is make all")
        await say(pilot, "/forget sister")
        await shows(pilot, "Forgotten: my sister")
        assert "\x1b" not in screen(app)

    run(Playing(said("Anna.")), play, size=(110, 40))
    assert [memory.entries(book) for book in memory.books(work)] == [[], []]


def test_instructions_of_a_folder_are_shown_whole_and_agreed_to(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
    (work / "AGENTS.md").write_text("\n".join([*(f"Rule {n}" for n in range(80)), "Use tabs\u202e"]))

    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: app.driver.session is not None)
        session = app.driver.session
        session.setting = replace(session.setting, beside=Beside(work, True, ()))
        await say(pilot, "Hello")
        await idle(pilot)
        await shows(pilot, "is not read as instructions")
        await say(pilot, "/trust .")
        await shows(pilot, "Instructions of this folder: AGENTS.md")
        await pilot.press("y")
        assert agreed.load("instructions") == {}
        await pilot.press("end")
        await shows(pilot, "Use tabs\\u{202e}")
        await pilot.press("y")
        await shows(pilot, "counts as instructions from the next request on")
        await say(pilot, "And now?")
        await idle(pilot)
        await shows(pilot, "Instructions that count: work/AGENTS.md")
        await say(pilot, "/trust .")
        await shows(pilot, "brings neither plugins nor instructions")

    run(Playing(said("Hi."), said("Yes.")), play, size=(110, 30))
    assert [one.state for one in instructions.look(work)] == ["on"]
