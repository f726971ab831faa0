"""The protected places as they are now: as they are written, and where links lead from there."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from ..store import secrets
from .context import Context, beneath, real

_NOBODYS = frozenset({"/dev/null", "/dev/zero", "/dev/full"})

Ordered = tuple[tuple[str, str], ...]
"""Pairs of a sort key and the place it stands for; all beneath a folder stands together behind it."""


@dataclass(frozen=True, slots=True)
class Places:
    """`secret` and `startup` are where links lead from such places, letter case folded.

    `private` are all places with something secret, `guarded` all that may not be taken away.
    `own` are localagent's own folders in both forms.
    """

    secret: frozenset[str]
    startup: frozenset[str]
    private: Ordered
    guarded: Ordered
    own: tuple[str, ...]


def of(ctx: Context) -> Places:
    """The places of this context, looked up once for it."""
    if ctx.resolve is None:
        return _written(ctx.home, ctx.protected)
    known = ctx.looked.get("places")
    if isinstance(known, Places):
        return known
    written = _written(ctx.home, ctx.protected)
    own = _led(ctx.protected, ctx)
    secret = _led(secrets.secret_paths(ctx.home), ctx)
    startup = _led(secrets.startup_paths(ctx.home), ctx)
    made = Places(
        frozenset(place.casefold() for place in secret),
        frozenset(place.casefold() for place in startup),
        ordered((*(place for _, place in written.private), *own, *secret)),
        ordered((*(place for _, place in written.guarded), *own, *secret, *startup)),
        tuple(dict.fromkeys((*ctx.protected, *own))),
    )
    ctx.looked["places"] = made
    return made


def held(path: str, places: Ordered) -> str:
    """The first of these places that lies at or beneath the path, or ""."""
    prefix = path.casefold().rstrip("/").replace("/", "\0")
    at = bisect_left(places, (prefix, ""))
    if at < len(places):
        key, place = places[at]
        if key == prefix or key.startswith(prefix + "\0"):
            return place
    return ""


def lies_in(path: str, folded: frozenset[str]) -> bool:
    """Whether the path is one of these places (letter case folded), or lies in one."""
    path = path.casefold() if folded else ""
    while path:
        if path in folded:
            return True
        path = path.rpartition("/")[0]
    return False


def ordered(places: tuple[str, ...]) -> Ordered:
    return tuple(sorted({(place.casefold().replace("/", "\0"), place) for place in places}))


def _led(places: tuple[str, ...], ctx: Context) -> list[str]:
    """Where links lead from these places; neither what holds the home folder nor what is nobody's."""
    found = ((place, real(place, ctx.resolve)) for place in places)
    return [to for place, to in found if to != place and to not in _NOBODYS and not beneath(ctx.home or "/", to)]


@lru_cache(maxsize=8)
def _written(home: str, protected: tuple[str, ...]) -> Places:
    private = (*protected, *secrets.secret_paths(home))
    guarded = (*private, *secrets.startup_paths(home))
    return Places(frozenset(), frozenset(), ordered(private), ordered(guarded), protected)
