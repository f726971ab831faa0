"""The models in memory: found, loaded beside each other where they fit, and unloaded."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from . import fit, pace, preflight, room
from .protocol import Prompted

if TYPE_CHECKING:
    from .archive import Archive
    from .grammars import Grammars
    from .llama import Model
    from .prefix import Prefix
    from .snapshots import Snapshot
    from .yielding import Yielding

log = logging.getLogger("localagent.engine")
Key = tuple[str, int, int, int]
"""Path, size in bytes and time of change in ns of the file, and the tokens of context."""


_NOTHING: dict[str, Any] = {
    "model": None,
    "context": 0,
    "used": 0,
    "threads": 0,
    "gpu_layers": "",
    "tokens_read": 0,
    "tokens_restored": 0,
    "disk_snapshots": 0,
    "disk_bytes": 0,
    "disk_trouble": "",
}
"""What is told of the model used last, where there is none."""


@dataclass(slots=True, eq=False)
class Loaded:
    """One model with its context. `need` and `weights` as in `room.Share`; `ahead` is where reading ahead ended last.

    `own` says whether its conversation is the user's own and not yet parked, `ready` is the monotonic time at which it
    was loaded.
    """

    key: Key
    model: Model
    context: Yielding
    prefix: Prefix
    archive: Archive
    grammars: Grammars
    pace: pace.Pace
    offloaded: str
    need: int
    weights: int
    ahead: Snapshot | None = None
    own: bool = False
    ready: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        self.archive.close()
        self.grammars.close()
        self.context.close()
        self.model.close()

    def status(self, busy: bool) -> dict[str, Any]:
        return {
            "model": self.key[0],
            "context": self.context.n_ctx,
            "used": len(self.prefix.tokens),
            "memory_bytes": self.need,
            "snapshots": len(self.prefix.snapshots),
            "snapshot_bytes": self.prefix.used,
            "threads": self.context.threads,
            "gpu_layers": self.offloaded,
            "busy": busy,
            "tokens_read": self.prefix.read,
            "tokens_restored": self.prefix.restored,
            "disk_snapshots": self.archive.files,
            "disk_bytes": self.archive.bytes,
            "disk_trouble": self.archive.trouble,
        }


def key(request: Prompted) -> Key:
    """What a request's model goes by. Raises `ModelMissing` or `ModelError`."""
    facts = preflight.check_file(request.path)
    return request.path, facts.st_size, facts.st_mtime_ns, request.context


class Models:
    """Those in memory, the longest unused first. For the inference thread, but for `all`."""

    def __init__(self) -> None:
        self._loaded: list[Loaded] = []
        self._needs: dict[Key, preflight.Need] = {}

    def all(self) -> tuple[Loaded, ...]:
        return tuple(self._loaded)

    def status(self, busy: Collection[Loaded | None]) -> dict[str, Any]:
        """`models` has them all, the last used first; the same facts beside it are that one's, or sums."""
        told = [one.status(one in busy) for one in reversed(self.all())]
        last = told[0] if told else _NOTHING
        sums = {name: sum(one[name] for one in told) for name in ("snapshots", "snapshot_bytes")}
        return {**{name: last[name] for name in _NOTHING}, **sums, "models": told}

    def write_down(self, stop: Callable[[], bool], *, park: bool = False) -> None:
        """Write snapshots to the disk until `stop`; with `park` those of the conversations as they stand, too."""
        for loaded in self.all():
            if park and loaded.own:
                loaded.own = False
                loaded.prefix.park()
            loaded.archive.work(stop)

    def find(self, wanted: Key) -> Loaded | None:
        """It is the one used last from now on."""
        found = next((loaded for loaded in self._loaded if loaded.key == wanted), None)
        if found is not None and found is not self._loaded[-1]:
            self._loaded = [*(loaded for loaded in self._loaded if loaded is not found), found]
        return found

    def in_the_way(self, wanted: Key, busy: Collection[Loaded]) -> list[Loaded] | None:
        """Which models must go before this one can be loaded; None where it has to wait for the busy ones.

        Raises `ModelError` for a file that is no model.
        """
        if not self._loaded:
            return []
        from . import llama

        needed = self._need(wanted)
        shares = [room.Share(held.need, held.weights, held in busy) for held in self._loaded]
        gone = room.to_unload(needed.at(wanted[3]), shares, fit.this_machine(), gpu=llama.supports_gpu())
        return None if gone is None else [self._loaded[at] for at in gone]

    def load(self, wanted: Key, threads: int | None, progress: Callable[[float], bool]) -> Loaded:
        """Raises `ModelError`, or `EngineError` where `progress` gave up."""
        from . import archive, grammars, llama, prefix

        path, context = wanted[0], wanted[3]
        preflight.check_model(path, context, gpu=llama.supports_gpu())
        needed = self._need(wanted)
        model, made = _open(path, context, threads or pace.default_threads(), progress)
        kept = archive.Archive(archive.key(path, made.layout, llama.build_info()))
        loaded = Loaded(
            wanted,
            model,
            made,
            prefix.Prefix(made, budget=preflight.snapshot_budget(), archive=kept),
            kept,
            grammars.Grammars(model),
            pace.Pace(made, pace.default_threads()),
            _offloaded(llama.log_tail(200)),
            needed.at(made.n_ctx),
            needed.weights,
        )
        self._loaded = [*self._loaded, loaded]
        return loaded

    def unload(self, loaded: Loaded, why: str) -> None:
        if loaded in self._loaded:
            self._loaded = [other for other in self._loaded if other is not loaded]
            log.info("unloaded %s: %s", os.path.basename(loaded.key[0]), why)
            loaded.close()

    def unload_idle(self, busy: Collection[Loaded], why: str) -> None:
        for loaded in self.all():
            if loaded not in busy:
                self.unload(loaded, why)

    def _need(self, wanted: Key) -> preflight.Need:
        if wanted not in self._needs:
            if len(self._needs) > 64:
                self._needs.clear()
            self._needs[wanted] = preflight.need(wanted[0])
        return self._needs[wanted]


def _open(path: str, n_ctx: int, threads: int, progress: Callable[[float], bool]) -> tuple[Model, Yielding]:
    """Model and context; where a GPU has too little memory with fewer layers on it, down to none."""
    from .llama import Model, supports_gpu
    from .yielding import Yielding

    layers = 0
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        model = None
        try:
            wanted = int(layers * share) if layers or not share else -1
            model = Model(path, gpu_layers=wanted, progress=progress)
            layers = model.n_layer + 1
            return model, Yielding(model, n_ctx=n_ctx, threads=threads)
        except ModelError:
            if model is not None:
                model.close()
            if not share or not supports_gpu():
                raise
            layers = layers or 64
    raise AssertionError("the last try returns or raises")


def _offloaded(log: list[str]) -> str:
    """How many layers llama.cpp says it put on a GPU, as "33/33"; "0" where it put none."""
    found = [m[1] for line in log if (m := re.search(r"offloaded (\d+/\d+) layers", line))]
    return found[-1] if found else "0"
