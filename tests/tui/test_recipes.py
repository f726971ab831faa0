"""Recipes in the app: the last request is shown as one and kept, and done again in the conversation without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent.events import MessageDone
from localagent.store import recipes
from localagent.tui.trust import Looked
from localagent.values import Message, Text
from tests.fakes import call

from .support import Playing, idle, run, say, shows


def test_a_request_is_kept_shown_and_done_again(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
    made = MessageDone(Message("assistant", calls=(call("write", path="notes.md", content="hello\n"),)))
    engine = Playing([made], [MessageDone(Message("assistant", (Text("It is written."),)))])

    async def play(pilot: Any) -> None:
        app = pilot.app
        await say(pilot, "/run")
        await shows(pilot, "There are no recipes yet")
        await say(pilot, "/save early")
        await shows(pilot, "Nothing was asked yet.")
        await say(pilot, "write hello into notes.md")
        await shows(pilot, "It is written.")
        await idle(pilot)
        await say(pilot, "/save note")
        await shows(pilot, "path: '{file}'")
        await pilot.press("end", "y")
        await shows(pilot, "/run note file=notes.md")
        assert [one.name for one in recipes.load("note").params] == ["file"]
        await say(pilot, "/run")
        await shows(pilot, "write hello into {file}")
        await pilot.press("enter")
        await shows(pilot, "│ /run note file=notes.md")
        await say(pilot, "/run note file=other.md")
        await shows(pilot, "Done: the recipe note, 1 step, without the model.")
        await idle(pilot)
        assert (work / "other.md").read_text() == "hello\n" and len(engine.asked) == 2
        assert app.driver.session.setting.engine is engine
        await say(pilot, "/run note fil=x")
        await shows(pilot, "has no parameter 'fil'")

    run(engine, play, mode="auto", size=(100, 34))
