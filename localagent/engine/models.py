"""Which model, and where its file is: never another one than the user chose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, ModelError, ModelMissing, UsageError
from . import catalogue, reuse
from .catalogue import Catalogue, Entry

if TYPE_CHECKING:
    from ..store.settings import Settings


def choose(settings: Settings, wanted: str | None, known: Catalogue | None = None) -> tuple[Entry, Path | None]:
    """The entry for `wanted`, else for the settings' model, else the catalogue's default, with its file.

    The path is None where the model has to be fetched first, and for a hosted model.
    UsageError or ConfigError for an id nobody knows, ModelMissing for a path that is not there,
    ModelError for a file that is damaged.
    """
    entry = chosen(settings, wanted, known or catalogue.load())
    if entry.hosted:
        return entry, None
    if entry.path is not None:
        return entry, Path(entry.path)
    path = reuse.installed(entry)
    if path is None and (damage := reuse.damage(entry)):
        raise ModelError(
            f"The file of {entry.id} is damaged: {damage}.", f"`localagent model pull {entry.id}` fetches it again."
        )
    return entry, path


def ready(settings: Settings, wanted: str | None, obtain: Callable[[Entry, Settings], tuple[Entry, Path]]) -> tuple[Entry, Path | None]:
    """The model the user chose and its file, None for one behind an endpoint.

    `obtain` gets a model that is not here (or the one a person took instead), or raises ModelMissing. ModelError for
    a model of another machine where the settings allow only those of this one.
    """
    entry, path = choose(settings, wanted)
    if entry.hosted:
        refuse_remote(entry, settings)
        return entry, None
    return (entry, path) if path is not None else obtain(entry, settings)


def refuse_remote(entry: Entry, settings: Settings) -> None:
    """Raises ModelError for a model of another machine where only those of this one may be used."""
    from .remote import keys

    if settings.local_only and entry.remote is not None and not keys.is_here(entry.remote):
        raise ModelError(
            f"{entry.id} runs on another machine, and only models of this one may be used (local_only).",
            "Choose one with `localagent model list`.",
        )


def refuse_hosted(entry: Entry) -> None:
    """Raises ModelError for a model that has no file here."""
    if entry.hosted:
        raise ModelError(f"{entry.id} is no model on this machine.", "Choose one with `localagent model list`.")


def chosen(settings: Settings, wanted: str | None, known: Catalogue) -> Entry:
    """As `choose`, without looking for the files of catalogue entries."""
    if wanted:
        return whole(known.find(wanted), known)
    if settings.model is None:
        return whole(known.get(known.default), known)
    try:
        return whole(known.find(settings.model), known)
    except UsageError as error:
        raise ConfigError(f"config.yaml: model: {error.message}", error.hint) from None
    except ModelMissing as error:
        raise ModelMissing(f"config.yaml: model: {error.message}", error.hint) from None


def whole(entry: Entry, known: Catalogue, *, hashing: bool = True) -> Entry:
    """An entry of a user's own file with all that is known of it; others as they are.

    Where the file's bytes are those of a catalogue's model, it is spoken to and judged as that one.
    Only a file of the very size of one is hashed, once (seconds for each gigabyte); without
    `hashing` it is known again only if that was done before.
    """
    if entry.path is None:
        return entry
    found = entry if entry.parts else catalogue.entry_of_file(Path(entry.path))
    twin = next((one for one in known.entries.values() if _is_of(found, one, hashing)), None)
    if twin is not None:
        found = replace(
            found,
            licence=found.licence or twin.licence,
            context=found.context or twin.context,
            dialect=twin.dialect,
            thinks=twin.thinks,
            sampling=twin.sampling,
            thinking_sampling=twin.thinking_sampling,
            parts=tuple(replace(mine, sha256=part.sha256) for mine, part in zip(found.parts, twin.parts, strict=True)),
            expect=twin.expect,
            judge=twin.judge,
        )
    return found if entry.parts else catalogue.completed(entry, found)


def _is_of(found: Entry, other: Entry, hashing: bool) -> bool:
    """Whether the files are the other model's, byte for byte."""
    if other.path is not None or [part.bytes for part in found.parts] != [part.bytes for part in other.parts]:
        return False
    pairs = [(Path(mine.file), part) for mine, part in zip(found.parts, other.parts, strict=True)]
    if hashing:
        return all(reuse.matches(path, part) for path, part in pairs)
    return all(part.sha256 and reuse.recorded(path) == part.sha256 for path, part in pairs)
