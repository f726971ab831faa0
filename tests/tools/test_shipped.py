"""The tools as they are shipped: found by a plugin source, few, cheap in the prompt, and right in the sandbox."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from pathlib import Path

import pytest

from localagent.toolbox.plugins import PluginSource
from localagent.values import ToolCall, ToolResult, ToolSpec

TOOLS = Path(__file__).resolve().parents[2] / "tools"
# What a plugin may use besides the standard library: it comes with localagent.
LIBRARIES = {"bs4", "markdownify", "idna"}
EFFECTS = {
    "list_files": "read:fs",
    "find_files": "read:fs",
    "search_text": "read:fs",
    "read_file": "read:fs",
    "write_file": "write:fs",
    "edit_file": "write:fs",
    "move_file": "write:fs",
    "copy_file": "write:fs",
    "make_folder": "write:fs",
    "trash": "write:fs",
    "run": "run",
}


@pytest.fixture
def source(tmp_path: Path) -> PluginSource:
    workspace = tmp_path / "w"
    workspace.mkdir()
    files = [TOOLS / "files.py", TOOLS / "modify.py", TOOLS / "shell.py"]
    made = PluginSource(files, workspace=workspace, scratch=tmp_path / "s", spill=tmp_path / "o")
    assert asyncio.run(made.load()) == []
    return made


def call(source: PluginSource, name: str, **args: object) -> ToolResult:
    async def last() -> ToolResult:
        return [item async for item in source.call(ToolCall("1", name, args)) if isinstance(item, ToolResult)][-1]

    return asyncio.run(last())


def signature(spec: ToolSpec) -> str:
    """The shortest form in which a model can be told of a tool."""
    properties, required = spec.parameters["properties"], spec.parameters["required"]
    inside = ", ".join(
        f"{name}: {shape['type']}{'' if name in required else '?'}" for name, shape in properties.items()
    )
    return f"{spec.name}({inside}): {spec.description}"


def test_each_tool_has_one_effect_and_all_of_them_cost_little(source: PluginSource) -> None:
    specs = source.specs()
    assert {spec.name: "".join(spec.effects) for spec in specs} == EFFECTS
    short, whole = 0, 0
    for spec in specs:
        cost = len(signature(spec)) / 4, len(json.dumps(spec.parameters)) / 4 + len(spec.description) / 4
        short, whole = short + cost[0], whole + cost[1]
        print(f"{spec.name:12} about {cost[0]:4.0f} tokens as a signature, {cost[1]:4.0f} as JSON Schema")
        assert cost[0] < 45
    print(f"{'all':12} about {short:4.0f} and {whole:4.0f}")
    assert short < 400


def test_they_are_written_as_anybody_would_write_one() -> None:
    for file in TOOLS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in {"localagent", *LIBRARIES, *sys.stdlib_module_names}, (file, name)


def test_looking_and_changing_in_the_real_sandbox(source: PluginSource, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    (workspace / "a b.txt").write_text("port: 8080\n")
    assert "a b.txt  11 B" in call(source, "list_files").text
    assert call(source, "read_file", path="a b.txt").text == "port: 8080\n"
    edit = call(source, "edit_file", path="a b.txt", old="8080", new="9090")
    assert Path(str(edit.requests[0].content)).read_text() == "port: 9090\n"
    missing = call(source, "read_file", path="nowhere.txt")
    assert (missing.status, missing.text) == ("failed", "nowhere.txt does not exist. In this folder there is: a b.txt.")


def test_a_long_output_can_be_read_on(source: PluginSource) -> None:
    result = call(source, "run", command="seq 1 30000")
    assert result.receipts[0].data["exit_code"] == 0
    assert result.spill is not None
    assert f'read_file(path="{result.spill}", start=' in result.text
    part = call(source, "read_file", path=result.spill, start=15000, end=15001)
    assert part.text.startswith("15000\n15001\n")


def test_a_program_works_on_its_view_and_stops_in_time(source: PluginSource, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    (workspace / "d").mkdir()
    (workspace / "d" / "x.txt").write_text("x")
    result = call(source, "run", command="mv d/x.txt d/y.txt && mkdir e && echo new > e/n.txt && ls d")
    assert (result.text, result.status) == ("y.txt", "ok")
    assert (workspace / "d" / "x.txt").exists()
    assert {Path(change.dest or change.path).name for change in result.requests} >= {"y.txt", "e", "n.txt"}
    (workspace / "lib.py").write_text("x = 1")
    only_read = call(source, "run", command="python3 -c 'import lib; print(lib.x)'")
    assert (only_read.text, only_read.requests) == ("1", ())
    stopped = call(source, "run", command="echo x > made.txt; sleep 60", timeout=1)
    assert stopped.text == "Stopped after 1 seconds. Nothing it changed was kept."
    assert stopped.requests == ()


def test_the_model_hears_which_host_was_not_granted(source: PluginSource) -> None:
    """What a program makes of a proxy's no rarely tells the reason."""
    source._hosts = lambda: (("good.example",), ())
    code = "import urllib.request as u; u.urlopen('https://other.example/x', timeout=5)"
    told = call(source, "run", command=f'{sys.executable} -c "{code}" 2>/dev/null; true')
    assert "net(other.example) is not" in told.text, told.text
    assert "refused by the sandbox" not in call(source, "run", command="true").text
