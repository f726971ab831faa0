"""mcp.json in the configuration folder: the MCP servers, in the form that other programs use too, and what each was granted.

    {"mcpServers": {"files": {"command": "npx", "args": ["..."], "localagent": {"effects": ["read:fs"]}}}}

What other programs write beside it is left alone. The file names commands that are run, so nobody else may be able to write it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, UsageError
from . import paths
from .atomic import write_atomic
from .lock import locked

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
GRANTABLE = ("compute", "read:fs", "write:fs")
TIMEOUT_S, LONGEST_S = 60.0, 3600.0
_KEY = "localagent"
_MOST_BYTES = 1 << 20
_MOST_SERVERS = 200
_HOST = re.compile(r"\*|(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?")
_LISTS = ("effects", "hosts", "read", "write", "include", "exclude")


@dataclass(frozen=True, slots=True)
class Granted:
    """What the user gave a server.

    `effects` are of `GRANTABLE`, `hosts` the names it may reach, `read` and `write` folders besides the workspace. `include` (empty: all)
    and `exclude` are globs of its tools' names, `timeout` is in seconds. `folder` is the only workspace it is there for, "" for all.
    """

    effects: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    timeout: float = TIMEOUT_S
    folder: str = ""
    on: bool = True


@dataclass(frozen=True, slots=True)
class Server:
    """One server as the file has it, its variables not yet filled in: a `command` that is started, or a `url`."""

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    granted: Granted = field(default_factory=Granted)

    @property
    def identity(self) -> str:
        """What is started or reached: another one has to be confirmed anew."""
        facts = [self.command, self.args, sorted(self.env.items()), self.cwd, self.url, sorted(self.headers.items())]
        return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def credentials(self) -> str:
        """The name under which its secrets are kept."""
        return f"mcp:{self.name}"


def path() -> Path:
    return paths.config_dir() / "mcp.json"


def load() -> dict[str, Server]:
    """name -> server, in the file's order. Raises ConfigError with the file, what is wrong, and the next step."""
    return _servers(_read())


def one(name: str) -> Server:
    """Raises UsageError for a server that there is not."""
    known = load()
    if name not in known:
        there = f"The servers are: {', '.join(known)}." if known else "Add one with `localagent mcp add`."
        raise UsageError(f"There is no MCP server {name!r}.", there)
    return known[name]


def add(server: Server) -> None:
    """Write a new server behind the others. Raises UsageError for a name that cannot be or is taken, or a form that cannot be read."""

    def put(found: dict[str, Any]) -> None:
        if server.name in found:
            raise UsageError(f"There is an MCP server {server.name!r} already.", f"Remove it with `localagent mcp rm {server.name}`.")
        found[server.name] = _entry(server)

    if not NAME.fullmatch(server.name):
        raise UsageError(f"{server.name!r} cannot be the name of a server.", "Use up to 32 of a-z, A-Z, 0-9, - and _.")
    _change(put)


def grant(name: str, change: Callable[[Granted], Granted]) -> Server:
    """Change what a server was granted; the rest of its entry stays as it is. Raises UsageError."""
    one(name)

    def put(found: dict[str, Any]) -> None:
        given = found[name]
        given[_KEY] = _granted_entry(change(_granted(given.get(_KEY, {}), name)))

    return _change(put)[name]


def remove(name: str) -> bool:
    """Whether it was there."""
    if name not in load():
        return False
    _change(lambda found: found.pop(name, None) and None)
    return True


def parsed(name: str, given: Any, where: str) -> Server:
    """One entry of an `mcpServers` object. Raises ConfigError."""
    at = f"{where}: {name}"
    if not isinstance(given, dict):
        raise ConfigError(f"{at}: it must be an object.")
    texts = {key: _text(given.get(key), f"{at}: {key}") for key in ("command", "cwd", "url")}
    if "httpUrl" in given and not texts["url"]:
        texts["url"] = _text(given["httpUrl"], f"{at}: httpUrl")
    if "serverUrl" in given and not texts["url"]:
        texts["url"] = _text(given["serverUrl"], f"{at}: serverUrl")
    if bool(texts["command"]) == bool(texts["url"]):
        raise ConfigError(f"{at}: it must have either a command or a url.")
    if given.get("type") == "sse":
        raise ConfigError(f"{at}: it speaks the old form over HTTP (sse).", "Ask its maker for the streamable one (type http).")
    args = given.get("args") or ()
    if not isinstance(args, list | tuple) or not all(isinstance(word, str) for word in args):
        raise ConfigError(f"{at}: args must be a list of texts.")
    maps = {key: _texts(given.get(key), f"{at}: {key}") for key in ("env", "headers")}
    return Server(name, args=tuple(args), granted=_granted(given.get(_KEY, {}), at), **texts, **maps)


def _text(value: Any, at: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise ConfigError(f"{at}: it must be a text.")
    return value.strip()


def _texts(value: Any, at: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str | int | float) and "\0" not in str(one) for one in value.values()):
        raise ConfigError(f"{at}: it must be names with texts.")
    return {str(key): str(one) for key, one in value.items()}


def _granted(given: Any, at: str) -> Granted:
    if not isinstance(given, dict):
        raise ConfigError(f"{at}: {_KEY}: it must be an object.")
    unknown = set(given) - {*_LISTS, "timeout", "folder", "on"}
    if unknown:
        raise ConfigError(f"{at}: {_KEY}: {sorted(unknown)[0]!r} is not known.", f"Known are: {', '.join(_LISTS)}, timeout, folder, on.")
    lists: dict[str, tuple[str, ...]] = {}
    for key in _LISTS:
        value = given.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise ConfigError(f"{at}: {_KEY}: {key} must be a list of texts.")
        lists[key] = tuple(value)
    timeout, on, folder = given.get("timeout", TIMEOUT_S), given.get("on", True), given.get("folder", "")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout <= LONGEST_S:
        raise ConfigError(f"{at}: {_KEY}: timeout must be seconds, up to {LONGEST_S:g}.")
    if not isinstance(on, bool) or not isinstance(folder, str):
        raise ConfigError(f"{at}: {_KEY}: on must be true or false, folder a text.")
    made = Granted(timeout=float(timeout), on=on, folder=folder, **lists)
    if wrong := wrong_grant(made):
        raise ConfigError(f"{at}: {_KEY}: {wrong}")
    return made


def wrong_grant(granted: Granted) -> str:
    """What cannot be granted, and what can; "" where all of it can."""
    for effect in granted.effects:
        if effect not in GRANTABLE:
            return f"the effect {effect!r} cannot be granted. Use {', '.join(GRANTABLE)}; for the network name hosts."
    for host in granted.hosts:
        if not _HOST.fullmatch(host):
            return f"{host!r} is no host. Name it as in example.org, *.example.org or example.org:8443."
    for place in (*granted.read, *granted.write):
        if not os.path.isabs(os.path.expanduser(place)):
            return f"{place!r} is no absolute path."
    return ""


def _entry(server: Server) -> dict[str, Any]:
    made: dict[str, Any] = {"command": server.command, "args": list(server.args)} if server.command else {"type": "http", "url": server.url}
    for key in ("env", "cwd", "headers"):
        if value := getattr(server, key):
            made[key] = dict(value) if isinstance(value, Mapping) else value
    return {**made, _KEY: _granted_entry(server.granted)}


def _granted_entry(granted: Granted) -> dict[str, Any]:
    plain = Granted()
    made: dict[str, Any] = {key: list(value) for key in _LISTS if (value := getattr(granted, key))}
    made |= {key: value for key in ("timeout", "folder") if (value := getattr(granted, key)) != getattr(plain, key)}
    return {**made, "on": granted.on}


def _change(put: Callable[[dict[str, Any]], None]) -> dict[str, Server]:
    with _alone():
        document = _read()
        found = document.setdefault("mcpServers", {})
        put(found)
        made = _servers(document)
        write_atomic(path(), json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass") + b"\n")
    return made


def _alone() -> AbstractContextManager[bool]:
    return locked(path().with_suffix(".lock"), poll_s=0.01)


def _servers(document: Mapping[str, Any]) -> dict[str, Server]:
    found = document.get("mcpServers", {})
    if not isinstance(found, dict) or len(found) > _MOST_SERVERS:
        raise ConfigError(f"{path()}: mcpServers must be an object of at most {_MOST_SERVERS} servers.")
    for name in found:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{path()}: {name!r} cannot be the name of a server.", "Use up to 32 of a-z, A-Z, 0-9, - and _.")
    return {name: parsed(name, given, str(path())) for name, given in found.items()}


def _read() -> dict[str, Any]:
    where = path()
    try:
        with where.open("rb") as file:
            facts = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{where}: it cannot be read: {error.strerror}.") from None
    if os.name != "nt" and facts.st_uid not in (os.getuid(), 0):
        raise ConfigError(f"{where}: it belongs to someone else.", "Only your own file is read.")
    if os.name != "nt" and stat.S_IMODE(facts.st_mode) & 0o022:
        raise ConfigError(f"{where}: others can write it.", f"Close it with `chmod go-w {where}`.")
    return document(data, str(where))


def document(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in a file's bytes. Raises ConfigError with the line."""
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{where}: the file is larger than {_MOST_BYTES >> 20} MiB.")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}:{error.lineno}: it is not JSON: {error.msg}.") from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigError(f"{where}:1: it is not JSON in UTF-8.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}:1: it must be an object.")
    return found


def here(servers: Mapping[str, Server], workspace: str) -> list[Server]:
    """Those that are on for a session in this folder."""
    real = os.path.realpath(workspace)
    return [one for one in servers.values() if one.granted.on and one.granted.folder in ("", real)]


def switched(granted: Granted, on: bool) -> Granted:
    return replace(granted, on=on)
