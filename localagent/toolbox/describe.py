"""Plugin files -> what they offer, asked of a worker once for each content of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import LocalAgentError, StoreError
from ..sandbox import launch
from ..store.atomic import write_atomic
from ..store.paths import cache_dir
from ..values import ToolSpec
from . import checked, link
from .plugin_api import VERSION

_SECONDS = 20.0
_KEPT = 200
_TOOLS = 50


@dataclass(frozen=True, slots=True)
class Plugin:
    """A file as it was read, and what it offers. `problems` are sentences with file, line and fix.

    The rest is as in `Content`.
    """

    file: Path
    source: str
    specs: tuple[ToolSpec, ...]
    problems: tuple[str, ...]
    module: str = ""
    libs: str = ""
    roots: tuple[str, ...] = ()


class Content(NamedTuple):
    """Bytes that stand for a file, or a text that says why there are none.

    `module` is its name where it belongs to an installed package, `roots` are what of that package its worker reads beside it,
    `libs` is the folder of the packages that were installed for it alone.
    """

    file: Path
    data: bytes | str
    module: str = ""
    libs: str = ""
    roots: tuple[str, ...] = ()


async def describe(files: Sequence[Path], *, unsandboxed: bool = False) -> list[Plugin]:
    """One Plugin per file, in order. Starts a worker only for contents never seen before."""
    return await described([Content(file, _bytes(file)) for file in files], unsandboxed=unsandboxed)


def _bytes(file: Path) -> bytes | str:
    """What is in it, or why it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        return str(error.strerror)


async def described(contents: Sequence[Content], *, unsandboxed: bool = False) -> list[Plugin]:
    """The same for bytes that stand for a file."""
    cache = _read_cache()
    plugins = []
    learned = False
    for one in contents:
        file, data = one.file, one.data
        try:
            if isinstance(data, str):
                raise ValueError(data)
            source = data.decode("utf-8-sig")
        except ValueError as error:
            reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            plugins.append(Plugin(file, "", (), (f"{file}:1: the file cannot be read: {reason}.",)))
            continue
        key = f"{VERSION}:{hashlib.sha256(data).hexdigest()}"
        if one.module or one.libs:
            key += f":{hashlib.sha256(repr((one.module, one.libs, one.roots)).encode()).hexdigest()[:16]}"
        found = cache.pop(key, None)
        if found is None:
            found, learned = await _ask(one, source, unsandboxed), True
        if found.get("lasting", True):
            cache[key] = found
        plugins.append(_plugin(one, source, found))
    if learned:
        _write_cache(cache)
    return plugins


async def _ask(one: Content, source: str, unsandboxed: bool) -> dict[str, Any]:
    # The worker cannot store its byte code where it runs; importing its modules here does, once.
    from . import convert, derive, outcome, traces, worker  # noqa: F401

    request = {"op": "describe", "file": str(one.file), "source": source, "module": one.module, "libs": one.libs, "roots": one.roots}
    readable = tuple(path for path in (one.libs, *one.roots) if path)
    profile = None if unsandboxed else launch.Profile(readable=readable, limits=link.limits(_SECONDS))
    answer: dict[str, Any] = {}
    try:
        async for item in link.ask(request, profile=profile, cwd="/", timeout=_SECONDS):
            if isinstance(item, dict):
                answer = item
    except LocalAgentError as error:
        answer = {"text": str(error)}
    if isinstance(answer.get("tools"), list):
        return {"tools": answer["tools"], "problems": answer.get("problems") or []}
    problem = {"line": 1, "message": f"it cannot be loaded: {answer.get('text', 'no answer')}"}
    return {"tools": [], "problems": [problem], "lasting": False}


def _plugin(one: Content, source: str, found: Mapping[str, Any]) -> Plugin:
    """The worker's words checked: a plugin may say anything there."""
    specs: list[ToolSpec] = []
    problems, file = [], one.file
    tools = found.get("tools")
    tools = tools if isinstance(tools, list) else []
    if len(tools) > _TOOLS:
        problems.append(f"{file}:1: it offers {len(tools)} tools; {_TOOLS} are the most for one file.")
    for item in tools[:_TOOLS]:
        try:
            specs.append(checked.spec(file, item))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            line = item.get("line") if isinstance(item, Mapping) else None
            problems.append(f"{file}:{line if isinstance(line, int) else 1}: {_told(error)}")
    for item in _list(found.get("problems"))[:_TOOLS]:
        if isinstance(item, Mapping):
            line = item.get("line")
            problems.append(f"{file}:{line if isinstance(line, int) else 1}: {checked.plain(str(item.get('message', '')))}.")
    return Plugin(file, source, tuple(specs), tuple(problems), one.module, one.libs, one.roots)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _told(error: Exception) -> str:
    return f"{error}." if isinstance(error, checked.Odd) else f"a tool describes itself wrongly ({type(error).__name__}: {error!s:.200})."


def _cache_file() -> Path:
    return cache_dir() / "tools.json"


def _read_cache() -> dict[str, dict[str, Any]]:
    try:
        cache = json.loads(_cache_file().read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: item for key, item in cache.items() if isinstance(item, dict)} if isinstance(cache, dict) else {}


def _write_cache(cache: Mapping[str, Any]) -> None:
    kept = dict(list(cache.items())[-_KEPT:])
    try:
        write_atomic(_cache_file(), json.dumps(kept, indent=0).encode())
    except StoreError:
        # Without the cache the next start asks again; nothing else depends on it.
        return
