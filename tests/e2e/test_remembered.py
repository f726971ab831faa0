"""What is remembered, with the real starter model: told where it fits, written down with a rule, undone."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.cli import Exit
from tests.e2e.support import Cli

STARTER = os.environ.get("LOCALAGENT_TEST_STARTER", "")
pytestmark = [pytest.mark.model, pytest.mark.skipif(not STARTER, reason="LOCALAGENT_TEST_STARTER names no model file")]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    runtime = tempfile.mkdtemp(prefix="la-")
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"LOCALAGENT_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", runtime)
    (tmp_path / "work").mkdir()
    made = Cli(tmp_path / "work")
    assert made("model", "pull", "starter", "--from", STARTER, timeout=200).code == Exit.DONE
    yield made
    made.end()
    shutil.rmtree(runtime, ignore_errors=True)


def test_it_is_told_where_it_fits_and_written_down_with_a_rule(at: Cli) -> None:
    (at.work / "note.txt").write_text("Milk, bread.\n")
    assert at("memory", "add", "my sister's name is Anna").code == Exit.DONE
    asked = at("do", "--model", "starter", "what is my sister called?", timeout=300)
    assert asked.code == Exit.DONE and "Anna" in asked.out and "remembered: my sister's name is Anna" in asked.err
    without = at("do", "--model", "starter", "--no-memory", "what is my sister called?", timeout=300)
    assert "remembered" not in without.err and "Anna" not in without.out
    wish = "remember that my dentist is Dr. Lee"
    denied = at("do", "--model", "starter", wish, timeout=300)
    assert denied.code == Exit.DENIED and "--allow 'persist(memory)'" in denied.err
    assert at("do", "--model", "starter", "--allow", "persist(memory)", wish, timeout=300).code == Exit.DONE
    rows = json.loads(at("memory", "list", "--json").out)
    assert "Lee" in rows[-1]["text"] and rows[-1]["source"].startswith("the agent, session")
    assert at("undo").code == Exit.DONE
    assert [row["text"] for row in json.loads(at("memory", "list", "--json").out)] == ["my sister's name is Anna"]
