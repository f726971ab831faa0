"""What a server is, may and offers, in lines for a person who is to say yes. Its own words are quoted as data."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...store.mcp import Granted, Server
from ...store.mcp_known import Definition, Known, Manifest, differences
from . import filling, holding, preparing

_DEPTH = 40


def what(server: Server) -> list[str]:
    """Where it comes from and what it was granted."""
    if server.url:
        lines = [f"reached at: {server.url}"]
        lines += [f"  header {name}: {value}" for name, value in server.headers.items()]
    else:
        lines = [f"started as: {' '.join(map(_word, (server.command, *server.args)))}"]
        lines += [f"  environment {name}={value}" for name, value in server.env.items()]
        lines += [f"  in: {server.cwd}"] if server.cwd else []
        argv = (server.command, *server.args)
        program = preparing.prepared(server.name, argv)[0]
        lines += [f"  its package is installed: {program[0]}"] if program != argv else []
    if names := filling.told(server):
        lines.append(f"is told of your environment: {', '.join(names)}")
    if server.granted.folder:
        lines.append(f"only in: {server.granted.folder}")
    return [*lines, f"may: {may(server)}"]


def may(server: Server) -> str:
    """What it may do, in one line."""
    granted = server.granted
    if server.url:
        return "be told what a call holds; each call to its host asks, unless a rule allows it"
    told = []
    if holding.writes(granted):
        places = ["the workspace"] * ("write:fs" in granted.effects) + list(granted.write)
        told.append(f"change files in {', '.join(places)} (each call asks)")
    if holding.reads(granted):
        places = ["the workspace"] * ("read:fs" in granted.effects) + list(granted.read)
        told.append(f"read {', '.join(places)}")
    if granted.hosts:
        told.append(f"reach {', '.join(granted.hosts)} (calls ask, unless a rule allows it)")
    if told:
        return "; ".join(told)
    return "compute, without files and network" + ("" if "compute" in granted.effects else " (each call asks)")


def offered(manifest: Manifest, before: Manifest | None = None) -> list[str]:
    """All of its tools; where it was confirmed before, what is different since then."""
    lines = [f"it calls itself: {manifest.title}"] if manifest.title else []
    if before is None:
        for one in manifest.tools:
            lines += _tool(one)
        return [*lines, *_more(manifest)]
    found = differences(before, manifest)
    if not found:
        return [*lines, f"its {len(manifest.tools)} tools are those that you confirmed", *_more(manifest)]
    for name, old, new in found:
        if new is None:
            lines.append(f"- {name}: not there any more")
        elif old is None:
            lines += ["+ " + line for line in _tool(new)]
        else:
            lines += [f"~ {name} was changed:", *_diff(old, new)]
    return [*lines, *_more(manifest)]


def _more(manifest: Manifest) -> Iterator[str]:
    if manifest.resources:
        yield "it has resources to read"
    if manifest.prompts:
        yield f"it has prompts: {', '.join(name for name, _ in manifest.prompts)}"


def _tool(one: Definition) -> list[str]:
    """All that a model could read in it: what was not shown cannot be agreed to."""
    head = f"{one.name}({', '.join(_names(one))})"
    body = [f"    {line}" for line in one.description.splitlines() if line.strip()]
    hints = [f"    it says of itself: {', '.join(f'{name} {value}' for name, value in one.hints.items())}"] if one.hints else []
    return [head, *body, *hints, *(f"      {line}" for line in _words(one.schema, one.name))]


def _words(schema: Any, tool: str) -> Iterator[str]:
    """Every text in a schema that a model could read, with the place it stands at; names that are plain words stand as places alone."""
    for place, key, text in _texts(schema, ""):
        squashed = _squashed(text)
        names = (_squashed(place.rpartition(".")[2]), *(_squashed(tool) + end for end in ("", "arguments", "args", "input", "params")))
        if not (key == "title" and squashed in names):
            yield f"{place}: {' '.join(text.split())}"


def _squashed(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _texts(schema: Any, where: str, depth: int = 0) -> Iterator[tuple[str, Any, str]]:
    """(place, key, text)"""
    if depth > _DEPTH:
        return
    listed = schema.get("properties") if isinstance(schema, Mapping) else None
    for key, value in schema.items() if isinstance(schema, Mapping) else enumerate(schema):
        place = where if key in _STRUCTURE or (key == "title" and isinstance(value, str)) else f"{where}.{key}".lstrip(".")
        if key == "properties" and isinstance(value, Mapping):
            yield from ((where, key, f"takes {name!r}") for name in value if depth or not _PLAIN_NAME.fullmatch(str(name)))
        if key == "required" and isinstance(value, list) and isinstance(listed, Mapping):
            value = [one for one in value if one not in listed]
        if isinstance(value, Mapping | list):
            yield from _texts(value, place, depth + 1)
        elif isinstance(value, str) and (key not in _PLAIN or not _PLAIN_VALUE.fullmatch(value)):
            yield where if key == "description" else place, key, value


_STRUCTURE = ("properties", "items", "anyOf", "oneOf", "allOf")
_PLAIN = ("type", "format", "$ref", "$schema", "$id")
_PLAIN_NAME = re.compile(r"[\w$.-]{1,40}", re.ASCII)
# No sentence fits into these.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_$.:/#-]{1,120}")


def _names(one: Definition) -> list[str]:
    listed = one.schema.get("properties")
    return list(listed) if isinstance(listed, dict) else []


def _diff(old: Definition, new: Definition) -> list[str]:
    texts = [
        [*one.description.splitlines(), *json.dumps(one.schema, ensure_ascii=False, indent=1, sort_keys=True).splitlines(),
         *json.dumps(one.hints, ensure_ascii=False, sort_keys=True).splitlines()]
        for one in (old, new)
    ]  # fmt: skip
    return [f"    {line}" for line in list(difflib.unified_diff(*texts, lineterm="", n=1))[2:]]


def state(server: Server, known: Known) -> str:
    """One word: on, off, new, changed."""
    if not server.granted.on:
        return "off"
    if known.confirmed is None:
        return "new"
    return "changed" if known.changes(server.identity) else "on"


def _word(word: str) -> str:
    return word if word and not set(word) & set(" \t\n'\"\\$") else json.dumps(word, ensure_ascii=False)


def granted_line(granted: Granted) -> str:
    return ", ".join((*granted.effects, *(f"net({host})" for host in granted.hosts), *granted.read, *granted.write)) or "nothing"
