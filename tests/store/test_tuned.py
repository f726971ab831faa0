"""What was measured is found again for the same machine and file, and for no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localagent.store import tuned
from localagent.store.tuned import Measured, Tuned

ONE = Tuned("2026-03-01", (Measured("repack", True, 0.21), Measured("batch", 256, 0.0)))
OTHER = Tuned("2026-03-02", (Measured("threads", 4, 0.1),))


def test_it_is_found_again_and_replaced() -> None:
    assert tuned.load("a", "m") is None
    tuned.save("a", "m", ONE)
    tuned.save("b", "m", OTHER)
    assert tuned.load("a", "m") == ONE and tuned.load("b", "m") == OTHER
    assert tuned.load("a", "n") is None
    tuned.save("a", "m", OTHER)
    assert tuned.load("a", "m") == OTHER and tuned.load("b", "m") == OTHER
    assert tuned.file().stat().st_mode & 0o777 == 0o600


def test_one_model_or_everything_is_forgotten() -> None:
    tuned.save("a", "m", ONE)
    tuned.save("b", "m", ONE)
    tuned.save("a", "n", ONE)
    assert tuned.forget("m") == 2 and tuned.load("a", "n") == ONE
    assert tuned.forget("m") == 0 and tuned.forget() == 1 and tuned.load("a", "n") is None


def test_a_changed_file_is_another_model(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    (tmp_path / "link.gguf").symlink_to(file)
    first = tuned.model_key(file)
    assert tuned.model_key(tmp_path / "link.gguf") == first
    file.write_bytes(b"another")
    assert tuned.model_key(file) != first


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 9, "entries": []}',
        '{"version": 1, "entries": [1, {}, {"machine": 1}]}',
    ],
)
def test_a_broken_file_is_as_none_and_can_be_written_over(content: str) -> None:
    tuned.file().write_text(content)
    assert tuned.load("a", "m") is None
    tuned.save("a", "m", ONE)
    assert tuned.load("a", "m") == ONE


@pytest.mark.parametrize(
    "one",
    [
        {"name": "batch", "value": 0, "gain": 0.1},
        {"name": "batch", "value": True, "gain": 0.1},
        {"name": "batch", "value": 1 << 30, "gain": 0.1},
        {"name": "threads", "value": -1, "gain": 0.1},
        {"name": "repack", "value": 1, "gain": 0.1},
        {"name": "repack", "value": True, "gain": "much"},
        {"name": "other", "value": True, "gain": 0.1},
        {"name": ["repack"], "value": True, "gain": 0.1},
        "repack",
    ],
)
def test_a_value_that_cannot_be_is_passed_over(one: Any) -> None:
    good = {"name": "flash", "value": False, "gain": 0.02}
    entry = {"machine": "a", "model": "m", "when": "2026-03-01", "measured": [one, good]}
    tuned.file().write_text(json.dumps({"version": 1, "entries": [entry]}))
    assert tuned.load("a", "m") == Tuned("2026-03-01", (Measured("flash", False, 0.02),))
