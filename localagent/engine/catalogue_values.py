"""The values of models.toml: what each key may hold, and complaints with file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigError
from .base import Sampling
from .entry import MIB, Expect, Memory, Packages, Part, Price
from .judge import Judge

Key = tuple[str, ...]


@dataclass(slots=True)
class File:
    """One catalogue file: its values, and its text for the line of a bad key."""

    where: Path
    values: dict[str, Any]
    text: str

    def refuse(self, key: Key, reason: str) -> NoReturn:
        lines = _lines(self.text)
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), 1)
        raise ConfigError(f"{self.where}:{line}: {'.'.join(key)}: {reason}.")


@dataclass(frozen=True, slots=True)
class Value:
    """A value with the place it was written at."""

    value: Any
    file: File
    key: Key

    def refuse(self, reason: str) -> NoReturn:
        self.file.refuse(self.key, reason)


Table = dict[str, Value]


def _lines(text: str) -> dict[Key, int]:
    """key -> line of its first mention. TOML values have no positions, so the text is asked."""
    found: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        header = re.fullmatch(r"\[{1,2}(.+?)\]{1,2}\s*(#.*)?", stripped)
        if header:
            table = _key(header[1])
        elif match := re.match(
            r"""((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""", stripped
        ):
            found.setdefault(table + _key(match[1]), number)
            continue
        else:
            continue
        for length in range(1, len(table) + 1):
            found.setdefault(table[:length], number)
    return found


def _key(text: str) -> Key:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", text))


def table_of(body: Any, file: File, key: Key, allowed: Mapping[str, Callable[[Value], Any]]) -> Table:
    if not isinstance(body, dict):
        file.refuse(key, "it must be a table")
    table: Table = {}
    for name, value in body.items():
        if name not in allowed:
            file.refuse((*key, name), f"there is no such key; known are {', '.join(allowed)}")
        entry = Value(value, file, (*key, name))
        table[name] = Value(allowed[name](entry), file, entry.key)
    return table


def _text(value: Value) -> str:
    if not isinstance(value.value, str) or not value.value.strip():
        value.refuse("it must be a text")
    return value.value.strip()


def _like(pattern: str, form: str) -> Callable[[Value], str]:
    def check(value: Value) -> str:
        if not isinstance(value.value, str) or not re.fullmatch(pattern, value.value):
            value.refuse(f"it must be {form}")
        return value.value

    return check


def _count(value: Value, low: int = 1) -> int:
    if isinstance(value.value, bool) or not isinstance(value.value, int) or value.value < low:
        value.refuse(f"it must be a whole number of at least {low}")
    return value.value


def _amount(value: Value) -> float:
    if isinstance(value.value, bool) or not isinstance(value.value, int | float) or not 0 <= value.value < 1e9:
        value.refuse("it must be a number of at least 0")
    return float(value.value)


def _number(value: Value) -> float:
    return -_amount(replace(value, value=-value.value)) if str(value.value).startswith("-") else _amount(value)


def _flag(value: Value) -> bool:
    if not isinstance(value.value, bool):
        value.refuse("it must be true or false")
    return value.value


def _file_name(value: Value) -> str:
    name = _text(value)
    if not name.endswith(".gguf") or name.startswith("/") or ".." in name.split("/") or "\\" in name:
        value.refuse("it must be the path of a .gguf file in the repository")
    return name


def _sampling(value: Value) -> Sampling:
    numbers = dict.fromkeys(("temperature", "top_p", "min_p", "presence_penalty", "repeat_penalty"), _amount) | {
        "top_k": lambda one: _count(one, 0)
    }
    table = table_of(value.value, value.file, value.key, numbers)
    return Sampling(**{name: entry.value for name, entry in table.items()})


def needed(value: Value, checks: Mapping[str, Callable[[Value], Any]]) -> dict[str, Any]:
    table = table_of(value.value, value.file, value.key, checks)
    for name in checks:
        if name not in table:
            value.refuse(f"{name} is missing")
    return {name: entry.value for name, entry in table.items()}


def _memory(value: Value) -> Memory:
    found = needed(value, {"kv_per_token": lambda one: _count(one, 0), "state": _amount, "compute": _amount})
    return Memory(found["kv_per_token"], int(found["state"] * MIB), int(found["compute"] * MIB))


def _judge(value: Value) -> Judge:
    return Judge(**needed(value, {"bias": _number} | dict.fromkeys(("fits", "news", "support", "named"), _amount)))


def _price(value: Value) -> Price:
    dated = _like(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", "a day such as 2026-07-02")
    checks: dict[str, Callable[[Value], Any]] = {"input": _amount, "output": _amount, "cached": _amount, "date": dated, "source": _text}
    return Price(**needed(value, checks))


def _switches(value: Value) -> dict[str, str]:
    if not isinstance(value.value, dict) or not all(isinstance(one, str) and one for one in value.value.values()):
        value.refuse('it must name fields of the request, such as { web_search = "enable_search" }')
    return dict(value.value)


def _expect(value: Value) -> Expect:
    checks = {"architecture": _text, "vocabulary": _count, "tokens": _tokens}
    table = table_of(value.value, value.file, value.key, checks)
    return Expect(**{name: entry.value for name, entry in table.items()})


def _tokens(value: Value) -> tuple[tuple[str, int], ...]:
    if not isinstance(value.value, dict):
        value.refuse("it must be a table of token = id")
    for name, id in value.value.items():
        _count(Value(id, value.file, (*value.key, name)), 0)
    return tuple(value.value.items())


def _packages(value: Value) -> Packages:
    checks = {
        "name": _like(r"[A-Za-z0-9._-]*\{n\}[A-Za-z0-9._-]*", "a package name with {n} for its number"),
        "version": _like(r"[0-9A-Za-z.+!]+", "a version"),
        "count": _count,
        "slice": _count,
        "member": _text,
    }
    return Packages(**needed(value, checks))


_SHA = _like(r"[0-9a-f]{64}", "64 hexadecimal digits in small letters")


def _quants(value: Value) -> dict[str, Table]:
    if not isinstance(value.value, dict) or not value.value:
        value.refuse("it must hold a line for each quantisation")
    checks = {"bytes": _count, "sha256": _SHA, "parts": lambda one: one.value, "revision": _REVISION}
    found = {}
    for name, body in value.value.items():
        key = (*value.key, name)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
            value.file.refuse(key, "it must be the name of a quantisation, such as Q4_K_M")
        found[name] = table_of(body, value.file, key, checks)
    return found


def _projector(value: Value) -> Part:
    """A file of the repository, or the path of one beside a model of the user's own."""
    if isinstance(value.value, str):
        return Part(_text(value), 0, "")
    return Part(**needed(value, {"file": _file_name, "bytes": _count, "sha256": _SHA}))


_REVISION = _like(r"[A-Za-z0-9._-]{1,64}", "a revision: a commit, branch or tag")
_REPOSITORY = _like(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", "written as OWNER/NAME")

SHARED: dict[str, Callable[[Value], Any]] = {
    "name": _text,
    "note": _text,
    "licence": _text,
    "context": _count,
    "dialect": _like(r"[a-z0-9_-]+", "the name of a dialect in small letters"),
    "thinks": _flag,
    "sampling": _sampling,
    "thinking_sampling": _sampling,
    "memory": _memory,
    "expect": _expect,
    "judge": _judge,
    "sees": _flag,
}
MODEL = SHARED | {
    "family": _text,
    "repository": _REPOSITORY,
    "revision": _REVISION,
    "modelscope_revision": _REVISION,
    "file": _file_name,
    "quant": _text,
    "quants": _quants,
    "packages": _packages,
    "projector": _projector,
    "path": _text,
    "provider": _text,
    "model": _text,
    "price": _price,
}
PROVIDER = {
    "base_url": _like(r"https?://\S+", "an address that begins with https:// or http://"),
    "key_env": _like(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable"),
    "thinking": _text,
    "echo": _like(r"reasoning_content|reasoning|think", "reasoning_content, reasoning or think"),
    "tools": _switches,
}


def part(value: Value) -> tuple[int, str]:
    """Bytes and sha256 of one file of several."""
    facts = needed(value, {"bytes": _count, "sha256": _SHA})
    return facts["bytes"], facts["sha256"]
