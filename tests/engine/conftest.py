"""Random-weight models, a host process of the test's own, and a dialect that hides nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localagent.engine.base import CallGrammar, Parsed, Piece, Said, Segment, Template, Untrusted
from localagent.values import Message, ToolSpec

ROOT = Path(__file__).resolve().parents[2]


def _helper(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def gguf() -> Any:
    return _helper(ROOT / "tests" / "make_gguf.py")


@pytest.fixture(scope="session")
def replayed() -> Any:
    """The module beside this one."""
    return _helper(ROOT / "tests" / "engine" / "replayed.py")


@pytest.fixture(scope="session")
def tiny(gguf: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hybrid model."""
    return str(gguf.make("tiny", tmp_path_factory.mktemp("models") / "tiny.gguf"))


@pytest.fixture(scope="session")
def dense(gguf: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An attention-only model."""
    return str(gguf.make("tiny-dense", tmp_path_factory.mktemp("models") / "dense.gguf"))


class PlainParser:
    def __init__(self) -> None:
        self.text = ""

    def feed(self, text: str) -> list[Piece]:
        self.text += text
        return [Said(text)]

    def finish(self) -> Parsed:
        return Parsed(self.text, "", ())


@dataclass
class PlainDialect:
    """Messages as they are, with the grammar a test asks for; `asked` is what it was asked for."""

    call: CallGrammar = field(default_factory=CallGrammar)
    name: str = "plain"
    ends: tuple[str, ...] = ()
    opening = ""
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        found: list[Segment] = []
        for message in messages:
            found.append(Template(f"<|im_start|>{message.role}\n"))
            found.append(message.generated or Untrusted(message.text))
            found.append(Template("<|im_end|>\n"))
        return [*found, Template("<|im_start|>assistant\n")]

    def grammar(self, specs: Sequence[ToolSpec], choice: str, *, parallel: bool = True) -> CallGrammar:
        self.asked.append((specs, choice, parallel))
        return self.call

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> PlainParser:
        return PlainParser()


@pytest.fixture
def plain() -> Callable[..., PlainDialect]:
    return PlainDialect


@asynccontextmanager
async def _running(idle_s: float = 60.0) -> AsyncIterator[asyncio.subprocess.Process]:
    from localagent.engine import local

    path = local.socket_path()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent.engine.host", "--socket", str(path), "--idle-s", str(idle_s),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # The file is there a moment before anybody listens.
        while not await _listens(path) and process.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _listens(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
def running() -> Any:
    """`async with running() as process:` an engine host in this test's folders."""
    return _running
