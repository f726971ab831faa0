"""Time that a test moves, a runner that only counts, and a world that says what a test puts there."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from localagent.errors import StoreError
from localagent.jobs import looking
from localagent.jobs.looking import Found
from localagent.jobs.running import Outcome
from localagent.jobs.watcher import Kit, Watcher
from localagent.store.inbox import Inbox
from localagent.store.jobs import Job, Jobs, Run, Trigger

START = 1_772_000_000.0


class SimClock:
    """Goes on to the next waiter as soon as all who run wait for it. A laptop asleep is `now` set by hand."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._count = 0
        self._waiting: list[tuple[float, int, asyncio.Event, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def jump(self, to: float) -> None:
        self._now = to

    async def wait(self, until: float, woken: asyncio.Event) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (until, self._count, woken, future))
        await future

    async def sleep(self, seconds: float) -> None:
        await self.wait(self._now + seconds, asyncio.Event())

    async def run(self, until: float, each: Callable[[float], None] = lambda now: None) -> None:
        while True:
            for _ in range(5):
                await asyncio.sleep(0)
            self._waiting = [one for one in self._waiting if not one[3].done()]
            heapq.heapify(self._waiting)
            early = [one for one in self._waiting if one[2].is_set()]
            if not early and (not self._waiting or self._waiting[0][0] > until):
                self._now = max(self._now, until)
                return
            if not early:
                self._now = max(self._now, self._waiting[0][0])
                each(self._now)
            for one in early or [heapq.heappop(self._waiting)]:
                one[3].set_result(None)


@dataclass
class Counting:
    """Takes `seconds` of simulated time for each run; `outcomes` are used up first."""

    clock: SimClock
    seconds: float = 20.0
    outcomes: list[Outcome] = field(default_factory=list)
    runs: list[tuple[float, str, Run]] = field(default_factory=list)
    going: set[str] = field(default_factory=set)

    async def __call__(self, job: Job, run: Run, began: Callable[[str], None]) -> Outcome:
        assert job.id not in self.going
        self.going.add(job.id)
        self.runs.append((self.clock.now(), job.id, run))
        began(f"session{len(self.runs)}")
        try:
            await self.clock.sleep(self.seconds)
        finally:
            self.going.discard(job.id)
        return self.outcomes.pop(0) if self.outcomes else Outcome("done", "ok")

    def times(self, id: str) -> list[float]:
        return [at for at, one, _ in self.runs if one == id]


@dataclass
class Place:
    """What a look finds: mail from a real inbox, texts for commands, files and processes that a test sets."""

    inbox: Inbox
    outputs: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    looks: int = 0
    broken: str = ""

    async def look(self, job: Job, cursor: str, now: float) -> Found:
        self.looks += 1
        await asyncio.sleep(0)
        if self.broken:
            raise StoreError(self.broken)
        trigger = job.trigger
        match trigger.kind:
            case "output":
                return looking.compared(cursor, self.outputs[trigger.text], trigger.text)
            case "change":
                return looking.changed(cursor, self.files, trigger.text)
            case "exit":
                return Found("", f"process {trigger.pid} ended") if trigger.pid in self.ended else Found(cursor)
        return looking.arrived(cursor, self.inbox, trigger, frozenset({"mail"}), 0.0)

    def settled(self, job: Job, cursor: str, paths: Iterable[str]) -> str:
        import json

        return json.dumps(json.loads(cursor) | {path: self.files[path] for path in paths})


@dataclass
class Desk:
    clock: SimClock
    store: Jobs
    place: Place
    runner: Counting
    told: list[tuple[str, Run]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def tell(self, job: Job, run: Run) -> None:
        self.told.append((job.id, run))

    def watcher(self) -> Watcher:
        return Watcher(Kit(self.store, self.clock, self.place, self.runner, self.tell, self.lines.append))

    async def go(self, seconds: float, each: Callable[[float], None] = lambda now: None) -> None:
        """Watch for so long, from now on, as a process of its own would."""
        task = asyncio.create_task(self.watcher().run())
        await self.clock.run(self.clock.now() + seconds, each)
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def add(self, id: str, trigger: Trigger, due: float = 0.0, cursor: str = "", **more: object) -> Job:
        job = replace(Job(id, id, f"goal of {id}", "/", trigger, made=self.clock.now()), **more)  # type: ignore[arg-type]
        self.store.add(job, due, cursor)
        return job

    def every(self, id: str, seconds: float, **more: object) -> Job:
        return self.add(id, Trigger("every", "", seconds), self.clock.now() + seconds, **more)

    def states(self, id: str) -> list[str]:
        return [run.state for run in reversed(self.store.runs(id, 1000))]


def desk(folder: Path, start: float = START) -> Desk:
    clock = SimClock(start)
    return Desk(clock, Jobs(folder / "jobs.db"), Place(Inbox(folder / "inbox.db")), Counting(clock))
