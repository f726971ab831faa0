"""The models of a session beside its own, as the settings and the arguments name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..engine.base import Engine
from ..errors import ConfigError, LocalAgentError, ModelMissing, UsageError
from .engines import engine_of, remote_engine

if TYPE_CHECKING:
    import argparse

    from ..engine.catalogue import Catalogue, Entry
    from ..engine.remote import Purse
    from ..engine.route import Escalate, Other, Route
    from ..store.settings import Settings

_LOCAL = "local"


def route_of(chosen: Settings, args: argparse.Namespace, engine: Engine, *, alone: bool = False) -> Route | None:
    """None where the session has its one model. `alone`: nobody agreed to another one for it (a job, a chat), so only spares count.

    Raises UsageError and ConfigError for a model nobody knows, ModelError for one of another machine where only those of this one may
    be used.
    """
    purse = _purse(engine, args)
    wanted, how = args.bigger, args.bigger_on
    bigger = None if alone else wanted or chosen.bigger
    if how and how != "never" and not bigger:
        raise UsageError("--bigger-on needs a bigger model.", "Name it: --bigger zai/glm-5, or `localagent config set bigger zai/glm-5`.")
    if not bigger and not chosen.fallback:
        return None
    from ..engine import catalogue, models
    from ..engine.route import Route

    known = catalogue.load()
    made = _other(bigger, "" if wanted else "bigger", chosen, known, purse) if bigger else None
    if made is not None and wanted:
        models.refuse_remote(made.entry, chosen)
    spares = [_other(name, "fallback", chosen, known, purse) for name in chosen.fallback if name != engine.model]
    spares = [one for one in spares if one.id != engine.model and not (chosen.local_only and one.away)]
    escalate = cast("Escalate", how if how in ("never", "ask", "always") else chosen.escalate)
    away = bool(getattr(engine, "leaves", ""))
    if made is not None and ((chosen.local_only and made.away) or made.id == engine.model):
        made = None
    return Route(made, escalate, how == "each" and made is not None, tuple(spares), away) if made or spares else None


def notices(route: Route | None, engine: Engine) -> tuple[str, ...]:
    """What a person should know of where it may go by itself, and of budgets that cannot be held."""
    told = [getattr(engine, "unpriced", "")]
    if route is not None and route.away:
        from ..engine.remote import keys

        far = [f"{one.id} ({keys.host(one.entry)})" for one in route.spares if one.away]
        told += [f"Where {engine.model} cannot be reached, {' then '.join(far)} gets the conversation instead."] if far else []
    return tuple(one for one in told if one)


def _purse(engine: Engine, args: argparse.Namespace) -> Purse | None:
    """The purse of the engine there is, with the limit of this run."""
    purse = getattr(engine, "purse", None)
    if purse is not None:
        purse.most, purse.spent = args.max_cost, 0.0
    return purse or (args.max_cost and _new_purse(args.max_cost)) or None


def _new_purse(most: float | None) -> Purse:
    from ..engine.remote import Purse

    return Purse(most=most)


def _other(name: str, key: str, chosen: Settings, known: Catalogue, purse: Purse | None) -> Other:
    from ..engine import models
    from ..engine.route import Other

    try:
        if name == _LOCAL:
            local = models.chosen(chosen, None, known)
            entry = known.get(known.default) if local.hosted else local
        else:
            entry = models.chosen(chosen, name, known)
    except (UsageError, ModelMissing) as error:
        raise (ConfigError(f"config.yaml: {key}: {error.message}", error.hint) if key else error) from None
    return Other(entry, lambda: _engine(entry, chosen, purse))


def _engine(entry: Entry, chosen: Settings, purse: Purse | None) -> Engine:
    from ..engine import models

    if entry.hosted:
        models.refuse_remote(entry, chosen)
        return remote_engine(entry, chosen, purse)

    def missing(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
        raise ModelMissing(f"The model {entry.id} is not on this machine.", f"Get it with `localagent model pull {entry.id}`.")

    found, path = models.ready(chosen, entry.id if entry.path is None else str(entry.path), missing)
    if path is None:
        raise LocalAgentError(f"{entry.id} has no file.")
    return engine_of(found, path, chosen)
