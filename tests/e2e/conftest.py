"""Fixtures of the tests that run the whole program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Cli, Host
from tests.make_gguf import make


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    work = tmp_path / "work"
    work.mkdir()
    made = Cli(work)
    yield made
    made.end()


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of random weights; its dialect is hermes."""
    return str(make("tiny-dense", tmp_path_factory.mktemp("models") / "tiny.gguf"))


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def start(*script: Any) -> Host:
        made.append(Host(*script))
        return made[-1]

    yield start
    for one in made:
        one.close()
