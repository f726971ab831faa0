"""A tool box on a workspace of its own, with the boundary of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localagent.toolbox.plugins import PluginSource
from localagent.values import ToolCall, ToolResult


@dataclass
class Box:
    """A PluginSource and what its last call said on the way."""

    source: PluginSource
    workspace: Path
    scratch: Path
    spill: Path
    problems: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)

    def call(self, name: str, **args: Any) -> ToolResult:
        return asyncio.run(self.acall(name, **args))

    async def acall(self, name: str, **args: Any) -> ToolResult:
        self.progress.clear()
        results = []
        async for item in self.source.call(ToolCall("c1", name, args)):
            (self.progress if isinstance(item, str) else results).append(item)
        assert len(results) == 1
        return results[0]


@pytest.fixture
def box(tmp_path: Path) -> Callable[..., Box]:
    """`box(code)` or `box(*files)`: a loaded Box."""

    def make(*plugins: str | Path, unsandboxed: bool = False) -> Box:
        workspace = tmp_path / "work space"
        workspace.mkdir(exist_ok=True)
        files = []
        for number, plugin in enumerate(plugins):
            if isinstance(plugin, str):
                file = tmp_path / f"plugin{number}.py"
                file.write_text(plugin)
                plugin = file
            files.append(plugin)
        folders = {"scratch": tmp_path / "scratch", "spill": tmp_path / "spill"}
        source = PluginSource(files, workspace=workspace, unsandboxed=unsandboxed, **folders)
        made = Box(source, workspace, **folders)
        made.problems = asyncio.run(source.load())
        return made

    return make
