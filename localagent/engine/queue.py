"""Requests that wait for the engine, and whose turn it is. Nothing here computes or blocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .base import Segment, Template, Untrusted
from .protocol import Count, Prepare, Prompted

REMEMBERED = 1024
"""Clients whose last turn is known."""
PREPARING = 10
"""The priority of reading ahead: behind everything that a request can ask for."""
COUNTING = -1
"""The priority of counting, which takes no time: before all of them."""
Emit = Callable[[dict[str, Any]], None]


@dataclass(eq=False)
class Job:
    """One request in the queue. `emit` may be called from any thread; the last event is done or error.

    `cancelled`: nobody wants it any more. `given_up`: something else came, and reading ahead makes room.
    `blocked`: it waits for memory that another model holds.
    """

    request: Prompted
    client: int
    emit: Emit
    cancelled: threading.Event = field(default_factory=threading.Event)
    number: int = 0
    since: float = 0.0
    given_up: bool = False
    blocked: bool = False
    arrived: float = field(default_factory=time.monotonic)
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def turn(self) -> int | str:
        """Whose turn it takes."""
        return self.request.client or self.client

    @property
    def ahead(self) -> bool:
        """Whether it only reads ahead."""
        return isinstance(self.request, Prepare)

    @property
    def priority(self) -> int:
        if isinstance(self.request, Count):
            return COUNTING
        return PREPARING if self.ahead else self.request.priority

    def stopped(self) -> bool:
        return self.given_up or self.cancelled.is_set()

    def end(self, event: dict[str, Any]) -> None:
        """Tell the last event, the first time this is called."""
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self.emit(event)


class Turns:
    """The order of waiting jobs: by priority, then whoever was served longest ago, then first come."""

    def __init__(self) -> None:
        self._served: dict[int | str, int] = {}
        self._jobs = self._turns = 0

    def join(self, job: Job) -> None:
        self._jobs += 1
        job.number = self._jobs
        # Whoever is new goes before those served since, and behind those who have waited longer.
        job.since = self._turns - 0.5

    def order(self, jobs: Iterable[Job]) -> list[Job]:
        return sorted(jobs, key=lambda j: (j.priority, self._served.get(j.turn, j.since), j.number))

    def serve(self, job: Job) -> None:
        """Its turn has come."""
        if job.ahead:
            return
        self._turns += 1
        self._served[job.turn] = self._turns
        if len(self._served) > REMEMBERED:
            del self._served[min(self._served, key=lambda turn: self._served[turn])]

    def forget(self, client: int) -> None:
        self._served.pop(client, None)


def before(job: Job, waiting: Sequence[Job], running: Sequence[Job]) -> int:
    """How many of the others are answered before a job that has just come, as things stand."""
    held = [other for other in running if other.priority <= job.priority]
    return len(held) + sum(other is not job and other.priority <= job.priority for other in waiting)


def goes_on(part: Sequence[Segment], whole: Sequence[Segment]) -> bool:
    """Whether the prompt `whole` begins with `part`, whose last segment may have grown since."""
    if not part or len(part) > len(whole):
        return not part
    *most, last = part
    other = whole[len(most)]
    if tuple(whole[: len(most)]) != tuple(most):
        return False
    if isinstance(last, (Template, Untrusted)) and type(last) is type(other):
        return other.text.startswith(last.text)
    return last == other


def nothing_done() -> dict[str, Any]:
    """The last event of a job that was stopped before it began."""
    return {
        "event": "done",
        "stop": "cancelled",
        "text": "",
        "usage": {"input": 0, "cached": 0, "output": 0},
        "timings": {"load_ms": 0.0, "prefill_ms": 0.0, "decode_ms": 0.0},
    }


def told(job: Job, state: str) -> dict[str, Any]:
    """What the status says of it."""
    return {
        "state": state,
        "model": job.request.path,
        "priority": job.priority,
        "seconds": round(time.monotonic() - job.arrived, 1),
    }
