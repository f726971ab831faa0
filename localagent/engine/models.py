"""Which model, and where its file is: never another one than the user chose."""

from __future__ import annotations

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


def chosen(settings: Settings, wanted: str | None, known: Catalogue) -> Entry:
    """As `choose`, without looking for the files of catalogue entries."""
    if wanted:
        return catalogue.completed(known.find(wanted))
    if settings.model is None:
        return catalogue.completed(known.get(known.default))
    try:
        return catalogue.completed(known.find(settings.model))
    except UsageError as error:
        raise ConfigError(f"config.yaml: model: {error.message}", error.hint) from None
    except ModelMissing as error:
        raise ModelMissing(f"config.yaml: model: {error.message}", error.hint) from None
