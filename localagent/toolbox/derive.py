"""A typed function with a docstring -> what the model is told about it.

Runs inside the worker. Anything it cannot describe is refused with line and fix, never
dropped silently.
"""

from __future__ import annotations

import datetime
import enum
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import hints
from .convert import arguments as convert
from .docstrings import read as read_docstring
from .hints import Refused
from .plugin_api import MARK, Declared

__all__ = ["EFFECTS", "HOST", "NAME", "SECRET", "Refused", "convert", "describe", "parameters", "read_docstring"]

EFFECTS = ("compute", "read:fs", "read:mail", "write:fs", "run", "net", "send", "persist")
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?")
"""A host that a tool may declare, with or without a port."""
SECRET = re.compile(r"(?!LOCALAGENT_|LD_|DYLD_|PYTHON|PATH$|HOME$)[A-Z][A-Z0-9_]{2,63}\Z")
"""The name of a secret: an environment variable that means nothing to Python or the system."""


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """The plain description of one marked function. Raises Refused."""
    declared: Declared = getattr(function, MARK)
    line = function.__code__.co_firstlineno
    summary, notes = read_docstring(function.__doc__ or "")
    if not summary:
        raise Refused(line, f"{declared.name} has no docstring; say in one sentence what it does")
    if not NAME.match(declared.name):
        raise Refused(line, f"{declared.name!r} is no tool name; use lower-case letters, digits and _")
    unknown = [effect for effect in declared.effects or () if effect not in EFFECTS]
    if unknown:
        raise Refused(
            line, f"{declared.name} declares the unknown effect {unknown[0]!r}; known are {', '.join(EFFECTS)}"
        )
    if declared.hosts and "net" not in (declared.effects or ()):
        raise Refused(line, f"{declared.name} names hosts but does not declare the effect 'net'")
    if wrong := [host for host in declared.hosts if not HOST.fullmatch(host)]:
        raise Refused(line, f"{declared.name} names the host {wrong[0]!r}; write a name such as 'api.example.org', or 'name:port'")
    if wrong := [name for name in declared.secrets if not SECRET.match(name)]:
        raise Refused(line, f"{declared.name} names the secret {wrong[0]!r}; write a name such as 'WEATHER_API_KEY'")
    effects = list(declared.effects if declared.effects != () else ("compute",)) if declared.effects is not None else []
    return {
        "name": declared.name,
        "description": summary,
        "parameters": parameters(function, notes),
        "effects": list(effects),
        "timeout": declared.timeout,
        "hosts": list(declared.hosts),
        "secrets": list(declared.secrets),
        "confirm": bool(declared.confirm),
        "line": line,
    }


def parameters(function: Callable[..., Any], notes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The closed JSON Schema object of a function's parameters. Raises Refused."""
    line = function.__code__.co_firstlineno
    found = hints.of(function, line)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise Refused(line, f"parameter {name!r}: *args, **kwargs and positional-only ones cannot be described")
        if name not in found:
            raise Refused(line, f"parameter {name!r} has no type hint; use {hints.KNOWN}")
        shape, optional = hints.shape(found[name], name, line)
        if notes and notes.get(name):
            shape["description"] = notes[name]
        if parameter.default is parameter.empty and not optional:
            required.append(name)
        elif (default := _plain_default(parameter.default)) is not None:
            shape["default"] = default
        properties[name] = shape
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _plain_default(value: Any) -> Any:
    """The default as the model is told it; None where there is nothing worth saying."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple | set | frozenset) and value and all(isinstance(one, str | int | float | bool) for one in value):
        return list(value)
    return value if isinstance(value, dict) and value else None
