"""The rules between the rooms, held by import-linter and by reading the source."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "localagent"
SOURCES = sorted(PACKAGE.rglob("*.py"))

MAY_PRINT = ("cli.py", "headless/", "commands/", "toolbox/worker.py")
STARTS_PROCESSES = set(
    "create_subprocess_exec create_subprocess_shell subprocess_exec subprocess_shell Popen fork forkpty posix_spawn "
    "posix_spawnp popen startfile execv execve execvp execvpe execl execlp spawnv spawnve spawnl spawnlp".split()
)


def _calls(path: Path) -> Iterator[tuple[int, ast.Call]]:
    for node in _nodes(path):
        if isinstance(node, ast.Call):
            yield node.lineno, node


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@functools.cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(path)))


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_the_import_contracts_hold() -> None:
    pytest.importorskip("importlinter", reason="requirements-dev.lock installs import-linter")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_only_the_front_ends_and_the_worker_print() -> None:
    found = [
        f"{_name(path)}:{line}"
        for path in SOURCES
        if not _name(path).startswith(MAY_PRINT)
        for line, call in _calls(path)
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]
    assert not found


def test_only_the_sandbox_starts_processes() -> None:
    found = [
        f"{_name(path)}:{line}"
        for path in SOURCES
        if not _name(path).startswith("sandbox/")
        for line, call in _calls(path)
        if isinstance(call.func, ast.Attribute)
        and (call.func.attr in STARTS_PROCESSES or ast.unparse(call.func) == "os.system")
    ]
    assert not found


def test_no_failure_is_swallowed_whole() -> None:
    found = [
        f"{_name(path)}:{node.lineno}"
        for path in SOURCES
        for node in _nodes(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
        and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]
    assert not found


def test_the_shipped_tools_use_the_plugin_api_alone() -> None:
    ours: list[str] = []
    for path in sorted((ROOT / "tools").glob("*.py")):
        for node in _nodes(path):
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            for module in modules:
                top = module.partition(".")[0]
                # Libraries that come with us, as any plugin may use them.
                if module != "localagent" and top not in {"bs4", "markdownify", "idna", *sys.stdlib_module_names}:
                    ours.append(f"{path.name}:{node.lineno} {module}")
    assert not ours


def test_every_room_says_what_it_is() -> None:
    silent = [_name(path) for path in SOURCES if not ast.get_docstring(_tree(path))]
    assert not silent


def test_files_stay_small() -> None:
    assert [_name(path) for path in SOURCES if len(path.read_text("utf-8").splitlines()) > 400] == []
