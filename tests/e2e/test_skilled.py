"""A skill with the real starter model: found by a natural request, and its script run in the sandbox."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.cli import Exit
from localagent.toolbox import skills
from tests.e2e.support import Cli, transcript
from tests.toolbox import skill_examples as examples

STARTER = os.environ.get("LOCALAGENT_TEST_STARTER", "")
pytestmark = [pytest.mark.model, pytest.mark.skipif(not STARTER, reason="LOCALAGENT_TEST_STARTER names no model file")]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """A user with the starter model and three skills that they have confirmed."""
    runtime = tempfile.mkdtemp(prefix="la-")
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"LOCALAGENT_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", runtime)
    examples.invoices(skills.own_folder())
    examples.lay(skills.own_folder(), "meeting-minutes", examples.MINUTES)
    examples.lay(skills.own_folder(), "photo-names", examples.NAMING)
    for one in skills.look(None):
        skills.agree(one)
    (tmp_path / "work").mkdir()
    made = Cli(tmp_path / "work")
    assert made("model", "pull", "starter", "--from", STARTER, timeout=200).code == Exit.DONE
    yield made
    made.end()
    shutil.rmtree(runtime, ignore_errors=True)


def test_a_skill_is_found_and_its_script_run(at: Cli) -> None:
    (at.work / "a.txt").write_text("Shop A\nAmount: 12\n")
    (at.work / "b.txt").write_text("Shop B\nAmount: 30\n")
    goal = "Make the invoice totals for this folder."
    ran = at("do", "--yes", "--model", "starter", "--output-format", "json", goal, timeout=300)
    assert ran.code == Exit.DONE, ran
    done = [line for line in transcript(at.env) if line["event"] == "ToolFinished"]
    print([(line["call"]["name"], line["call"]["args"], line["result"]["status"]) for line in done], json.loads(ran.out)["final"])
    assert [line["call"]["name"] for line in done][:2] == ["skill_invoice_totals", "run"]
    assert "scripts/total.py" in done[1]["call"]["args"]["command"] and "42" in json.loads(ran.out)["final"]
