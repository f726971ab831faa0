"""What one turn is made of, and what its loop asks of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..engine.base import Engine, Options
from ..engine.route import Route
from ..events import Event, Nudged, ToolFinished
from ..toolbox.checks import Check
from ..values import Message, Text
from . import context
from .agreement import Agreement
from .budget import Budget
from .dispatch import Hands
from .offering import Offering
from .room import Room

REQUEST = 500
"""Characters of the request that are said again."""


class Script(Protocol):
    """An engine that may answer in a model's place (`recipes.play`); `playing` says whether it does now."""

    playing: bool

    async def before(self, history: Sequence[Message]) -> list[Event]:
        """Told, with the messages of the turn, before each answer. Raises LocalAgentError where it cannot go on."""
        ...

    async def goes_on(self, history: Sequence[Message]) -> Nudged | None:
        """Why the turn is not over when an answer calls nothing, None where it is."""
        ...

    def over(self, denied: bool) -> None:
        """The last answer is there. Raises LocalAgentError where that is no good end; `denied`: for want of a person."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """`history` gives the messages as the session holds them now; those from `begin` on are this turn's.

    `new_id` names the next call; `news` is what the model has to be told before an answer, None for nothing. `meanwhile` gives
    the next thing that the person said or did since the last answer, None where there is none; it is over once its event was
    yielded. `schema` is the JSON Schema that the final answer must satisfy. `offering` knows the tools beside those that the prompt
    begins with, `room` what is shown of the history, and keeps it so that it fits. `checks` are the user's own, which have to hold at
    the end; `agreed` keeps what a person agrees to with a plan, None where no plan can be proposed. `route` knows the models
    beside the session's own.
    """

    engine: Engine
    hands: Hands
    history: Callable[[], Sequence[Message]]
    begin: int
    new_id: Callable[[], str]
    options: Options = Options()
    budget: Budget = Budget()
    schema: Mapping[str, Any] | None = None
    news: Callable[[], Awaitable[Nudged | None]] | None = None
    meanwhile: Callable[[], Event | None] = lambda: None
    offering: Offering | None = None
    checks: Sequence[Check] = ()
    agreed: Agreement | None = None
    room: Room | None = None
    route: Route | None = None

    def messages(self) -> list[Message]:
        """What the model is shown."""
        return context.for_model(self.history() if self.room is None else self.room.shown)

    @property
    def script(self) -> Script | None:
        return script(self.engine)

    @property
    def plays(self) -> bool:
        """Whether no model answers now."""
        return self.script is not None and self.script.playing


def script(engine: Engine) -> Script | None:
    """What it answers by, None for a model."""
    found: Script | None = getattr(engine, "script", None)
    return found


def source(event: ToolFinished, turn: Turn) -> str:
    spec = turn.hands.registry.spec(event.call.name)
    return spec.source if spec is not None else ""


def request(turn: Turn) -> str:
    """The user's own words of this turn, as far as they are text."""
    history = turn.history()
    parts = history[turn.begin].parts[:1] if turn.begin < len(history) else ()
    return parts[0].text if parts and isinstance(parts[0], Text) else ""


def goes_on(name: str, turn: Turn) -> bool:
    """Whether the tool looks at something that goes on by itself: the same question has another answer each time."""
    spec = turn.hands.registry.spec(name)
    return spec is not None and not spec.staged and "run" not in spec.effects


def only_looks(name: str, turn: Turn) -> bool:
    """A failed look is an answer (there is no such file); a failed deed is an unfinished one."""
    spec = turn.hands.registry.spec(name)
    return spec is not None and set(spec.effects) <= {"compute", "read:fs", "read:mail"}
