"""Every test gets a home, configuration and runtime folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point HOME and every folder of ours at a temporary place; returns that home."""
    home = tmp_path_factory.mktemp("home")
    # Unix socket paths are limited to about 100 bytes, which pytest's own folders exceed.
    runtime = Path(tempfile.mkdtemp(prefix="la-"))
    for name in [n for n in os.environ if n.startswith(("LOCALAGENT_", "XDG_", "HF_", "OLLAMA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"LOCALAGENT_{kind}_DIR", str(home / kind.lower()))
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", str(runtime))
    yield home
    shutil.rmtree(runtime, ignore_errors=True)
