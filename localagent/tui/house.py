"""What the app asks of the program around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..sandbox.profile import Boundary
from ..values import Mode

if TYPE_CHECKING:
    # What a session is made of is loaded beside the first frame, not before it.
    from ..agent.session import Session
    from ..engine.base import Engine
    from ..engine.offers import Offer
    from ..jobs.running import Runner
    from .meters import Sample


class House(Protocol):
    """What the app is handed: how sessions are made, and what is known of the place."""

    folder: Path
    context: int
    mode: Mode

    def boundary(self) -> Boundary: ...

    def offers(self) -> list[Offer]:
        """The models there are, with what fits and what is here. Blocks."""
        ...

    def fetching(self, model: str, source: str = "") -> list[str]:
        """The command that downloads a model (from a source of its own choice, if one is named), as `tui.download` reads it."""
        ...

    async def engine_for(self, model: str) -> Engine:
        """The engine of a model that is here. Raises ModelError and UsageError."""
        ...

    async def sample(self) -> Sample:
        """The machine as it is at this moment."""
        ...

    def reload(self) -> None:
        """The settings have changed."""
        ...

    async def session(self, resume: str | None, model: str | None, mode: Mode) -> Session: ...

    async def runner(self) -> Runner:
        """What carries out the run of a job."""
        ...
