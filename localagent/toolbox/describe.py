"""Plugin files -> what they offer, asked of a worker once for each content of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LocalAgentError, StoreError
from ..sandbox import launch
from ..store.atomic import write_atomic
from ..store.paths import cache_dir
from ..values import EFFECTS, ToolSpec
from . import link
from .plugin_api import VERSION

_SECONDS = 20.0
_KEPT = 200


@dataclass(frozen=True, slots=True)
class Plugin:
    """A file as it was read, and what it offers. `problems` are sentences with file, line and fix."""

    file: Path
    source: str
    specs: tuple[ToolSpec, ...]
    problems: tuple[str, ...]


async def describe(files: Sequence[Path], *, unsandboxed: bool = False) -> list[Plugin]:
    """One Plugin per file, in order. Starts a worker only for contents never seen before."""
    return await described([(file, _bytes(file)) for file in files], unsandboxed=unsandboxed)


def _bytes(file: Path) -> bytes | str:
    """What is in it, or why it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        return str(error.strerror)


async def described(contents: Sequence[tuple[Path, bytes | str]], *, unsandboxed: bool = False) -> list[Plugin]:
    """The same for bytes that stand for a file; a text instead is why there are none."""
    cache = _read_cache()
    plugins = []
    learned = False
    for file, data in contents:
        try:
            if isinstance(data, str):
                raise ValueError(data)
            source = data.decode("utf-8-sig")
        except ValueError as error:
            reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            plugins.append(Plugin(file, "", (), (f"{file}:1: the file cannot be read: {reason}.",)))
            continue
        key = f"{VERSION}:{hashlib.sha256(data).hexdigest()}"
        found = cache.pop(key, None)
        if found is None:
            found, learned = await _ask(file, source, unsandboxed), True
        if found.get("lasting", True):
            cache[key] = found
        plugins.append(_plugin(file, source, found))
    if learned:
        _write_cache(cache)
    return plugins


async def _ask(file: Path, source: str, unsandboxed: bool) -> dict[str, Any]:
    # The worker cannot store its byte code where it runs; importing its modules here does, once.
    from . import derive, outcome, traces, worker  # noqa: F401

    request = {"op": "describe", "file": str(file), "source": source}
    profile = None if unsandboxed else launch.Profile(limits=link.limits(_SECONDS))
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


def _plugin(file: Path, source: str, found: Mapping[str, Any]) -> Plugin:
    """The worker's words checked: a plugin may say anything there."""
    specs, problems = [], []
    for item in found.get("tools") or ():
        try:
            specs.append(_spec(file, item))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{file}:1: a tool describes itself wrongly: {error}.")
    for item in found.get("problems") or ():
        if isinstance(item, Mapping):
            problems.append(f"{file}:{item.get('line', 1)}: {item.get('message', '')}.")
    return Plugin(file, source, tuple(specs), tuple(problems))


def _spec(file: Path, item: Mapping[str, Any]) -> ToolSpec:
    effects = tuple(item["effects"])
    if not all(effect in EFFECTS for effect in effects):
        raise ValueError(f"unknown effect in {effects}")
    if item["parameters"]["type"] != "object" or not isinstance(item["parameters"]["properties"], dict):
        raise ValueError("its parameters are no object")
    timeout = min(max(float(item["timeout"]), 0.1), 86400.0)
    posts = "send" in effects and "net" not in effects
    hosts = tuple(map(str, item.get("hosts", ())))
    if hosts:
        from .derive import HOST

        if "net" not in effects or not all(map(HOST.fullmatch, hosts)):
            raise ValueError("it declares hosts that are none")
    told = (str(item["name"]), str(item["description"]), item["parameters"], effects, str(file), timeout)
    return ToolSpec(*told, posts=posts, hosts=hosts)


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
