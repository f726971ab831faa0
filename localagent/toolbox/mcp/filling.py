"""The texts of a server's entry with its variables filled in: secrets, the environment, the workspace."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import ConfigError
from ...store import credentials
from ...store.mcp import Server

_VARIABLE = re.compile(r"\$\{([^{}]{1,200})\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_SECRET = ("workspaceFolder", "workspaceRoot", "userHome")
_SECRET = re.compile(r"(?i)(?:pass(?:word|wd|phrase)?|secret|token|api_?key|credentials?|private_?key|auth(?:orization)?|pat)$")


@dataclass(frozen=True, slots=True)
class Filled:
    """The entry as it is started or reached. `env` is what is added to a clean environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    url: str
    headers: Mapping[str, str]


def is_secret(name: str) -> bool:
    """Whether the name of a variable or header says that its value is a secret."""
    return _SECRET.search(name.replace("-", "_")) is not None


def filled(server: Server, workspace: str) -> Filled:
    """Raises ConfigError for a variable that is not set, by its name. Secrets are hidden from now on wherever they turn up."""

    def text(value: str) -> str:
        return _VARIABLE.sub(lambda match: _value(match[1], server, workspace), value)

    env = {key: text(value) for key, value in server.env.items()}
    headers = {key: text(value) for key, value in server.headers.items()}
    for key, value in (*env.items(), *headers.items()):
        if is_secret(key):
            credentials.note(value)
            # "Bearer XYZ": the last word alone is the secret.
            credentials.note(value.rpartition(" ")[2])
    argv = tuple(text(word) for word in (server.command, *server.args)) if server.command else ()
    if argv:
        argv = (os.path.expanduser(argv[0]), *argv[1:])
    cwd = os.path.expanduser(text(server.cwd))
    return Filled(argv, env, cwd, text(server.url), headers)


def _value(name: str, server: Server, workspace: str) -> str:
    kind, colon, rest = name.partition(":")
    if colon and kind == "secret":
        found = credentials.load(server.credentials, rest)
        if found is None:
            how = f"Store it with `localagent mcp secret {server.name} {rest}`."
            raise ConfigError(f"The MCP server {server.name} needs the secret {rest!r}, which is not stored.", how)
        return found
    if name in ("workspaceFolder", "workspaceRoot"):
        return workspace
    if name == "userHome":
        return os.path.expanduser("~")
    if colon and kind == "env":
        name = rest
    name, has, otherwise = name.partition(":-")
    if not _NAME.fullmatch(name):
        told = f"The MCP server {server.name} has a variable that is not known here: ${{{name}}}."
        raise ConfigError(told, "Write its value in mcp.json.")
    value = os.environ.get(name) or (otherwise if has else None)
    if value is None:
        told = f"The MCP server {server.name} needs the environment variable {name}, which is not set."
        raise ConfigError(told, "Set it, or write its value in mcp.json.")
    if is_secret(name):
        credentials.note(value)
    return value


def told(server: Server) -> list[str]:
    """The names of the user's environment variables that the server would get to know by its entry."""
    texts = (server.command, *server.args, server.cwd, server.url, *server.env.values(), *server.headers.values())
    names = [match[1].removeprefix("env:").partition(":-")[0] for text in texts for match in _VARIABLE.finditer(text)]
    return list(dict.fromkeys(name for name in names if _NAME.fullmatch(name) and name not in _NO_SECRET))


def hidden(entry: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The same texts with secrets of their own replaced by `${secret:NAME}`, and these secrets by name."""
    shown, secrets = {}, {}
    for key, value in entry.items():
        if is_secret(key) and value and not _VARIABLE.search(value):
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", key)[:64]
            scheme, space, secret = value.rpartition(" ")
            secrets[name] = secret
            shown[key] = f"{scheme}{space}${{secret:{name}}}"
        else:
            shown[key] = value
    return shown, secrets


def secrets_named(texts: str) -> list[str]:
    """The names of the secrets that these texts refer to."""
    return [match[1].partition(":")[2] for match in _VARIABLE.finditer(texts) if match[1].startswith("secret:")]
