"""What a call would touch, read from its effects and arguments: paths, lines, hosts, addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..values import Change, ToolCall, ToolSpec
from . import shell_risk
from .context import Context, absolute
from .rule import Subject

_PATH_NAMES = frozenset(
    "path paths file files folder folders dir directory source destination src dst dest target from to".split()
)
_SOURCE_NAMES = ("source", "sources", "src", "from")
# These look at what they are given and at nothing beneath it.
_SHALLOW = frozenset({"read_file", "list_files"})
_COMMAND_NAMES = ("command", "cmd", "script", "argv", "code")
_RECIPIENT_NAMES = (
    *("to", "cc", "bcc", "recipient", "recipients", "contact", "contacts", "address", "addresses", "phone", "number"),
    *("room", "chat", "group", "user", "username", "handle"),
)
_HOST_NAMES = ("url", "urls", "host", "hosts")
_USUAL_PORTS = (None, 80, 443)


def paths(call: ToolCall, spec: ToolSpec, ctx: Context) -> list[Subject]:
    """The files and folders that the arguments name, as read subjects."""
    found = dict.fromkeys(absolute(text, ctx.workspace, ctx.home) for text in _path_texts(call, spec))
    return [Subject("read", path, deep=spec.name not in _SHALLOW and is_tree(path, ctx)) for path in found]


def is_tree(path: str, ctx: Context) -> bool:
    """Whether more may lie beneath the path."""
    return ctx.folder is None or any(ctx.folder(form) for form in ctx.forms(path))


def looks_through(call: ToolCall, spec: ToolSpec, ctx: Context) -> bool:
    """Whether the call names no path and so looks through the whole workspace."""
    return "read:fs" in spec.effects and spec.name not in _SHALLOW and not _path_texts(call, spec)


def sources(call: ToolCall, spec: ToolSpec, ctx: Context) -> frozenset[str]:
    """The paths among the arguments that are only read or moved away, by their names."""
    found = (text for name in _SOURCE_NAMES for text in _texts(call.args.get(name)))
    return frozenset(absolute(text, ctx.workspace, ctx.home) for text in found)


def line(call: ToolCall, ctx: Context) -> shell_risk.Line:
    """The command of a program call; complex where there is none that can be read."""
    return command(call, ctx.home) or shell_risk.Line("", None, "it names no command", "it names no command")


def command(call: ToolCall, home: str) -> shell_risk.Line | None:
    """The command that the arguments of a call name, None where they name none."""
    for name in _COMMAND_NAMES:
        value = call.args.get(name)
        if isinstance(value, str):
            return shell_risk.read(value, home)
        if isinstance(value, list | tuple) and value and all(isinstance(word, str) for word in value):
            return shell_risk.read_argv(value, home)
    return None


def program(call: ToolCall, ctx: Context) -> Subject:
    read = line(call, ctx)
    return Subject("run", read.text, read)


def hosts(call: ToolCall, spec: ToolSpec) -> list[Subject]:
    """The hosts that the arguments name and that the tool declares; `?` where there are none, which only `net(*)` matches.

    An unusual port stands behind its host: a rule that allows the host alone is none for it.
    """
    found = [host.partition(":")[0] for host in spec.hosts]
    for name in _HOST_NAMES:
        for text in _texts(call.args.get(name)):
            if host := _host(text):
                found.append(host if (port := _port(text)) in _USUAL_PORTS else f"{host}:{port}")
    return [Subject("net", host) for host in dict.fromkeys(found or ["?"])]


def addresses(call: ToolCall, spec: ToolSpec) -> list[Subject]:
    """Who would get a message, as CHANNEL:ADDRESS; `?` for what the arguments do not name."""
    channel = next(iter(_texts(call.args.get("channel"))), "")
    recipients = [text for name in _RECIPIENT_NAMES for text in _texts(call.args.get(name))]
    made = [f"{channel or '?'}:{to}" if channel or ":" not in to else to for to in recipients or ["?"]]
    return [Subject("send", text) for text in dict.fromkeys(made)]


MEMORY = Subject("persist", "memory")


def persistence(call: ToolCall, spec: ToolSpec) -> Subject:
    if spec.source == MEMORY.text:
        return MEMORY
    kind = call.args.get("kind")
    return Subject("persist", kind if isinstance(kind, str) and kind else spec.name)


def link_target(change: Change) -> str:
    """The absolute path that a link change would point to."""
    folder = change.path.rpartition("/")[0] or "/"
    return absolute(change.content or "", folder, "")


def later(call: ToolCall, ctx: Context) -> tuple[Subject, ...]:
    """The `files` that something which runs later may write."""
    named = _texts(call.args.get("files"))
    return tuple(Subject("write", absolute(text, ctx.workspace, ctx.home)) for text in named)


def written(changes: Sequence[Change]) -> list[Subject]:
    """Every path that these changes create, alter or take away, as write subjects."""
    return [Subject("write", path) for path in dict.fromkeys(p for change in changes for p in touched(change))]


def touched(change: Change) -> Iterator[str]:
    if change.kind != "copy":
        yield change.path
    if change.dest is not None:
        yield change.dest


def _path_texts(call: ToolCall, spec: ToolSpec) -> list[str]:
    properties = spec.parameters.get("properties", {}) if spec.parameters else {}
    found: list[str] = []
    for name, value in call.args.items():
        if _is_path(name, properties.get(name, {})):
            found.extend(_texts(value))
    return found


def _is_path(name: str, schema: Any) -> bool:
    if isinstance(schema, dict):
        items = schema.get("items")
        if schema.get("format") == "path" or (isinstance(items, dict) and items.get("format") == "path"):
            return True
    words = name.lower().split("_")
    return name.lower() in _PATH_NAMES or bool({"path", "file", "folder", "dir", "directory"} & {words[0], words[-1]})


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [item for item in value if isinstance(item, str)]
    return []


def _port(text: str) -> int | None:
    from urllib.parse import urlsplit

    try:
        return urlsplit(text if "//" in text else f"//{text}").port
    except ValueError:
        return None


def _host(text: str) -> str:
    from urllib.parse import urlsplit

    try:
        name = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    if name.isascii():
        return name
    import idna

    # As it is looked up: what looks like another name is seen to be none.
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""
