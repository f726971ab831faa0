"""What a conversation on the screen is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..values import Checked, PlanItem, Proposal, Receipt, ToolCall

ToolState = Literal["asking", "running", "ok", "failed", "denied", "cancelled"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The person's message: a request made `at` that time (see `TurnStarted`), or with `steer` words in the middle of a turn."""

    text: str
    at: float = 0.0
    steer: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the model; `live` while it is being written."""

    text: str = ""
    thinking: str = ""
    live: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """One call. `began` is seconds on the caller's clock; `exit_code` only of programs; `output` as it came.

    `outdated` names the files that it showed or made and that others have changed since.
    """

    call: ToolCall
    state: ToolState
    began: float = 0.0
    seconds: float = 0.0
    output: str = ""
    told: str = ""
    reason: str = ""
    exit_code: int | None = None
    step: int = 0
    changes: tuple[Proposal, ...] = ()
    diffs: tuple[str, ...] = ()
    spill: str = ""
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """A line of ours to the person."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Planned:
    """The model's plan as it was when the turn ended."""

    steps: tuple[PlanItem, ...]


@dataclass(frozen=True, slots=True)
class Own:
    """A command of the person's own (`!ls`): the model never hears of it. `code` None while it runs."""

    command: str
    output: str = ""
    code: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a turn ended, and what it did, said by the host under each answer."""

    status: str
    error: str = ""
    receipts: tuple[Receipt, ...] = ()
    seconds: float = 0.0
    checks: tuple[Checked, ...] = ()


Item = Asked | Said | Tool | Told | Planned | Own | Ended
