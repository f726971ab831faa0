"""Servers that `npx` or `uvx` would fetch at each start, installed once into a folder of ours instead.

They are fetched by the user's own npm and pip, before anything of theirs runs: npm without scripts, pip with wheels only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import StoreError, UsageError
from ...sandbox import launch
from ...store import paths
from ...store.atomic import write_atomic
from ...store.files import remove_tree

_INSTALL_S = 900.0
_NPM = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*(?:@[A-Za-z0-9^~<>=][A-Za-z0-9._^~<>=-]*)?")
_PYPI = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]*\])?(?:[=<>~!@][=]?[A-Za-z0-9.*-]+)*")
_TELLS = 2000


@dataclass(frozen=True, slots=True)
class Package:
    """What a command line would fetch and run: `program` of `name`, with `rest` as its arguments."""

    kind: Literal["npm", "pypi"]
    name: str
    program: str
    rest: tuple[str, ...]
    more: tuple[str, ...] = ()


def package(argv: Sequence[str]) -> Package | None:
    """The package that this command line fetches when it runs; None where it fetches none or says so in a way not known here."""
    if not argv:
        return None
    tool, rest = os.path.basename(argv[0]), list(argv[1:])
    if tool in ("npx", "bunx") or (tool == "npm" and rest[:1] in (["exec"], ["x"])):
        return _npm(rest[1:] if tool == "npm" else rest)
    if tool == "uvx" or (tool == "uv" and rest[:2] == ["tool", "run"]):
        return _pypi(rest[2:] if tool == "uv" else rest)
    if tool == "pipx" and rest[:1] == ["run"]:
        return _pypi(rest[1:])
    return None


def _npm(words: list[str]) -> Package | None:
    name = ""
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("-p", "--package") and words:
            name = words.pop(0)
        elif word.startswith("--package="):
            name = word.partition("=")[2]
        elif word not in ("-y", "--yes", "-q", "--quiet", "--"):
            return None
    if not words:
        return None
    program = words.pop(0)
    chosen = name or program
    if not _NPM.fullmatch(chosen):
        return None
    return Package("npm", chosen, program if name else "", tuple(words))


def _pypi(words: list[str]) -> Package | None:
    name, more = "", []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("--from", "--spec") and words:
            name = words.pop(0)
        elif word == "--with" and words:
            more.append(words.pop(0))
        elif word.startswith(("--from=", "--spec=")):
            name = word.partition("=")[2]
        elif word not in ("-q", "--quiet", "--"):
            return None
    if not words:
        return None
    program = words.pop(0)
    chosen = name or program
    if not all(_PYPI.fullmatch(one) for one in (chosen, *more)):
        return None
    # `uvx name@1.2` is pip's `name==1.2`.
    base, at, version = chosen.partition("@")
    wanted = base if not at or version == "latest" else f"{base}=={version}"
    return Package("pypi", wanted, program.partition("@")[0], tuple(words), tuple(more))


def prepared(server: str, argv: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The command line that starts what was installed, and what of ours it has to read; the same command line where nothing was."""
    found = package(argv)
    folder = _folder(server)
    if found is None or not folder.is_dir():
        return argv, ()
    try:
        facts = json.loads((folder / "installed.json").read_bytes())
        program = str(facts["program"]) if [facts["kind"], facts["name"]] == [found.kind, found.name] else ""
    except (OSError, ValueError, KeyError, TypeError):
        program = ""
    if not program or not os.path.exists(program):
        return argv, ()
    return (program, *found.rest), (str(folder),)


async def install(server: str, found: Package) -> str:
    """Fetch the package and what it needs; returns the program. Raises StoreError with what the installer said, UsageError without one."""
    folder = _folder(server)
    remove(server)
    folder.mkdir(parents=True, mode=0o700)
    try:
        program = await (_with_npm(folder, found) if found.kind == "npm" else _with_pip(folder, found))
        write_atomic(folder / "installed.json", json.dumps({"kind": found.kind, "name": found.name, "program": program}).encode())
    except BaseException:
        remove(server)
        raise
    return program


def remove(server: str) -> None:
    if _folder(server).exists():
        remove_tree(str(_folder(server)))


async def _with_npm(folder: Path, found: Package) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError("npm is not installed, and the server is a package of npm.", "Install Node.js, or name another command.")
    line = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--prefix", str(folder), found.name]
    await _run(line, folder)
    name = re.sub(r"(?<=.)@[^@/]*$", "", found.name)
    package = folder / "node_modules" / name / "package.json"
    try:
        binaries = json.loads(package.read_bytes()).get("bin", {})
    except (OSError, ValueError) as error:
        raise StoreError(f"{found.name} was installed, but cannot be read: {error}.") from error
    if isinstance(binaries, str):
        binaries = {name.rpartition("/")[2]: binaries}
    chosen = found.program or name.rpartition("/")[2]
    if chosen not in binaries and len(binaries) == 1:
        chosen = next(iter(binaries))
    program = folder / "node_modules" / ".bin" / chosen
    if chosen not in binaries or not program.exists():
        raise StoreError(f"{found.name} has no program {chosen!r}; it has: {', '.join(binaries) or 'none'}.")
    return str(program)


async def _with_pip(folder: Path, found: Package) -> str:
    await _run([sys.executable, "-m", "venv", str(folder)], folder)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet"]
    await _run([*pip, found.name, *found.more], folder)
    program = folder / "bin" / found.program
    if not program.exists():
        raise StoreError(f"{found.name} was installed, but has no program {found.program!r}.")
    return str(program)


async def _run(argv: Sequence[str], folder: Path) -> None:
    limits = launch.Limits(wall_s=_INSTALL_S, memory_mb=0, processes=0, file_mb=0, output_kb=4096)
    done = await launch.run(argv, profile=None, cwd=folder, env=dict(os.environ), limits=limits)
    if done.code or done.ended:
        told = done.output.decode("utf-8", "replace").strip()[-_TELLS:]
        how = f"The server is kept. Try again: localagent mcp install {folder.name}"
        tool = "npm" if os.path.basename(argv[0]) == "npm" else "pip"
        raise StoreError(f"{tool} could not install it ({done.ended or f'exit code {done.code}'}):\n{told}\n", how)


def _folder(server: str) -> Path:
    return paths.data_dir() / "mcp-packages" / server
