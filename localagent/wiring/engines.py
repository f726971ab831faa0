"""The engine for a model that was chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..engine.base import Engine

if TYPE_CHECKING:
    from ..engine.catalogue import Entry
    from ..engine.local import LocalEngine
    from ..engine.power import Mode as PowerMode
    from ..engine.remote import Purse
    from ..store.settings import Settings

Obtain = Callable[["Entry", "Settings"], tuple["Entry", Path]]


def chosen_engine(chosen: Settings, wanted: str | None, obtain: Obtain) -> Engine:
    """The engine for the model the user chose, never for another that nobody agreed to.

    `obtain` gets a model that is not here (or the one a person took instead), or raises ModelMissing. ModelError for a model
    of another machine that has no key, or where only those of this one may be used.
    """
    from ..engine import models

    entry, path = models.ready(chosen, wanted, obtain)
    if path is not None:
        return engine_of(entry, path, chosen)
    return remote_engine(entry, chosen)


def remote_engine(entry: Entry, chosen: Settings, purse: Purse | None = None) -> Engine:
    """The engine behind an endpoint; what is asked of another machine, or has a price, is counted. Raises ModelError without a key."""
    from ..engine.remote import Metered, Purse, RemoteEngine, keys

    engine = RemoteEngine(entry, keys.needed(entry), chosen.provider_tools)
    if entry.remote is not None and keys.is_here(entry.remote) and entry.price is None:
        return engine
    purse = purse or Purse()
    purse.limits = chosen.budget
    return Metered(engine, entry, purse)


def local_model(chosen: Settings, wanted: str | None, obtain: Obtain) -> tuple[Entry, Path]:
    """The model the user chose and its file. ModelError for one that has none here."""
    from ..engine import models

    entry, path = models.ready(chosen, wanted, obtain)
    models.refuse_hosted(entry)
    assert path is not None
    return entry, path


def engine_of(entry: Entry, path: Path, chosen: Settings) -> LocalEngine:
    """The engine that answers with this file."""
    from ..engine import dialects, reuse
    from ..engine.local import LocalEngine

    file = entry.model_file(path, context=chosen.context, projector=reuse.projector(entry))
    dialect, power = dialects.by_name(entry.dialect), cast("PowerMode", chosen.power)
    return LocalEngine(file, dialect, idle_s=chosen.idle_s, threads=chosen.threads, power=power)


def judged_engine(entry: Entry, path: Path, chosen: Settings) -> Engine:
    """The same for other programs' tools: calls are judged before they are given out."""
    from ..agent.judged import Judged

    return Judged(engine_of(entry, path, chosen), entry.judge)
