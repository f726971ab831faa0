"""A plugin of the user's own in the app: offered by a toast, shown, confirmed by a key that came not too early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent.store import trusted
from localagent.toolbox import places
from localagent.tui.trust import Looked, Trusting
from tests.toolbox.test_libs import CODE, index, wheel
from tests.toolbox.test_own import HELLO

from .support import Playing, run, say, screen, shows, until

__all__ = ["index"]


def test_a_new_plugin_is_offered_shown_and_confirmed_and_a_broken_one_told(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trusting, "AFTER_S", 0.01)
    folder = trusted.plugins_folder()
    folder.mkdir()

    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: app.trusting._watch is not None and app.trusting._watch.ready.is_set())
        await say(pilot, "/trust")
        await shows(pilot, "no plugins of yours")
        (folder / "hello.py").write_text(HELLO.format("Hello"))
        # The test harness draws no toasts.
        await until(pilot, lambda: any("hello.py is new, and off" in toast.message for toast in app._notifications))
        await say(pilot, "/trust")
        await shows(pilot, "tool     hello (compute): Greet.")
        assert 'return "Hello " + name' in screen(app)
        await pilot.press("y", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert trusted.load() == {}
        monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
        await say(pilot, "/trust hello")
        await shows(pilot, "y has it on")
        await pilot.press("y")
        await shows(pilot, "from the next conversation on")
        assert str(folder / "hello.py") in trusted.load()
        (folder / "hello.py").write_text(HELLO.format("Bye"))
        await until(pilot, lambda: any("its earlier version runs on" in toast.message for toast in app._notifications))
        await say(pilot, "/trust")
        await shows(pilot, '-    return "Hello " + name')
        await pilot.press("escape")
        (folder / "hello.py").write_text("def broken(:\n")
        await shows(pilot, "hello.py:1:")

    run(Playing(), play, size=(110, 40))


def test_packages_come_with_a_key_and_a_projects_plugins_with_a_yes(work: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trusting, "AFTER_S", 0.01)
    monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
    wheel(index, "greeting", "1.2", {"greeting.py": "WORD = 'Hello'\n"})
    folder = places.project_folder(work)
    folder.mkdir(parents=True)
    (folder / "greet.py").write_text(CODE)

    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: any("/trust . shows them" in toast.message for toast in app._notifications))
        await say(pilot, "/trust .")
        await shows(pilot, "has them looked at")
        await pilot.press("y")
        await until(pilot, lambda: any("greet.py is new, and off" in toast.message for toast in app._notifications))
        await say(pilot, "/trust")
        await shows(pilot, "needs    greeting>=1 (not installed)")
        assert "y has it on" not in screen(app)
        await pilot.press("i")
        await shows(pilot, "wheel    greeting-1.2-py3-none-any.whl")
        await shows(pilot, "tool     greet (compute): Greet somebody.")
        await pilot.press("y")
        await until(pilot, lambda: str(folder / "greet.py") in trusted.load())

    run(Playing(), play, size=(110, 40))
