"""What a server that we start may see, change and reach: from what the user granted it, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigError
from ...sandbox import launch
from ...store import paths
from ...store.mcp import Granted, Server
from ...values import Effect
from . import preparing
from .filling import Filled, filled

_SCRIPTS = (".js", ".mjs", ".cjs", ".ts", ".py", ".pyz", ".jar")


@dataclass(frozen=True, slots=True)
class Start:
    """How a server is started. `profile` None: there is no boundary on this machine."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    profile: launch.Profile | None


def writes(granted: Granted) -> bool:
    return "write:fs" in granted.effects or bool(granted.write)


def reads(granted: Granted) -> bool:
    return writes(granted) or "read:fs" in granted.effects or bool(granted.read)


def effects(server: Server, hints: Mapping[str, object]) -> tuple[Effect, ...]:
    """The effects of one of its tools. None at all where the user granted nothing, so that it asks each time.

    What the server says of the tool (`hints`) only takes away: one that calls itself destructive asks, whatever was granted.
    Where it may write, every one of its tools may: it is a program that works on the files themselves.
    """
    granted = server.granted
    net: tuple[Effect, ...] = ("net",) if server.url or granted.hosts else ()
    if server.url:
        return net
    if writes(granted):
        return ("read:fs", "run", *net)
    if hints.get("destructiveHint") is True and not net:
        return ()
    if reads(granted):
        return ("read:fs", *net)
    if net:
        return net
    return ("compute",) if "compute" in granted.effects else ()


def own_folder(server: str) -> Path:
    """Where a server may keep what it wants to find again; the only place it can write unless it was granted more."""
    made = paths.data_dir() / "mcp" / server
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    return made


def start(
    server: Server, workspace: str, *, closed: Sequence[str] = (), denied: Sequence[str] = (), unsandboxed: bool = False
) -> tuple[Start, Filled]:
    """How to start the server for a session in this workspace. Raises ConfigError for what its entry lacks."""
    given, granted = filled(server, workspace), server.granted
    folder = str(own_folder(server.name))
    argv, bound = preparing.prepared(server.name, given.argv)
    readable = [os.path.expanduser(place) for place in granted.read]
    writable = [folder, *(os.path.expanduser(place) for place in granted.write)]
    if "write:fs" in granted.effects:
        writable.append(workspace)
    elif "read:fs" in granted.effects:
        readable.append(workspace)
    cwd = given.cwd or (workspace if {"read:fs", "write:fs"} & set(granted.effects) else folder)
    if not os.path.isdir(cwd):
        raise ConfigError(f"The folder {cwd!r} that the MCP server {server.name} is to work in does not exist.", "Mend cwd in mcp.json.")
    profile = None
    if not unsandboxed:
        profile = launch.Profile(
            readable=(*readable, *bound, *code_of(argv)),
            writable=tuple(writable),
            closed=tuple(closed),
            hosts=granted.hosts,
            denied_hosts=tuple(denied),
            limits=launch.Limits(wall_s=0, output_kb=0),
        )
    env = launch.clean_env({**_caches(folder), **given.env, "LOCALAGENT_SERVER_DATA": folder})
    return Start(argv, env, cwd, profile), given


def code_of(argv: Sequence[str]) -> tuple[str, ...]:
    """Folders that hold the program itself, and the script it is handed: it could not start without them.

    Never the home folder or one above it: a program that lies there by itself has to be given its folder by name.
    """
    program = shutil.which(argv[0]) or argv[0]
    found = [_around(place) for place in dict.fromkeys((program, os.path.realpath(program))) if os.path.isabs(place)]
    for word in argv[1:]:
        if os.path.isabs(word) and word.endswith(_SCRIPTS) and os.path.isfile(word):
            found.append(_project(word))
    home = os.path.realpath(os.path.expanduser("~"))
    return tuple(place for place in dict.fromkeys(found) if not f"{home}/".startswith(os.path.realpath(place).rstrip("/") + "/"))


def _around(program: str) -> str:
    folder = os.path.dirname(program)
    if os.path.basename(folder) not in ("bin", ".bin"):
        return _project(program)
    # What lies in X/bin keeps what it needs in X; in a home folder, and in its .local, lies much else.
    home = os.path.realpath(os.path.expanduser("~"))
    above = os.path.dirname(folder)
    return folder if os.path.realpath(above) in (home, os.path.join(home, ".local")) else above


def _project(file: str) -> str:
    """The nearest folder above the file that says it is a project or holds packages, else its own."""
    folder = place = os.path.dirname(file)
    for _ in range(6):
        if any(os.path.exists(os.path.join(folder, name)) for name in ("node_modules", "pyproject.toml", "pyvenv.cfg")):
            return folder
        if os.path.basename(folder) == "node_modules":
            return folder
        folder = os.path.dirname(folder)
    return place


def _caches(folder: str) -> dict[str, str]:
    """Programs that fetch their packages find no home folder to keep them in; and node has to be told of proxies."""
    return {
        "NODE_USE_ENV_PROXY": "1",
        "npm_config_cache": os.path.join(folder, ".npm"),
        "npm_config_update_notifier": "false",
        "UV_CACHE_DIR": os.path.join(folder, ".uv"),
        "XDG_CACHE_HOME": os.path.join(folder, ".cache"),
        "XDG_DATA_HOME": os.path.join(folder, ".data"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_OPTIONAL_LOCKS": "0",
    }
