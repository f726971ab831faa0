"""The models that can be asked for: those given at the start, and those installed. Nothing is ever downloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..engine import catalogue, reuse
from ..engine import models as choice
from ..engine.base import Engine, Sampling
from ..engine.catalogue import Catalogue, Entry
from .refusals import Refused

ALIASES = ("", "default")


@dataclass(frozen=True, slots=True)
class Model:
    """One model and the engine that answers with it. `created` is in seconds since the epoch."""

    id: str
    engine: Engine
    path: str = ""
    created: int = 0
    context: int = 16384
    thinks: bool = False
    sampling: Sampling = Sampling()
    thinking_sampling: Sampling | None = None
    aliases: tuple[str, ...] = ()

    def is_called(self, name: str) -> bool:
        """Whether this is its name, in any case of letters."""
        return name.lower() in (known.lower() for known in (self.id, *self.aliases))


class Shelf:
    """`given[0]` answers where a request names no model.

    `installed` finds what else is on this machine at the moment; it may take a while and runs
    beside the loop. `loaded` tells the path of the model that the engine holds, None for none.
    """

    def __init__(
        self,
        given: Sequence[Model],
        installed: Callable[[], Iterable[Model]] = tuple,
        loaded: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        self._given = list(given)
        self._installed = installed
        self._loaded = loaded

    @property
    def default(self) -> Model:
        return self._given[0]

    async def find(self, wanted: str) -> Model:
        """The model of that id. Raises `Refused` with 404."""
        name = wanted.strip()
        if name.lower() in ALIASES:
            return self.default
        for one in self._given:
            if one.is_called(name):
                return one
        for one in await self.every():
            if one.is_called(name):
                return one
        ids = ", ".join(one.id for one in self._given)
        text = f"There is no model {wanted!r} here. This server was started with {ids}; GET /v1/models lists all."
        raise Refused(text, status=404, param="model", code="model_not_found")

    async def every(self) -> list[Model]:
        found = {one.id: one for one in self._given}
        for one in await asyncio.to_thread(lambda: list(self._installed())):
            found.setdefault(one.id, one)
        return list(found.values())

    async def loaded(self) -> str | None:
        return await self._loaded() if self._loaded else None


Make = Callable[[Entry, Path], Engine]


def shelf(given: Sequence[tuple[Entry, Path]], context: int, make: Make) -> Shelf:
    """Catalogue entries and files as models; `make` makes the engine of each, once."""
    made: dict[tuple[str, Path], Model] = {}

    def model(entry: Entry, path: Path) -> Model:
        if (entry.id, path) not in made:
            made[entry.id, path] = _model(entry, path, context, make)
        return made[entry.id, path]

    return Shelf(
        _distinct([model(entry, path) for entry, path in given]),
        lambda: [model(entry, path) for entry, path in _on_this_machine(catalogue.load())],
        _loaded,
    )


def _distinct(models: Sequence[Model]) -> list[Model]:
    """Two files of one name are called by their paths."""
    names = [one.id for one in models]
    return [one if names.count(one.id) == 1 else replace(one, id=one.path) for one in models]


def _model(entry: Entry, path: Path, context: int, make: Make) -> Model:
    file = entry.model_file(path, context=context)
    own_file = entry.id == str(path)
    quant = () if entry.is_variant or not entry.quant else (f"{entry.id}:{entry.quant}",)
    try:
        created = int(path.stat().st_mtime)
    except OSError:
        created = 0
    return Model(
        id=path.stem if own_file else entry.id,
        engine=make(entry, path),
        path=str(path),
        created=created,
        context=file.context,
        thinks=file.thinks,
        sampling=file.sampling,
        thinking_sampling=file.thinking_sampling,
        aliases=(str(path), path.name) if own_file else quant,
    )


def _on_this_machine(known: Catalogue) -> Iterable[tuple[Entry, Path]]:
    """Catalogue entries whose file is here. No file is looked into that nobody has looked into before."""
    for entry in known.entries.values():
        if entry.hosted:
            continue
        if entry.path is not None:
            if Path(entry.path).is_file():
                yield choice.whole(entry, known, hashing=False), Path(entry.path)
        elif any(reuse.own_path(entry, part).is_file() for part in entry.parts) or reuse.recorded_paths(entry):
            path = reuse.installed(entry)
            if path is not None:
                yield entry, path


async def _loaded() -> str | None:
    from ..engine import local
    from ..errors import EngineError

    try:
        status = await local.status()
    except EngineError:
        return None
    return str(status["model"]) if status and status.get("model") else None
