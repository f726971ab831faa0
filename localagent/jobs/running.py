"""One run: a new session without a person, whose events are followed to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import LocalAgentError
from ..events import TurnEnded, to_json
from ..store.jobs import Job, Run, RunState
from ..values import Answer, Decision, Proposal, ToolCall

if TYPE_CHECKING:
    from ..agent.session import Session

SAID = 20_000
_MORE_S = 300.0
# What may be over by itself in a while. Where the run has done something already, doing it again is not for us to decide.
_PASSING = frozenset({"engine"})
NOBODY = "a job runs without a person, and none of its rules allows it"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `again`: it failed for something that may pass, before it did anything.

    `changed` are the paths it changed; `facts` holds receipts, denied and error as JSON values.
    """

    state: RunState
    said: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    again: bool = False


class Runner(Protocol):
    """Carries out a begun run. `began` is called with the session's id as soon as there is one. Never raises but for a stop."""

    async def __call__(self, job: Job, run: Run, began: Callable[[str], None]) -> Outcome: ...


Open = Callable[[Job], Awaitable["Session"]]


async def deny(call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
    return Answer("deny", note=f"{decision.reason}, and {NOBODY}", by_person=False)


class Sessions:
    """Runs in sessions that `open_session` makes, each a new one. The engine is not spoken to before a run begins."""

    def __init__(self, open_session: Open) -> None:
        self._open = open_session

    async def __call__(self, job: Job, run: Run, began: Callable[[str], None]) -> Outcome:
        try:
            session = await self._open(job)
        except LocalAgentError as error:
            return _failed(error.kind, str(error))
        began(session.id)
        try:
            # The session keeps to its time by itself; this is for what does not even come back to it.
            async with asyncio.timeout(job.max_time + _MORE_S), aclosing(session.send(job.goal, deny, piped=told(run))) as events:
                async for _ in events:
                    pass
        except LocalAgentError as error:
            return _failed(error.kind, str(error))
        except TimeoutError:
            return _failed("time", "It did not come to an end in its time, and was broken off.")
        except Exception as error:  # noqa: BLE001 - the session has recorded it; the other jobs go on
            return _failed("bug", f"{type(error).__name__}: {error}")
        finally:
            await session.setting.registry.aclose()
            await session.close()
        return outcome(session.ended or TurnEnded("cancelled"))


def told(run: Run) -> str:
    """What the model hears of what happened; "" for a time, which says nothing."""
    return f"What set this off: {run.why}\n\n{run.delta}" if run.delta else ""


def outcome(ended: TurnEnded) -> Outcome:
    plain = to_json(ended)
    facts: dict[str, Any] = {"receipts": plain["receipts"], "denied": list(ended.denied), "usage": plain["usage"]}
    # A folder that was made holds what others put there; what the run put there is named by itself.
    data = [one.data for one in ended.receipts if one.kind == "changed" and one.data.get("op") != "make_folder"]
    changed = tuple(str(one[key]) for one in data for key in ("path", "dest") if one.get(key))
    state: RunState = "done"
    if ended.error is not None:
        facts["error"] = {"kind": ended.error.kind, "message": ended.error.message}
        state = "failed"
    elif ended.status == "done":
        state = "denied" if ended.denied else "done"
    else:
        facts["error"] = {"kind": ended.status, "message": f"It ended before its goal was met: {ended.status}."}
        state = "stopped" if ended.status == "cancelled" else "failed"
    again = ended.error is not None and ended.error.kind in _PASSING and not ended.receipts
    return Outcome(state, ended.final[:SAID], facts, changed, again)


def _failed(kind: str, message: str) -> Outcome:
    facts = {"receipts": [], "denied": [], "error": {"kind": kind, "message": message}}
    return Outcome("failed", "", facts, again=kind in _PASSING)
