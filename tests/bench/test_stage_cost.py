"""The measurement of staging runs, pairs what it compares and tells whether the bar is met."""

from __future__ import annotations

import json
import sys

import pytest

from bench import stage as bench


def test_it_measures_both_views(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["stage.py", "--files", "3", "--rounds", "1", "--json"])
    code = bench.main()
    said = capsys.readouterr()
    rows = json.loads(said.out)
    copy = next(row for row in rows if row["view"] == "copy")
    assert copy["files"] == 3 and copy["changes"] == 3 and copy["copied_bytes"] > 2 * 4096
    assert copy["ratio"] == pytest.approx(copy["staged_ms"] / copy["plain_ms"], abs=0.02)
    assert code == (0 if copy["more_ms"] <= bench.BAR_MS else 1) and ("met" in said.err) == (code == 0)
