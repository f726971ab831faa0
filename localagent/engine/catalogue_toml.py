"""Reading models.toml: every key known, every value checked, every complaint with file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .catalogue_values import MODEL, PROVIDER, SHARED, File, Table, Value, part, table_of
from .entry import Entry, Expect, Part, Remote

_KINDS = {"family": SHARED, "model": MODEL, "provider": PROVIDER}
_PLACES = {"family": "families", "model": "models", "provider": "providers"}


@dataclass(slots=True)
class _All:
    families: dict[str, Table] = field(default_factory=dict)
    providers: dict[str, Table] = field(default_factory=dict)
    models: dict[str, Table] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    default: Value | None = None


def read(files: Sequence[Path]) -> tuple[Mapping[str, Entry], str, Mapping[str, Remote]]:
    """(entries by id, the default's id, endpoints by the names of their providers). A later file adds, and replaces what it names again."""
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
    remotes = {name: _remote(name, table, "") for name, table in known.providers.items() if "base_url" in table}
    return entries, default, remotes


def _parsed(where: Path) -> File:
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
    return File(where, values, text)


def _collect(file: File, known: _All) -> None:
    for key, value in file.values.items():
        if key == "default":
            known.default = Value(value, file, (key,))
        elif key in _KINDS:
            if not isinstance(value, dict):
                file.refuse((key,), f"it must be written as [{key}.NAME]")
            for name, body in value.items():
                allowed = _KINDS[key]
                table = table_of(body, file, (key, name), allowed)
                getattr(known, _PLACES[key])[name] = table
                if key == "model":
                    known.files[name] = file
                    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
                        file.refuse((key, name), "an id has small letters, digits, dots and dashes")
        else:
            file.refuse((key,), "only default, [family.NAME], [model.ID] and [provider.NAME] are known")


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
        eyes = _get(table, "projector", None)
        if eyes is not None:
            eyes = replace(eyes, file=str((table["projector"].file.where.parent / Path(eyes.file).expanduser()).absolute()), sha256="")
        yield Entry(id=id, path=path, projector=eyes, **(_common(id, table) | {"dialect": _get(table, "dialect", "")}))
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
        "judge": _get(table, "judge", None),
        "sees": _get(table, "sees", False),
    }


def _hosted(id: str, table: Table, known: _All) -> Entry:
    name = table["provider"].value
    provider = known.providers.get(name)
    if provider is None:
        table["provider"].refuse(f"there is no [provider.{name}]")
    if "base_url" not in provider:
        table["provider"].refuse(f"[provider.{name}] has no base_url")
    remote = _remote(name, provider, _get(table, "model", id))
    return Entry(id=id, remote=remote, price=_get(table, "price", None), **_common(id, table))


def _remote(name: str, provider: Table, model: str) -> Remote:
    told = (_get(provider, key, "") for key in ("key_env", "thinking", "echo"))
    key_env, thinking, echo = told
    return Remote(provider["base_url"].value, key_env, model, thinking, echo, name, _get(provider, "tools", {}))


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
            projector=_repository_eyes(table),
            **_common(id, table),
        )


def _repository_eyes(table: Table) -> Part | None:
    eyes = _get(table, "projector", None)
    if eyes is not None and not eyes.sha256:
        table["projector"].refuse("it must name file, bytes and sha256, for it is downloaded")
    return eyes


def _parts(file: str, body: Table, place: Value, quant: str) -> tuple[Part, ...]:
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
        size, digest = part(Value(piece, place.file, (*key, "parts")))
        found.append(Part(f"{stem}-{number:05d}-of-{len(pieces):05d}.gguf", size, digest))
    return tuple(found)
