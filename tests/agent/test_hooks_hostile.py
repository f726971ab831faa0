"""Ways past a hook, and out of the sandbox through one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from localagent.agent import hook_form, hooks
from localagent.store.hooksfile import Hook


def hook(command: str, sandbox: bool | None = None) -> Hook:
    return Hook("PreToolUse", "", command, "hooks.json", 10.0, sandbox=sandbox)


def test_a_gate_hears_a_servers_tool_by_both_its_names() -> None:
    # Our name may begin with the server's because its own does, or because it was taken.
    assert {"mcp__git__status", "mcp__git__git_status"} <= set(hook_form.names_of("git_status", "mcp:git"))
    assert hook_form.names_of("status", "mcp:git") == ("status", "mcp__git__status")


@pytest.mark.parametrize("command", ["make lint", "cd x && npm run lint", "x=$(/usr/bin/pytest -q)", "npx prettier -w x", "~/bin/uv run y"])
def test_what_runs_the_folders_files_without_naming_one_is_in_the_sandbox(tmp_path: Path, command: str) -> None:
    assert hooks.held(hook(command), tmp_path)
    assert not hooks.held(hook(command, sandbox=False), tmp_path)


def test_python_takes_no_module_from_the_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name in ("json.py", "checker.py"):
        (work / name).write_text(f"open({str(tmp_path / 'escaped')!r}, 'w')\n")
    for command in ("python3 -c 'import json; print(json.dumps({}))'", "python3 -m checker"):
        assert not hooks.held(hook(command), work)
        asyncio.run(hooks.run(hook(command), {}, work))
    assert not (tmp_path / "escaped").exists()
