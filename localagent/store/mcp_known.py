"""What each MCP server offers as it was last seen, and as it was confirmed: so that listing and searching start nothing.

In the state folder, which no tool can write. A tool is offered only as it was confirmed, to the letter.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import audit
from .atomic import write_atomic
from .lock import locked
from .paths import state_dir

MOST_TOOLS = 1000
_MOST_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Definition:
    """One tool in the server's own words, from beginning to end untrusted. `hints` are its annotations."""

    name: str
    description: str
    schema: Mapping[str, Any]
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        facts = json.dumps([self.name, self.description, self.schema, self.hints], sort_keys=True, default=str)
        return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a server with this `identity` offers. `resources`: it has things to read. `prompts` are names with their arguments."""

    identity: str
    tools: tuple[Definition, ...] = ()
    resources: bool = False
    prompts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    title: str = ""
    protocol: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Known:
    """`seen` is the last, `confirmed` the one a person said yes to. `names` are those that its tools got, by the server's own."""

    seen: Manifest | None = None
    confirmed: Manifest | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def callable(self, identity: str) -> tuple[Definition, ...]:
        """The tools that are exactly what was confirmed, of the server that was."""
        if self.seen is None or self.confirmed is None or not self.seen.identity == self.confirmed.identity == identity:
            return ()
        held = {one.sha256 for one in self.confirmed.tools}
        return tuple(one for one in self.seen.tools if one.sha256 in held)

    def changes(self, identity: str) -> int:
        """How many tools are new or others than what was confirmed, -1 where the server itself is another or was never confirmed."""
        if self.confirmed is None or self.confirmed.identity != identity:
            return -1
        if self.seen is None or self.seen.identity != identity:
            return 0
        held = {one.sha256 for one in self.confirmed.tools}
        return sum(one.sha256 not in held for one in self.seen.tools) + (self.seen.resources and not self.confirmed.resources)


def load(server: str) -> Known:
    """What is known of this server; a damaged file counts as nothing, so it asks again."""
    try:
        data = _path(server).read_bytes()
        found = json.loads(data) if len(data) <= _MOST_BYTES else {}
        names = {str(key): str(name) for key, name in found.get("names", {}).items()}
        return Known(_manifest(found.get("seen")), _manifest(found.get("confirmed")), names)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Known()


def saw(server: str, manifest: Manifest) -> Known:
    """Keep what the server offers now."""
    with _alone():
        known = load(server)
        return _save(server, Known(manifest, known.confirmed, known.names))


def confirm(server: str, manifest: Manifest) -> Known:
    """From now on exactly these tools may be called. Only a person's own word leads here."""
    with _alone():
        known = load(server)
        made = _save(server, Known(manifest, manifest, known.names))
    audit.append("trusted", {"mcp": server, "identity": manifest.identity, "tools": {one.name: one.sha256 for one in manifest.tools}})
    return made


def withdraw(server: str) -> bool:
    """None of its tools may be called; its names stay its own. False where nothing was confirmed."""
    with _alone():
        known = load(server)
        if known.confirmed is None:
            return False
        _save(server, Known(known.seen, None, known.names))
    audit.append("distrusted", {"mcp": server})
    return True


def name(server: str, wanted: Mapping[str, str]) -> None:
    """Keep the names that its tools got, by the server's own; a name once given stays."""
    with _alone():
        known = load(server)
        _save(server, Known(known.seen, known.confirmed, {**wanted, **known.names}))


def taken() -> dict[str, str]:
    """Every name that was ever given to a tool -> the server it belongs to."""
    found = {}
    for file in sorted(_folder().glob("*.json")):
        for given in load(file.stem).names.values():
            found.setdefault(given, file.stem)
    return found


def stamp() -> tuple[Any, ...]:
    """Another one when anything here has changed."""
    found = []
    with suppress(OSError):
        for file in sorted(_folder().glob("*.json")):
            facts = file.stat()
            found.append((file.name, facts.st_mtime_ns, facts.st_size, facts.st_ino))
    return tuple(found)


def log(server: str) -> Path:
    """Where the server's own complaints are kept."""
    return _folder() / f"{server}.log"


def _folder() -> Path:
    made = state_dir() / "mcp"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _path(server: str) -> Path:
    return _folder() / f"{server}.json"


def _alone() -> AbstractContextManager[bool]:
    return locked(_folder() / "lock", poll_s=0.01)


def _save(server: str, known: Known) -> Known:
    data = json.dumps(
        {"seen": _plain(known.seen), "confirmed": _plain(known.confirmed), "names": dict(known.names)}, ensure_ascii=True
    ).encode()
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"What the MCP server {server} offers is larger than {_MOST_BYTES >> 20} MiB.", "Turn it off with `mcp off`.")
    write_atomic(_path(server), data)
    return known


def _plain(manifest: Manifest | None) -> dict[str, Any] | None:
    if manifest is None:
        return None
    return {
        "identity": manifest.identity,
        "tools": [[one.name, one.description, dict(one.schema), dict(one.hints)] for one in manifest.tools],
        "resources": manifest.resources,
        "prompts": [[given, list(args)] for given, args in manifest.prompts],
        "title": manifest.title,
        "protocol": manifest.protocol,
        "at": manifest.at or time.time(),
    }


def _manifest(given: Any) -> Manifest | None:
    if given is None:
        return None
    tools = tuple(Definition(str(n), str(d), dict(s), dict(h)) for n, d, s, h in given["tools"][:MOST_TOOLS])
    prompts = tuple((str(n), tuple(map(str, args))) for n, args in given["prompts"])
    return Manifest(
        str(given["identity"]), tools, bool(given["resources"]), prompts, str(given["title"]), str(given["protocol"]), float(given["at"])
    )


def differences(old: Manifest | None, new: Manifest) -> Sequence[tuple[str, Definition | None, Definition | None]]:
    """(name, before, now) of each tool that was added, taken away or changed; in the order of the new ones."""
    was = {one.name: one for one in old.tools} if old is not None else {}
    now = {one.name: one for one in new.tools}
    found = [(given, was.get(given), one) for given, one in now.items() if was.get(given) is None or was[given].sha256 != one.sha256]
    return [*found, *((given, one, None) for given, one in was.items() if given not in now)]
