"""What rules deny and what is named like a place for keys is closed to the shipped tools, whatever they try."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from localagent.store.paths import shipped
from localagent.toolbox.plugins import PluginSource
from localagent.values import ToolCall, ToolResult

_PATTERNS: list[str] = []


@pytest.fixture
def source(tmp_path: Path) -> PluginSource:
    workspace = tmp_path / "w"
    for name in ("sub/secret.txt", "sub/deep/other.txt", "backup/.ssh/id_rsa", "backup/note.txt"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("HIDDEN" if name != "backup/note.txt" else "SHOWN")
    _PATTERNS[:] = [f"{workspace}/sub/**"]
    files = [shipped("tools") / name for name in ("files.py", "modify.py", "shell.py")]
    folders = {"workspace": workspace, "scratch": tmp_path / "s", "spill": tmp_path / "o"}
    made = PluginSource(files, **folders, closed=lambda: _PATTERNS)
    assert asyncio.run(made.load()) == []
    return made


def call(source: PluginSource, name: str, **args: object) -> ToolResult:
    async def last() -> ToolResult:
        return [item async for item in source.call(ToolCall("1", name, args)) if isinstance(item, ToolResult)][-1]

    return asyncio.run(last())


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("read_file", {"path": "sub/secret.txt"}),
        ("read_file", {"path": "backup/.ssh/id_rsa"}),
        ("search_text", {"pattern": "HIDDEN|SHOWN"}),
        ("find_files", {"pattern": "**"}),
        ("list_files", {"path": "sub"}),
        ("run", {"command": "cat sub/* */* */*/* */.ssh/*; find ."}),
        ("run", {"command": "cp -r sub q; cp -r backup b2; cat q/* b2/.ssh/*; ls -RA q b2"}),
    ],
)
def test_nothing_of_it_is_seen(source: PluginSource, tool: str, args: dict[str, object]) -> None:
    told = call(source, tool, **args).text
    if tool != "search_text":
        assert "HIDDEN" not in told
    for name in ("secret.txt:", "other.txt", "id_rsa:", "deep"):
        assert name not in told
    if tool in ("search_text", "run"):
        assert "note.txt" in told


def test_it_is_not_reported_as_gone_and_cannot_be_filled(source: PluginSource) -> None:
    result = call(source, "run", command="rm -rf sub backup/.ssh; echo x > backup/.ssh/new; echo y > new")
    assert [(c.kind, Path(c.path).name) for c in result.requests] == [("write", "new")]


def test_rules_are_asked_for_at_each_call(source: PluginSource) -> None:
    _PATTERNS.clear()
    assert "HIDDEN" in call(source, "read_file", path="sub/secret.txt").text
    _PATTERNS.append("/**/secret.txt")
    assert "HIDDEN" not in call(source, "read_file", path="sub/secret.txt").text
    assert "HIDDEN" in call(source, "run", command="cat sub/deep/other.txt").text


def test_a_folder_that_holds_some_of_it_stays_where_the_program_moves_it_away(source: PluginSource) -> None:
    result = call(source, "run", command="mv backup b2")
    made = {(c.kind, Path(c.path).name, Path(c.dest or "").name) for c in result.requests}
    assert ("move", "note.txt", "note.txt") in made and "trash" not in {kind for kind, _, _ in made}
    assert not any("id_rsa" in c.path for c in result.requests)
