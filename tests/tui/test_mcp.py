"""MCP servers in the app: listed, started to be looked at, confirmed by a key that came not too early, turned off."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from localagent.store import mcp, mcp_known
from localagent.store.mcp import Server
from localagent.tui.mcp import lines_of
from localagent.tui.trust import Looked
from tests.toolbox.mcp.conftest import SCRIPT

from .support import Playing, run, say, screen, shows, until


def test_a_server_is_looked_at_confirmed_and_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: app.driver.session is not None)
        await say(pilot, "/mcp")
        await shows(pilot, "There are no MCP servers yet")
        mcp.add(Server("notes", sys.executable, ("-I", "-S", SCRIPT, "steps")))
        await say(pilot, "/mcp")
        await shows(pilot, "notes  new: not looked at yet · may: nothing")
        await pilot.press("enter")
        await shows(pilot, "What it offers is not known yet")
        await pilot.press("s")
        await shows(pilot, "say(text)")
        assert "each call asks" in screen(app) and "y has it on, with exactly these tools" in screen(app)
        await pilot.press("y")
        assert mcp_known.load("notes").confirmed is None
        await pilot.press("escape")
        monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
        await say(pilot, "/mcp notes")
        await shows(pilot, "y has it on")
        await pilot.press("y")
        await shows(pilot, "The MCP server notes is on.")
        assert mcp_known.load("notes").confirmed is not None
        await say(pilot, "/mcp notes")
        await shows(pilot, "x has it off")
        await pilot.press("x")
        await shows(pilot, "The MCP server notes is off.")
        assert not mcp.one("notes").granted.on

    run(Playing(), play, size=(110, 40))


def test_a_machine_without_a_sandbox_is_told_before_a_server_is_started() -> None:
    started, reached = Server("notes", "python3"), Server("far", url="https://example.org/mcp")
    told = ["".join(str(line) for line in lines_of(one, mcp_known.Known(), held)) for one in (started, reached) for held in (False, True)]
    assert ["no sandbox on this machine" in one for one in told] == [True, False, False, False]
