"""One plugin file tried out: described and run as it would be, with nothing of what it proposes carried out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..store import trusted
from ..values import Image, Outgoing, ToolCall, ToolResult, ToolSpec
from . import own, schema
from .places import Place
from .plugins import PluginSource


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. `notes` are what was mended in the arguments; `result` is None where nothing was run."""

    file: Path
    specs: tuple[ToolSpec, ...] = ()
    problems: tuple[str, ...] = ()
    tool: str = ""
    args: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    result: ToolResult | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it could be loaded, and what was run went well."""
        return not self.problems and (self.result is None or self.result.status == "ok")

    def as_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {"file": str(self.file), "ok": self.ok, "tools": [_spec(one) for one in self.specs]}
        made["problems"] = list(self.problems)
        if (result := self.result) is not None:
            made["call"] = {
                "tool": self.tool,
                "args": self.args,
                "notes": list(self.notes),
                "status": result.status,
                "text": result.text,
                "seconds": round(self.seconds, 3),
                "asked": [_wish(one) for one in (*result.requests, *result.messages)],
                "pictures": [part.sha256 for part in result.parts if isinstance(part, Image)],
            }
        return made


async def tried(
    place: Place,
    given: Any,
    name: str | None,
    workspace: Path,
    room: Path,
    *,
    show: Callable[[str], None] | None = None,
    grant: bool = False,
    unsandboxed: bool = False,
) -> Tried:
    """`given` are the arguments for its tool `name` (None: do not run it), or both as {"tool": ..., "args": {...}}.

    `room` is for what it leaves, `show` hears its live output. Secrets and hosts are for bytes that were confirmed, or with `grant`.
    Raises UsageError for a tool that it has not.
    """
    look = await own.look_at(place, None, {}, unsandboxed=unsandboxed)
    made = Tried(place.file, look.now.specs, look.problems)
    if look.missing:
        needs = ", ".join(look.needs)
        told = f"{place.file}: it needs {needs}, which is not installed. Have it with: localagent tools check FILE --install"
        return Tried(place.file, problems=(*look.problems, told))
    if given is None or made.problems or not made.specs:
        return made
    name, args = _parted(given, name)
    spec = next((one for one in made.specs if one.name == (name or made.specs[0].name)), None)
    if spec is None:
        raise UsageError(f"{place.file.name} has no tool {name!r}.", f"It has {', '.join(one.name for one in made.specs)}.")
    if not grant and not _confirmed(look) and (outward := _outward(spec)):
        told = f"{spec.name} was not run: {outward}, and nobody has confirmed these bytes. Read them; then add --grant."
        return Tried(place.file, made.specs, (told,))
    source = PluginSource(
        (), given=[look.now], workspace=workspace, scratch=room / "scratch", spill=room / "spill", unsandboxed=unsandboxed, mask=_masked()
    )
    try:
        problems = await source.load()
        fitted, notes, errors = schema.repair(spec.parameters, args)
        fitted, more = schema.settle_paths(spec.parameters, fitted, workspace)
        if problems or errors:
            return Tried(place.file, made.specs, (*problems, *(f"{spec.name} was not run: {told}" for told in errors)))
        began = time.monotonic()
        result = await _run(source, ToolCall("check", spec.name, fitted), show)
        return Tried(place.file, made.specs, (), spec.name, fitted, (*notes, *more), result, time.monotonic() - began)
    finally:
        await asyncio.to_thread(source.close)


def _confirmed(look: own.Own) -> bool:
    known = trusted.load().get(str(look.file))
    return known is not None and known.sha256 == look.sha256 and known.seal == look.seal


def _outward(spec: ToolSpec) -> str:
    """What it would get that could leave this machine, or leads off it; "" for nothing."""
    if spec.secrets:
        return f"it would be given the secret {', '.join(spec.secrets)}"
    return "it would reach the network" if "net" in spec.effects else ""


def _parted(given: Any, name: str | None) -> tuple[str | None, Any]:
    if isinstance(given, Mapping):
        keys = set(given)
        if keys <= {"tool", "name", "args", "arguments"} and keys & {"args", "arguments"} and keys & {"tool", "name"}:
            return name or str(given.get("tool") or given.get("name")), given.get("args", given.get("arguments"))
    return name, given


async def _run(source: PluginSource, call: ToolCall, show: Callable[[str], None] | None) -> ToolResult:
    result: ToolResult | None = None
    async for item in source.call(call):
        if isinstance(item, ToolResult):
            result = item
        elif show is not None:
            show(item)
    assert result is not None
    return result


def _masked() -> Callable[[str], str]:
    """Hides the secrets that the tool was given, wherever it says them."""
    from ..store import credentials

    def mask(text: str) -> str:
        for secret in sorted(credentials.noted(), key=len, reverse=True):
            text = text.replace(secret, "[secret]") if len(secret) >= 6 else text
        return text

    return mask


def _spec(spec: ToolSpec) -> dict[str, Any]:
    told = {"name": spec.name, "description": spec.description, "parameters": spec.parameters, "effects": spec.effects}
    return {**told, "timeout": spec.timeout, "hosts": spec.hosts, "secrets": spec.secrets, "confirm": spec.confirm}


def _wish(one: Any) -> dict[str, Any]:
    if isinstance(one, Outgoing):
        return {"kind": "send", "to": one.name, "subject": one.subject, "text": one.text}
    return {key: value for key in ("kind", "path", "dest", "size") if (value := getattr(one, key, None)) is not None}
