"""Shipped tools loaded by their path, working in a folder of their own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """The module `tools/<name>.py`, loaded by its path."""
    spec = importlib.util.spec_from_file_location(f"shipped_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder that is the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def files() -> ModuleType:
    return load("files")


@pytest.fixture(scope="session")
def modify() -> ModuleType:
    return load("modify")


@pytest.fixture(scope="session")
def shell() -> ModuleType:
    return load("shell")


@pytest.fixture(scope="session")
def web() -> ModuleType:
    return load("web")
