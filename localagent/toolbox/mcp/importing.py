"""MCP servers as other programs have them in their settings: where these lie, and what is taken over. Nothing is granted by it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError, UsageError
from ...store.mcp import LONGEST_S, NAME, TIMEOUT_S, Granted, Server, document, parsed
from .filling import hidden

_MOST_BYTES = 16 << 20
_INPUT = re.compile(r"\$\{input:([A-Za-z0-9_.-]{1,64})\}")


@dataclass(frozen=True, slots=True)
class Found:
    """A server of another program's. `secrets` stood in it by name, and are to be kept elsewhere."""

    server: Server
    secrets: Mapping[str, str]


def places(home: str, folder: str) -> dict[str, list[Path]]:
    """Program -> where it may have its servers, for the user and for a folder."""
    base = Path(home)
    support = base / "Library" / "Application Support" if sys.platform == "darwin" else base / ".config"
    if os.name == "nt":
        support = Path(os.environ.get("APPDATA") or base)
    here = Path(folder)
    return {
        "claude-desktop": [support / "Claude" / "claude_desktop_config.json"],
        "claude-code": [base / ".claude.json", here / ".mcp.json"],
        "cursor": [base / ".cursor" / "mcp.json", here / ".cursor" / "mcp.json"],
        "vscode": [support / "Code" / "User" / "mcp.json", support / "Code" / "User" / "settings.json", here / ".vscode" / "mcp.json"],
        "gemini": [base / ".gemini" / "settings.json", here / ".gemini" / "settings.json"],
        "qwen": [base / ".qwen" / "settings.json", here / ".qwen" / "settings.json"],
        "windsurf": [base / ".codeium" / "windsurf" / "mcp_config.json"],
    }


def read(file: Path, folder: str) -> tuple[list[Found], list[str]]:
    """The servers in a file of any of these programs, and a sentence for each that cannot be taken.

    What a file in `folder` names is there for that folder alone. Raises ConfigError and UsageError.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{file}: the file is too large.")
    small = len(data) <= 1 << 20
    given = document(without_comments(data.decode("utf-8-sig", "replace")).encode(), str(file)) if small else _large(data, file)
    place = os.path.realpath(folder)
    own = place if os.path.realpath(file).startswith(place + os.sep) and os.path.realpath(os.path.expanduser("~")) != place else ""
    found, problems = [], []
    for name, entry, where in _entries(given, place):
        try:
            found.append(_one(name, entry, str(file), where or own, old=".gemini" in file.parts or ".qwen" in file.parts))
        except ConfigError as error:
            problems.append(str(error))
    return found, problems


def _large(data: bytes, file: Path) -> dict[str, Any]:
    """Claude Code keeps much else in its file."""
    import json

    try:
        made = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError(f"{file}:1: it is not JSON.") from None
    return made if isinstance(made, dict) else {}


def _entries(given: Mapping[str, Any], folder: str) -> Iterable[tuple[str, Any, str]]:
    """(name, entry, folder it is for) of every form: `mcpServers`, VS Code's `servers` and `mcp.servers`, Claude Code's `projects`."""
    inner = given.get("mcp")
    for group in (given.get("mcpServers"), given.get("servers"), inner.get("servers") if isinstance(inner, dict) else None):
        if isinstance(group, dict):
            yield from ((str(name), entry, "") for name, entry in group.items())
    projects = given.get("projects")
    mine = projects.get(folder) if isinstance(projects, dict) else None
    servers = mine.get("mcpServers") if isinstance(mine, dict) else None
    if isinstance(servers, dict):
        yield from ((str(name), entry, folder) for name, entry in servers.items())


def _one(name: str, entry: Any, where: str, folder: str, old: bool) -> Found:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: {name}: it must be an object.")
    if old and entry.get("url") and not entry.get("httpUrl") and entry.get("type") != "http":
        # There `url` is the old form over HTTP.
        entry = {**entry, "type": "sse"}
    # What another program granted, or a folder's file claims to be granted, does not count here.
    made = parsed(usable(name), {key: value for key, value in entry.items() if key != "localagent"}, where)
    env, secrets = hidden({key: _input(value) for key, value in made.env.items()})
    headers, more = hidden({key: _input(value) for key, value in made.headers.items()})
    args = tuple(_input(word) for word in made.args)
    granted = Granted(
        include=_globs(entry.get("includeTools")),
        exclude=_globs(entry.get("excludeTools")),
        timeout=_seconds(entry.get("timeout")),
        on=entry.get("disabled") is not True,
        folder=folder,
    )
    return Found(replace(made, env=env, headers=headers, args=args, granted=granted), {**secrets, **more})


def usable(name: str) -> str:
    """The name, or what of it can be one."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:32]
    if not NAME.fullmatch(plain):
        raise ConfigError(f"{name!r} cannot be the name of a server.", "Add it with `localagent mcp add` under another one.")
    return plain


def _input(text: str) -> str:
    """What VS Code would ask for at each start is a secret here."""
    return _INPUT.sub(r"${secret:\1}", text)


def _globs(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str) and one) if isinstance(value, list) else ()


def _seconds(value: Any) -> float:
    """Others count milliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return min(LONGEST_S, max(1.0, value / 1000))
    return TIMEOUT_S


def without_comments(text: str) -> str:
    """JSON as it is when comments and the commas behind last members are left out; lines keep their numbers."""

    def kept(match: re.Match[str]) -> str:
        return match[0] if match[0][0] == '"' else "\n" * match[0].count("\n")

    made = re.sub(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', kept, text, flags=re.S)
    return re.sub(r'("(?:[^"\\\n]|\\.)*")|,(\s*[}\]])', lambda match: match[1] or match[2], made)
