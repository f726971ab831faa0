"""Skills in the app: offered by a toast, shown whole, confirmed by a key that came not too early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent.store import agreed
from localagent.toolbox import skills
from localagent.tui.trust import Looked, Trusting
from tests.toolbox import skill_examples as examples

from .support import Playing, run, say, screen, shows, until


def test_a_new_skill_is_offered_shown_and_confirmed_and_a_broken_one_told(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trusting, "AFTER_S", 0.01)
    monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
    examples.lay(work / ".agents" / "skills", "photo-names", examples.NAMING)
    examples.lay(skills.own_folder(), "broken", "no head [red]\x1b[2J")

    def toast(pilot: Any, text: str) -> bool:
        return any(text in one.message for one in pilot.app._notifications)

    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: toast(pilot, "This folder brings the skill photo-names"))
        await shows(pilot, "The skill broken cannot be used")
        assert app.trusting._watch is not None
        await until(pilot, app.trusting._watch.ready.is_set)
        place = examples.invoices(skills.own_folder())
        await until(pilot, lambda: toast(pilot, "invoice-totals is new, and off"))
        await say(pilot, "/skills")
        await shows(pilot, "off · of this folder · Rename photos")
        await pilot.press(*"invoice", "enter")
        await shows(pilot, "file     scripts/total.py")
        await pilot.press("y")
        assert agreed.load("skills") == {}
        await pilot.press("end")
        await shows(pilot, 'print(f"Sum: {total}")')
        await pilot.press("y")
        await shows(pilot, "is on, from the next request on")
        assert list(agreed.load("skills")) == [str(place)]
        await say(pilot, "/skills invoice-totals")
        await shows(pilot, "x has it off")
        await pilot.press("x")
        await shows(pilot, "invoice-totals is off.")
        assert agreed.load("skills") == {} and "\x1b" not in screen(app)

    run(Playing(), play, size=(110, 30))
