"""The models as somebody who chooses one wants to see them: what fits, what is here, how much of it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import catalogue, fit, reuse
from .entry import Entry
from .fit import Fit
from .machine import this_machine
from .partial import part_path

if TYPE_CHECKING:
    from ..store.settings import Settings


@dataclass(frozen=True, slots=True)
class Offer:
    """One model. `path` is its verified file, None where it is not here; `arrived` are the bytes of it that are.

    `default` is the catalogue's own choice, `chosen` the one that is used where nobody says anything else.
    """

    entry: Entry
    fit: Fit
    path: Path | None = None
    arrived: int = 0
    default: bool = False
    chosen: bool = False

    @property
    def usable(self) -> bool:
        """Whether it can be had and run here at all."""
        return not self.entry.hosted and (self.path is not None or self.fit.verdict in ("fits", "tight", "unknown"))


def offers(chosen: Settings) -> list[Offer]:
    """What the catalogue has, the usual quantisations and whatever is here, in its order. Nothing is hashed."""
    machine = this_machine(reuse.folder())
    known = catalogue.load()
    wanted = (chosen.model or known.default).lower()
    found = []
    for entry in known.entries.values():
        path = here(entry)
        if path is not None or not entry.is_variant or entry.id == wanted:
            made = fit.fits(entry, machine, chosen.context)
            came = entry.bytes if path else arrived(entry)
            found.append(Offer(entry, made, path, came, entry.id == known.default, entry.id == wanted))
    return found


def recommended(found: Sequence[Offer]) -> Offer | None:
    """The default where it fits, else the largest smaller one that does; None where nothing fits well."""
    able = [one for one in found if one.fit.verdict == "fits" and (one.path is not None or not one.fit.disk_short)]
    first = next((one for one in able if one.default), None)
    if first is not None:
        return first
    size = next((one.fit.need for one in found if one.default), None)
    smaller = [one for one in able if size is None or one.fit.need < size]
    return max(smaller, key=lambda one: one.fit.need, default=None)


def here(entry: Entry) -> Path | None:
    """Its file, if it is here and verified; nothing is hashed."""
    if entry.path is not None:
        return Path(entry.path) if Path(entry.path).is_file() else None
    own = [reuse.own_path(entry, part) for part in entry.parts]
    if own and not any(path.is_file() for path in own) and not reuse.recorded_paths(entry):
        return None
    return reuse.installed(entry)


def partials(entry: Entry) -> list[Path]:
    """What has come of a download that is not finished."""
    found = [part_path(reuse.own_path(entry, part)) for part in entry.parts]
    return [path for path in found if path.is_file()]


def arrived(entry: Entry) -> int:
    """Bytes of it that have come."""
    whole = [reuse.own_path(entry, part) for part in entry.parts]
    return min(entry.bytes, sum(_size(path) for path in (*partials(entry), *whole)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
