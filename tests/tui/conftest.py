from __future__ import annotations

from pathlib import Path

import pytest

from localagent.tui.approval import Approval
from localagent.tui.trust import Trusting
from localagent.tui.watching import Watching


@pytest.fixture(autouse=True)
def work(tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in ~/work, without motion."""
    folder = isolated / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOCALAGENT_NO_MOTION", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    # Watching costs threads; the tests of it begin at once.
    monkeypatch.setattr(Watching, "AFTER_S", 3600.0)
    monkeypatch.setattr(Trusting, "AFTER_S", 3600.0)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions take an answer at once, where the time before that is not what is tested."""
    monkeypatch.setattr(Approval, "LOCKED_S", 0.01)
    monkeypatch.setattr(Approval, "ALONE_S", 0.01)
