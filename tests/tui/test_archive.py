"""Earlier conversations in the app: searched, gone on with, renamed, forked, exported."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from localagent.store import meta, sessions, transcript
from localagent.tui.chooser import Entry, drawn
from tests.store.sessions_support import stored

from .scenes import said
from .support import Playing, idle, painted, run, say, screen, shows, until
from .test_app import items

pytestmark = pytest.mark.slow


def test_words_find_a_conversation_to_go_on_with(work: Path) -> None:
    here = stored("sort the photos", answer="The Übung is done.", folder=str(work))
    stored("sort the music", folder=str(work))
    stored("photos of elsewhere\x1b[31m", answer="Übung there", folder="/else/where")

    async def play(pilot: Any) -> None:
        await say(pilot, "/sessions")
        await shows(pilot, "/else/where")
        assert "photos of elsewhere\\u{1b}[31m" in screen(pilot.app)
        # Enter before the search has ended means what was typed.
        await pilot.press(*"ubung", "enter")
        await until(pilot, lambda: pilot.app.driver.view.talk == 2)
        await painted(pilot)
        await say(pilot, "/sessions elsewhere")
        await shows(pilot, "photos of elsewhere")
        await pilot.press("enter")
        await shows(pilot, "belongs to /else/where")
        assert pilot.app.driver.session.id == here
        await say(pilot, "/sessions")
        await pilot.press(*"nowhere")
        await shows(pilot, "Nothing was found.")
        await pilot.press("enter", "escape")

    app = run(Playing(), play)
    assert items(app)[:2] == ["sort the photos", "The Übung is done."]


def test_a_conversation_is_renamed_forked_and_exported(work: Path) -> None:
    old = stored("one", "two", folder=str(work))

    async def play(pilot: Any) -> None:
        app = pilot.app
        for command in ("/rename X", "/fork", "/export"):
            await say(pilot, command)
        await shows(pilot, "Nothing was said in this conversation yet.")
        await say(pilot, "/sessions")
        await shows(pilot, "Earlier conversations")
        await pilot.press("f2")
        await shows(pilot, "A title for this conversation")
        await pilot.press("ctrl+u", *"Mine", "enter")
        await shows(pilot, 'is called "Mine" now')
        await say(pilot, "/sessions")
        await shows(pilot, "Ctrl+F forks")
        await pilot.press("ctrl+e")
        await shows(pilot, "Export as")
        await pilot.press("down", "enter")
        await until(pilot, lambda: (work / f"{old}.html").exists())
        await say(pilot, "/sessions")
        await shows(pilot, "Ctrl+F forks")
        await pilot.press("ctrl+f")
        await until(pilot, lambda: app.driver.view.talk == 2)
        await say(pilot, "three")
        await idle(pilot)
        await say(pilot, "/rename Other  one")
        await say(pilot, "/export jsonl out.txt")
        await until(pilot, lambda: (work / "out.txt").exists())
        await say(pilot, "/export out.txt")
        # The folder's name decides where the line breaks.
        await until(pilot, lambda: "is there already" in " ".join(screen(app).split()))
        await say(pilot, "/fork 9")
        await shows(pilot, "3 requests, not 9")
        await say(pilot, "/fork 1")
        await until(pilot, lambda: app.driver.view.talk == 3)
        await say(pilot, "/rename")
        await shows(pilot, "A title for this conversation")
        await pilot.press("enter")

    app = run(Playing(said("Three.")), play)
    last, forked = app.driver.session.id, app.house.made[-2].id
    assert [row.id for row in sessions.rows()] == [last, forked, old]
    assert (meta.load(forked).title, meta.load(forked).origin, meta.load(last).at) == ("Other one", old, 1)
    assert [m.text.partition("\n")[0] for m in app.house.made[-2].history] == ["one", "Done.", "two", "Done.", "three", "Three."]
    assert items(app)[:2] == ["one", "Done."] and len(app.driver.session.history) == 2
    assert (work / "out.txt").read_text().count("\n") == 9


def test_a_stored_conversation_is_read_once(work: Path, monkeypatch: Any) -> None:
    session = stored("one", folder=str(work))
    reads: list[str] = []
    real = transcript.Transcript.read
    monkeypatch.setattr(transcript.Transcript, "read", lambda self: (reads.append(self.folder.name), real(self))[1])

    async def play(pilot: Any) -> None:
        await shows(pilot, "Done.")

    app = run(Playing(), play, resume=session)
    assert reads == [session] and app.driver.session.stored == ()


def test_a_row_fits_its_line() -> None:
    entry = Entry("x", "name " * 50, "cut off", 1e9, 2, "/a/very/long/folder/somewhere/far/away/indeed", "found " * 50, True)
    for width in (40, 60, 100):
        assert all(len(line) <= width for line in drawn(entry, width).plain.split("\n"))
    assert drawn(Entry("x", "n", "done", 0.0, 1), 40).plain.strip() == "n"


def test_nothing_stored_is_said(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "/sessions")
        await shows(pilot, "no earlier conversations")
        await asyncio.sleep(0)

    run(Playing(), play)
