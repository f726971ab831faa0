"""Servers that are configured and confirmed without having been started, and a source over them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localagent.sandbox import launch
from localagent.store import mcp, mcp_known
from localagent.store.mcp import Granted, Server
from localagent.store.mcp_known import Definition, Manifest
from localagent.toolbox.mcp.source import McpSource
from localagent.values import ToolCall, ToolResult
from tests.toolbox.mcp import scripted

SCRIPT = str(Path(scripted.__file__))


def offered(server: Server) -> Manifest:
    """What `scripted.py` offers."""
    given = (scripted.ECHO, scripted.WIPE)
    tools = tuple(Definition(one["name"], one["description"], one["inputSchema"], one.get("annotations", {})) for one in given)
    return Manifest(server.identity, tools, True, (("review", ("what",)),))


@dataclass
class Place:
    """A workspace with servers; `said` is the live output of the last call."""

    workspace: Path
    spill: Path
    said: list[str] = field(default_factory=list)

    def add(self, how: str, *args: str, name: str = "", env: dict[str, str] | None = None, **granted: Any) -> Server:
        made = Server(name or how, sys.executable, ("-I", "-S", SCRIPT, how, *args), env or {}, granted=Granted(**granted))
        mcp.add(made)
        mcp_known.confirm(made.name, offered(made))
        return made

    def source(self, **how: Any) -> McpSource:
        return McpSource(self.workspace, self.spill, unsandboxed=launch.probe().name == "none", **how)

    async def call(self, source: McpSource, tool: str, **args: Any) -> ToolResult:
        self.said.clear()
        results = []
        async for item in source.call(ToolCall("c1", tool, args)):
            (self.said if isinstance(item, str) else results).append(item)
        assert len(results) == 1
        return results[0]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(tmp_path / "work", tmp_path / "spill")

