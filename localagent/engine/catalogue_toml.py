"""Reading models.toml: every key known, every value checked, every complaint with file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigError
from .base import Sampling
from .entry import MIB, Entry, Expect, Memory, Packages, Part, Remote

Key = tuple[str, ...]


@dataclass(slots=True)
class _File:
    """One catalogue file: its values, and its text for the line of a bad key."""

    where: Path
    values: dict[str, Any]
    text: str

    def refuse(self, key: Key, reason: str) -> NoReturn:
        lines = _lines(self.text)
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), 1)
        raise ConfigError(f"{self.where}:{line}: {'.'.join(key)}: {reason}.")


@dataclass(frozen=True, slots=True)
class _Value:
    """A value with the place it was written at."""

    value: Any
    file: _File
    key: Key

    def refuse(self, reason: str) -> NoReturn:
        self.file.refuse(self.key, reason)


Table = dict[str, _Value]


@dataclass(slots=True)
class _All:
    families: dict[str, Table] = field(default_factory=dict)
    providers: dict[str, Table] = field(default_factory=dict)
    models: dict[str, Table] = field(default_factory=dict)
    files: dict[str, _File] = field(default_factory=dict)
    default: _Value | None = None


def read(files: Sequence[Path]) -> tuple[Mapping[str, Entry], str]:
    """(entries by id, the default's id). A later file adds, and replaces what it names again."""
    known = _All()
    for where in files:
        _collect(_parsed(where), known)
    entries: dict[str, Entry] = {}
    for id, table in known.models.items():
        for entry in _entries(id, table, known):
            entries[entry.id] = entry
    if known.default is None:
        raise ConfigError(f"{files[0]}:1: default: it is missing.")
    default = known.default.value
    if not isinstance(default, str) or default not in entries:
        known.default.refuse(f"there is no model {default!r}")
    return entries, default


def _parsed(where: Path) -> _File:
    try:
        text = where.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{where}:1: the file is not UTF-8 text.") from None
    except OSError as error:
        raise ConfigError(f"{where}: it cannot be read: {error.strerror}.") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else str(text.count("\n") + 1)
        raise ConfigError(f"{where}:{line}: {str(error).split(' (at ')[0]}.") from None
    return _File(where, values, text)


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


def _collect(file: _File, known: _All) -> None:
    for key, value in file.values.items():
        if key == "default":
            known.default = _Value(value, file, (key,))
        elif key in _KINDS:
            if not isinstance(value, dict):
                file.refuse((key,), f"it must be written as [{key}.NAME]")
            for name, body in value.items():
                allowed = _KINDS[key]
                table = _table(body, file, (key, name), allowed)
                getattr(known, _PLACES[key])[name] = table
                if key == "model":
                    known.files[name] = file
                    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
                        file.refuse((key, name), "an id has small letters, digits, dots and dashes")
        else:
            file.refuse((key,), "only default, [family.NAME], [model.ID] and [provider.NAME] are known")


def _table(body: Any, file: _File, key: Key, allowed: Mapping[str, Callable[[_Value], Any]]) -> Table:
    if not isinstance(body, dict):
        file.refuse(key, "it must be a table")
    table: Table = {}
    for name, value in body.items():
        if name not in allowed:
            file.refuse((*key, name), f"there is no such key; known are {', '.join(allowed)}")
        entry = _Value(value, file, (*key, name))
        table[name] = _Value(allowed[name](entry), file, entry.key)
    return table


# ---------------------------------------------------------------- one value


def _text(value: _Value) -> str:
    if not isinstance(value.value, str) or not value.value.strip():
        value.refuse("it must be a text")
    return value.value.strip()


def _like(pattern: str, form: str) -> Callable[[_Value], str]:
    def check(value: _Value) -> str:
        if not isinstance(value.value, str) or not re.fullmatch(pattern, value.value):
            value.refuse(f"it must be {form}")
        return value.value

    return check


def _count(value: _Value, low: int = 1) -> int:
    if isinstance(value.value, bool) or not isinstance(value.value, int) or value.value < low:
        value.refuse(f"it must be a whole number of at least {low}")
    return value.value


def _amount(value: _Value) -> float:
    if isinstance(value.value, bool) or not isinstance(value.value, int | float) or not 0 <= value.value < 1e9:
        value.refuse("it must be a number of at least 0")
    return float(value.value)


def _flag(value: _Value) -> bool:
    if not isinstance(value.value, bool):
        value.refuse("it must be true or false")
    return value.value


def _file_name(value: _Value) -> str:
    name = _text(value)
    if not name.endswith(".gguf") or name.startswith("/") or ".." in name.split("/") or "\\" in name:
        value.refuse("it must be the path of a .gguf file in the repository")
    return name


def _sampling(value: _Value) -> Sampling:
    numbers = dict.fromkeys(("temperature", "top_p", "min_p", "presence_penalty", "repeat_penalty"), _amount) | {
        "top_k": lambda one: _count(one, 0)
    }
    table = _table(value.value, value.file, value.key, numbers)
    return Sampling(**{name: entry.value for name, entry in table.items()})


def _needed(value: _Value, checks: Mapping[str, Callable[[_Value], Any]]) -> dict[str, Any]:
    table = _table(value.value, value.file, value.key, checks)
    for name in checks:
        if name not in table:
            value.refuse(f"{name} is missing")
    return {name: entry.value for name, entry in table.items()}


def _memory(value: _Value) -> Memory:
    found = _needed(value, {"kv_per_token": lambda one: _count(one, 0), "state": _amount, "compute": _amount})
    return Memory(found["kv_per_token"], int(found["state"] * MIB), int(found["compute"] * MIB))


def _expect(value: _Value) -> Expect:
    checks = {"architecture": _text, "vocabulary": _count, "tokens": _tokens}
    table = _table(value.value, value.file, value.key, checks)
    return Expect(**{name: entry.value for name, entry in table.items()})


def _tokens(value: _Value) -> tuple[tuple[str, int], ...]:
    if not isinstance(value.value, dict):
        value.refuse("it must be a table of token = id")
    for name, id in value.value.items():
        _count(_Value(id, value.file, (*value.key, name)), 0)
    return tuple(value.value.items())


def _packages(value: _Value) -> Packages:
    checks = {
        "name": _like(r"[A-Za-z0-9._-]*\{n\}[A-Za-z0-9._-]*", "a package name with {n} for its number"),
        "version": _like(r"[0-9A-Za-z.+!]+", "a version"),
        "count": _count,
        "slice": _count,
        "member": _text,
    }
    return Packages(**_needed(value, checks))


_SHA = _like(r"[0-9a-f]{64}", "64 hexadecimal digits in small letters")


def _quants(value: _Value) -> dict[str, Table]:
    if not isinstance(value.value, dict) or not value.value:
        value.refuse("it must hold a line for each quantisation")
    checks = {"bytes": _count, "sha256": _SHA, "parts": lambda one: one.value, "revision": _REVISION}
    found = {}
    for name, body in value.value.items():
        key = (*value.key, name)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
            value.file.refuse(key, "it must be the name of a quantisation, such as Q4_K_M")
        found[name] = _table(body, value.file, key, checks)
    return found


_REVISION = _like(r"[A-Za-z0-9._-]{1,64}", "a revision: a commit, branch or tag")
_REPOSITORY = _like(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", "written as OWNER/NAME")

_SHARED: dict[str, Callable[[_Value], Any]] = {
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
}
_MODEL = _SHARED | {
    "family": _text,
    "repository": _REPOSITORY,
    "revision": _REVISION,
    "modelscope_revision": _REVISION,
    "file": _file_name,
    "quant": _text,
    "quants": _quants,
    "packages": _packages,
    "path": _text,
    "provider": _text,
    "model": _text,
}
_PROVIDER = {
    "base_url": _like(r"https?://\S+", "an address that begins with https:// or http://"),
    "key_env": _like(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable"),
    "thinking": _text,
}
_KINDS = {"family": _SHARED, "model": _MODEL, "provider": _PROVIDER}
_PLACES = {"family": "families", "model": "models", "provider": "providers"}


# ---------------------------------------------------------------- one model


def _entries(id: str, own: Table, known: _All) -> Iterator[Entry]:
    table = dict(own)
    if "family" in own:
        family = known.families.get(own["family"].value)
        if family is None:
            own["family"].refuse(f"there is no [family.{own['family'].value}]")
        table = family | own
        if "expect" in family and "expect" in own:
            table["expect"] = replace(own["expect"], value=_completed(own["expect"].value, family["expect"].value))
    kinds = [key for key in ("provider", "path", "repository") if key in table]
    if len(kinds) != 1:
        reason = f"{' and '.join(kinds)} exclude each other" if kinds else "it needs repository, path or provider"
        known.files[id].refuse(("model", id), reason)
    if kinds == ["provider"]:
        yield _hosted(id, table, known)
    elif kinds == ["path"]:
        place = table["path"]
        path = str((place.file.where.parent / Path(place.value).expanduser()).absolute())
        # What the file does not need to say is read from its header when it is used.
        yield Entry(id=id, path=path, **(_common(id, table) | {"dialect": _get(table, "dialect", "")}))
    else:
        yield from _local(id, table, known)


def _completed(own: Expect, family: Expect) -> Expect:
    return Expect(
        own.architecture or family.architecture, own.vocabulary or family.vocabulary, own.tokens or family.tokens
    )


def _get(table: Table, key: str, default: Any) -> Any:
    return table[key].value if key in table else default


def _common(id: str, table: Table) -> dict[str, Any]:
    return {
        "name": _get(table, "name", id),
        "note": _get(table, "note", ""),
        "licence": _get(table, "licence", ""),
        "context": _get(table, "context", 0),
        "dialect": _get(table, "dialect", "hermes"),
        "thinks": _get(table, "thinks", False),
        "sampling": _get(table, "sampling", None),
        "thinking_sampling": _get(table, "thinking_sampling", None),
        "memory": _get(table, "memory", None),
        "expect": _get(table, "expect", None),
    }


def _hosted(id: str, table: Table, known: _All) -> Entry:
    name = table["provider"].value
    provider = known.providers.get(name)
    if provider is None:
        table["provider"].refuse(f"there is no [provider.{name}]")
    if "base_url" not in provider:
        table["provider"].refuse(f"[provider.{name}] has no base_url")
    remote = Remote(
        provider["base_url"].value,
        _get(provider, "key_env", ""),
        _get(table, "model", id),
        _get(provider, "thinking", ""),
    )
    return Entry(id=id, remote=remote, **_common(id, table))


def _local(id: str, table: Table, known: _All) -> Iterator[Entry]:
    for key in ("revision", "file", "quant", "quants", "context", "sampling", "dialect"):
        if key not in table:
            known.files[id].refuse(("model", id), f"{key} is missing")
    quants, usual = table["quants"].value, table["quant"].value
    if usual not in quants:
        table["quant"].refuse(f"quants has no {usual}")
    for quant in sorted(quants, key=lambda name: name != usual):
        body = quants[quant]
        place = table["quants"]
        yield Entry(
            id=id if quant == usual else f"{id}:{quant.lower()}",
            quant=quant,
            repository=table["repository"].value,
            revision=_get(body, "revision", table["revision"].value),
            modelscope_revision=_get(table, "modelscope_revision", ""),
            parts=_parts(table["file"].value.replace("{quant}", quant), body, place, quant),
            packages=_get(table, "packages", None) if quant == usual else None,
            **_common(id, table),
        )


def _parts(file: str, body: Table, place: _Value, quant: str) -> tuple[Part, ...]:
    key = (*place.key, quant)
    if "parts" not in body:
        for needed in ("bytes", "sha256"):
            if needed not in body:
                place.file.refuse(key, f"{needed} is missing")
        return (Part(file, body["bytes"].value, body["sha256"].value),)
    pieces = body["parts"].value
    if not isinstance(pieces, list) or len(pieces) < 2:
        place.file.refuse((*key, "parts"), "it must list at least two pieces")
    stem = file.removesuffix(".gguf")
    found = []
    for number, piece in enumerate(pieces, 1):
        facts = _needed(_Value(piece, place.file, (*key, "parts")), {"bytes": _count, "sha256": _SHA})
        found.append(Part(f"{stem}-{number:05d}-of-{len(pieces):05d}.gguf", facts["bytes"], facts["sha256"]))
    return tuple(found)
