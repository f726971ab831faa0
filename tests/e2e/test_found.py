"""Plugins that are found, with the real starter model: natural requests, rightly called, on the prompt of every session."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent.cli import Exit
from localagent.store import trusted
from localagent.toolbox import own
from tests.e2e.support import Cli, transcript

STARTER = os.environ.get("LOCALAGENT_TEST_STARTER", "")
pytestmark = [pytest.mark.model, pytest.mark.skipif(not STARTER, reason="LOCALAGENT_TEST_STARTER names no model file")]

PLUGINS = {
    "money.py": '''
RATES = {"EUR": 1.0, "USD": 1.25, "GBP": 0.8, "CHF": 0.5}

@tool(effects=["compute"])
def convert_currency(amount: float, source: str, target: str) -> str:
    """Convert an amount of money from one currency to another at the rates of this house.

    Args:
        amount: How much.
        source: Three-letter code, such as USD.
        target: Three-letter code, such as EUR.
    """
    return f"{amount / RATES[source] * RATES[target]:.2f} {target}"
''',
    "parking.py": '''
@tool(effects=["compute"])
def book_parking(day: str, plate: str) -> str:
    """Book a parking space at the office for a day.

    Args:
        day: Monday to Friday.
        plate: Number plate of the car.
    """
    return f"Space 15 is booked on {day} for {plate}."
''',
    "menu.py": '''
from typing import Literal

@tool(effects=["compute"])
def canteen_menu(day: Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]) -> str:
    """Tell what the canteen serves on a day of the week."""
    return {"Monday": "soup", "Tuesday": "fish pie", "Wednesday": "noodles", "Thursday": "curry", "Friday": "pizza"}[day]
''',
}


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """A user with the starter model and three plugins that they have confirmed."""
    runtime = tempfile.mkdtemp(prefix="la-")
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"LOCALAGENT_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", runtime)
    trusted.plugins_folder().mkdir(parents=True)
    for name, text in PLUGINS.items():
        (trusted.plugins_folder() / name).write_text("from localagent import tool\n" + text)
    for one in asyncio.run(own.look(unsandboxed=False)):
        own.confirm(one)
    (tmp_path / "work").mkdir()
    made = Cli(tmp_path / "work")
    assert made("model", "pull", "starter", "--from", STARTER, timeout=200).code == Exit.DONE
    yield made
    made.end()
    shutil.rmtree(runtime, ignore_errors=True)


def test_plugins_are_found_and_called_rightly(at: Cli) -> None:
    def do(goal: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        ran = at("do", "--yes", "--model", "starter", "--output-format", "json", goal, timeout=300)
        assert ran.code == Exit.DONE, ran
        calls = [(line["call"]["name"], line["call"]["args"]) for line in transcript(at.env) if line["event"] == "ToolFinished"]
        print(goal, calls, json.loads(ran.out)["final"])
        return json.loads(ran.out), calls

    first, calls = do("Convert 250 USD to GBP at our rates.")
    assert calls == [("convert_currency", {"amount": 250, "source": "USD", "target": "GBP"})] and "160" in first["final"]
    answer, calls = do("What does the canteen serve on Thursday?")
    assert calls == [("canteen_menu", {"day": "Thursday"})] and "curry" in answer["final"].lower()
    # The beginning of the prompt is that of the request before, although other tools were offered there.
    assert answer["usage"]["cached_tokens"] >= 900
    answer, calls = do("Book a parking space on Tuesday for the plate B-XY 123.")
    assert [(name, args["day"]) for name, args in calls] == [("book_parking", "Tuesday")] and "15" in answer["final"]
    shown = at("do", "--yes", "--model", "starter", "What is on the canteen menu on Friday?", timeout=300)
    assert "tools offered: canteen_menu" in shown.err and "izza" in shown.out
