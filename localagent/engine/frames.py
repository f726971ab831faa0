"""A job that has begun, and lending its context to one that goes before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import preflight
from .loaded import Loaded
from .queue import Job

if TYPE_CHECKING:
    import numpy as np

    from .ahead import Guesses
    from .snapshots import Suspended


@dataclass(eq=False, slots=True)
class Frame:
    """A job that has begun. While another job has its context, `held`, `logits` and `guesses` are its own part of that.

    `away` are the seconds it stood interrupted while its prompt was read, and since.
    """

    job: Job
    loaded: Loaded | None = None
    held: Suspended | None = None
    logits: list[np.ndarray] = field(default_factory=list)
    guesses: Guesses | None = None
    speaking: bool = False
    away: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def emit(self, event: dict[str, Any]) -> None:
        self.speaking = self.speaking or event["event"] == "token"
        self.job.emit(event)

    def lend(self) -> bool:
        """Put away the state of this interrupted job, so that another may use its context; False where that fails."""
        loaded = self.loaded
        if loaded is None or self.held is not None:
            return True
        free, context = preflight.available_memory(), loaded.context
        if free is not None and free < (loaded.need - loaded.weights) * len(loaded.prefix.tokens) // context.n_ctx:
            return False
        logits = context.held_logits()
        held = loaded.prefix.suspend()
        if held is not None:
            self.held, self.logits, self.guesses = held, logits, loaded.guesses
            loaded.guesses = loaded.guesses.beside()
        return held is not None

    def take_back(self) -> None:
        """Be exactly where `lend` was called, or let go of that where nobody waits for it. Raises `EngineError`."""
        if self.held is None or self.loaded is None:
            return
        held, self.held = self.held, None
        logits, self.logits = self.logits, []
        self.loaded.guesses, self.guesses = self.guesses or self.loaded.guesses, None
        if self.job.stopped():
            self.loaded.prefix.release(held)
            return
        self.loaded.prefix.resume(held)
        self.loaded.context.put_back_logits(logits)
