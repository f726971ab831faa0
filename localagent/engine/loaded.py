"""The models in memory: found, loaded beside each other where they fit, and unloaded."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import LocalAgentError, PromptTooLong
from . import governor, loading, preflight, pressure, room, weights
from .contention import Free
from .layout import lay_out
from .machine import this_machine
from .plan import BATCH, Plan, Wanted
from .protocol import Prompted
from .weights import Weights

if TYPE_CHECKING:
    from .ahead import Guesses
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
    "kv": "",
    "note": "",
    "tokens_read": 0,
    "tokens_restored": 0,
    "restoring_ms": 0.0,
    "disk_snapshots": 0,
    "disk_bytes": 0,
    "disk_trouble": "",
}
"""What is told of the model used last, where there is none."""


@dataclass(slots=True, eq=False)
class Loaded:
    """One model with its context. `need` and `weights` as in `room.Share`; `ahead` is where reading ahead ended last.

    `own` says whether its conversation is the user's own and not yet parked, `ready` is the monotonic time at which it
    was loaded. `sees` is the file with which it looks at pictures, "" before it looked at one.
    """

    key: Key
    model: Model
    context: Yielding
    prefix: Prefix
    archive: Archive
    grammars: Grammars
    guesses: Guesses
    governor: governor.Governor
    plan: Plan
    note: str
    need: int
    weights: int
    ahead: Snapshot | None = None
    own: bool = False
    sees: str = ""
    ready: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        self.archive.close()
        self.grammars.close()
        self.context.close()
        self.model.close()

    def explained(self, error: LocalAgentError) -> LocalAgentError:
        """The same, saying so where a prompt is too long because memory was short and not because of what is set."""
        if not isinstance(error, PromptTooLong) or self.context.n_ctx >= min(self.key[3], self.model.n_ctx_train):
            return error
        return PromptTooLong(
            f"{error.message} For the {self.key[3]} that are set there was too little memory when the model was loaded.",
            "Close other programs and run `localagent engine stop`, or start a new conversation.",
        )

    def status(self, busy: bool) -> dict[str, Any]:
        return {
            "model": self.key[0],
            "context": self.context.n_ctx,
            "used": len(self.prefix.tokens),
            "memory_bytes": self.need,
            "snapshots": len(self.prefix.snapshots),
            "snapshot_bytes": self.prefix.used,
            "threads": self.context.threads,
            "gpu_layers": self.plan.offloaded,
            "kv": self.plan.kv,
            "note": self.note,
            "busy": busy,
            "sees": self.sees,
            "tokens_read": self.prefix.read,
            "tokens_restored": self.prefix.restored,
            "restoring_ms": self.prefix.restoring_s * 1000,
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
        self._known: dict[Key, Weights] = {}
        self._free = Free()

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

        found = self._weights(wanted)
        need = lay_out((), found, min(wanted[3], found.context or wanted[3]), BATCH).memory
        shares = [room.Share(held.need, held.weights, held in busy) for held in self._loaded]
        gone = room.to_unload(need, shares, this_machine(), gpu=llama.supports_gpu())
        return None if gone is None else [self._loaded[at] for at in gone]

    def load(self, wanted: Key, progress: Callable[[float], bool]) -> Loaded:
        """Raises `ModelError`, or `EngineError` where `progress` gave up."""
        from .yielding import Yielding

        opened = loading.opened(wanted[0], Wanted(wanted[3]), progress, Yielding)
        try:
            loaded = self._made(wanted, opened)
        except BaseException:
            opened.context.close()
            opened.model.close()
            raise
        self._loaded = [*self._loaded, loaded]
        return loaded

    def _made(self, wanted: Key, opened: loading.Opened) -> Loaded:
        from . import ahead, archive, grammars, llama, prefix

        model, context, made = opened.model, opened.context, opened.plan
        kept = archive.Archive(archive.key(wanted[0], context.layout, llama.build_info(), context.n_ctx))
        budget = pressure.relief(pressure.this_pressure(), 0).budget
        return Loaded(
            wanted,
            model,
            context,
            prefix.Prefix(context, budget=budget, archive=kept),
            kept,
            grammars.Grammars(model),
            ahead.Guesses(),
            governor.Governor(context, made.threads, self._free),
            made,
            opened.note,
            made.memory + made.gpu_memory,
            self._weights(wanted).bytes,
        )

    def relieve(self) -> bool:
        """Give back the snapshots that other programs need the memory of; True where idle models should go, too."""
        return governor.relieve([loaded.prefix for loaded in self.all()])

    def unload(self, loaded: Loaded, why: str) -> None:
        if loaded in self._loaded:
            self._loaded = [other for other in self._loaded if other is not loaded]
            log.info("unloaded %s: %s", os.path.basename(loaded.key[0]), why)
            loaded.close()

    def unload_idle(self, busy: Collection[Loaded | None], why: str) -> None:
        for loaded in self.all():
            if loaded not in busy:
                self.unload(loaded, why)

    def _weights(self, wanted: Key) -> Weights:
        if wanted not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            self._known[wanted] = weights.read(wanted[0])
        return self._known[wanted]
