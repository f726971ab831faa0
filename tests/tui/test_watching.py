"""Files that others change while the app runs: marked on their cards, told to the model, listed at `@`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.store import watch
from localagent.tui import card
from localagent.tui.outdated import FilesChanged
from localagent.tui.view import Told, Tool, View, reduce
from localagent.tui.watching import Watching
from localagent.values import Message, Text, ToolCall, ToolResult

from .scenes import call, reading, said
from .support import Playing, idle, run, say, screen, shows, until

LOOK = said("", call("read", path="notes.txt"))


def test_a_changed_file_is_marked_at_once_told_to_the_model_and_its_new_neighbour_is_found(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watching, "AFTER_S", 0.01)
    (work / "notes.txt").write_text("one\n")
    engine = Playing(LOOK, said("It says one."), said("It changed."), LOOK, said("It says two."))

    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: app.watching._watch is not None and app.watching._watch.ready.is_set())
        await say(pilot, "read it")
        await idle(pilot)
        assert "changed since" not in screen(app)
        (work / "notes.txt").write_text("two\n")
        await shows(pilot, "△ notes.txt changed since")
        await say(pilot, "and now?")
        await idle(pilot)
        await shows(pilot, "which it is told now: notes.txt")
        await pilot.press("@", "n")
        await shows(pilot, "notes.txt")
        await pilot.press("ctrl+c")
        (work / "newer.txt").write_text("")
        await until(pilot, lambda: app.watching.names_changed)
        app.watching._names_at = 0.0
        await pilot.press("@", "n", "e", "w")
        await shows(pilot, "newer.txt")
        await pilot.press("ctrl+c")
        await say(pilot, "read it again")
        await idle(pilot)
        assert [item.outdated for item in app.driver.view.all if isinstance(item, Tool)] == [(), ()]

    run(engine, play, have=reading(), size=(100, 40))
    told = [message for message in engine.asked[2][0] if message.role == "host"]
    assert len(told) == 1 and "notes.txt" in told[0].text


def test_where_nothing_can_be_watched_the_app_says_so_once_and_works(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watching, "AFTER_S", 0.01)

    def refuse(*args: Any, **named: Any) -> bool:
        raise RuntimeError("no watches left")

    monkeypatch.setattr(watch, "moderate", refuse)
    (work / "notes.txt").write_text("one\n")

    async def play(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.watching._watch is not None and pilot.app.watching._watch.ready.is_set())
        for _ in range(2):
            await say(pilot, "read it")
            await idle(pilot)
        await shows(pilot, "RuntimeError: no watches left")
        assert sum("cannot be watched" in i.text for i in pilot.app.driver.view.all if isinstance(i, Told)) == 1

    run(Playing(LOOK, said("One."), LOOK, said("One.")), play, have=reading(), size=(100, 40))


def test_marks_come_and_go_in_earlier_turns_too_and_cost_nothing_where_nothing_changed() -> None:
    done = e.ToolFinished(ToolCall("call_1", "read", {"path": "a"}), ToolResult("call_1", (Text("x"),)))
    begun = e.TurnStarted("s", Message("user", (Text("go"),)), "m", "ask", "/w", 0.0)
    view = View()
    for event in (begun, done, e.TurnEnded("done"), begun):
        view = reduce(view, event, 0.0)
    assert reduce(view, FilesChanged({}), 0.0).past is view.past
    marked = reduce(view, FilesChanged({"call_1": ("a", "b\x1b[2J")}), 0.0)
    tool = next(item for item in marked.past if isinstance(item, Tool))
    assert "△ 2 files changed since" in card.head(tool, False).plain
    one = replace(tool, outdated=("b\x1b[2J",))
    assert "\x1b" not in card.head(one, False).plain
    assert reduce(marked, FilesChanged({}), 0.0).past == view.past
