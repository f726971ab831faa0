"""The pictures of one request: found in the session's folder, and what each is to the model that looks at them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import EngineError, ModelError, StoreError
from ..store import picture
from . import preflight
from .base import ImageData
from .entry import MIB
from .fit import gib
from .protocol import Prompted
from .seen import ids

if TYPE_CHECKING:
    from .llama import Eyes, View
    from .loaded import Loaded

COMPUTE = 600 * MIB
"""What a projector computes in, for a picture of the largest size."""


@dataclass(slots=True)
class Views:
    """Where in a prompt pictures begin: by position their names and views. `extra` is what they take beyond their positions."""

    at: dict[int, tuple[str, View]] = field(default_factory=dict)
    extra: int = 0

    def add(self, position: int, name: str, view: View) -> Sequence[int]:
        """The tokens that stand for it there."""
        self.at[position] = name, view
        self.extra += view.cells - view.positions
        return ids(view.name, view.positions, still=view.still)

    def step(self, at: int, end: int, backend: Any) -> tuple[int, Callable[[Any], int] | None]:
        """How far to go from `at`, at most to `end` where no picture stands there, and how to read one that does."""
        if at in self.at:
            name, view = self.at[at]
            return at + view.positions, lambda _: int(backend.see(name, at))
        return min([end, *(start for start in self.at if start > at)]), None

    def between(self, length: int, other: int) -> bool:
        """Whether there is one between two lengths: it costs more than its few positions say."""
        return any(length <= start < other for start in self.at)

    def beyond(self, length: int) -> int:
        """What those within the first `length` tokens take beyond their positions."""
        return sum(view.cells - view.positions for start, (_, view) in self.at.items() if start < length)


def look(eyes: Eyes | None, folder: str, sha256: str) -> View:
    """What a picture of the session's folder is to the model. Raises `EngineError`."""
    if eyes is None:
        raise EngineError("This model cannot see images.", "Leave the image out or choose another model.")
    if picture.find(folder, sha256) is None:
        raise EngineError("A picture of the conversation is no longer there.", "Give it again.")
    return eyes.view(sha256, lambda: _pixels(folder, sha256))


def _pixels(folder: str, sha256: str) -> tuple[int, int, bytes]:
    try:
        return picture.decode(picture.read(folder, sha256))
    except (StoreError, OSError, ValueError) as error:
        raise EngineError(f"A picture of the conversation cannot be read: {error}.", "Give it again.") from None


def wants(request: Prompted) -> bool:
    return bool(request.projector) and any(isinstance(segment, ImageData) for segment in request.segments)


def open_eyes(loaded: Loaded, request: Prompted) -> None:
    """Load the projector of a request with pictures beside its model. Raises `ModelError`, also where memory is short."""
    context = loaded.context
    if not wants(request) or (context.eyes is not None and context.eyes.path == request.projector):
        return
    from .llama import Eyes

    facts = preflight.check_file(request.projector)
    free, need = preflight.available_memory(), facts.st_size + COMPUTE
    if free is not None and free < need:
        raise ModelError(
            f"To see pictures the model needs {gib(need)} GiB of memory more, and {gib(free)} GiB are free.",
            "Close other programs, choose a smaller model, or leave the picture out.",
        )
    if context.eyes is not None:
        context.eyes.close()
        context.eyes = None
    context.eyes = Eyes(context.model, request.projector, threads=context.threads, gpu=loaded.plan.gpu_layers > 0)
    loaded.need += need
    loaded.sees = os.path.basename(request.projector)
