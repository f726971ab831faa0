"""Waits until something happens, and starts the job that waits for it: one process, many jobs, and no model while nothing does.

`step` does all that is due at a moment. An occasion is taken and its run written down as begun in one transaction (see
`store.jobs`), so it starts one run or none, whenever we are stopped.

- A job has one run at a time. What comes meanwhile: a time is passed over with a note; files, output and mail wait.
- What came while nobody watched (off, asleep) starts one run, or none where the job says so; either way it is written down.
- A run that failed for the engine, before it did anything, is tried again a few times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..channels.sender import alive, me
from ..errors import LocalAgentError, StoreError
from ..store.jobs import TIMED, Job, Jobs, Kept, Run
from . import times
from .clock import Clock
from .hints import Hints
from .looking import Found, Look
from .running import Outcome, Runner

AT_ONCE = 2
# A watcher that is this late was not there: off, or asleep.
GRACE_S = 60.0
BACKOFF_S = (60.0, 300.0, 900.0)
# More than a person could have meant: jobs that set each other off.
MOST_AN_HOUR = 60
_RELOAD_S = 5.0
_DISK_S = 30.0
_UNSEEN = (-1, 0)

Tell = Callable[[Job, Run], Any]
"""Awaited with a run that is over: lets whoever the job names know. Never raises."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What a watcher works with; `report` gets a line for whoever watches it."""

    store: Jobs
    clock: Clock
    look: Look
    run: Runner
    tell: Tell
    report: Callable[[str], None] = lambda line: None
    hints: Hints | None = None


class Watcher:
    def __init__(self, kit: Kit, at_once: int = AT_ONCE) -> None:
        self._kit = kit
        self._store = kit.store
        self._at_once = at_once
        self._jobs: dict[str, Kept] = {}
        self._seen = _UNSEEN
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looking: set[str] = set()
        self._looks: dict[str, float] = {}
        self._visited: set[str] = set()
        self._woken = asyncio.Event()
        self._since = self._last = self._planned = kit.clock.now()
        self._ending = False
        self._telling: set[asyncio.Future[Any]] = set()
        self._me = me()

    async def run(self) -> None:
        """Until it is cancelled; runs are stopped then, and recorded as that."""
        try:
            self._cut_off()
            while True:
                wake = self._step(self._kit.clock.now())
                await self._kit.clock.wait(wake, self._woken)
                self._woken.clear()
        finally:
            self._ending = True
            tasks = [*self._tasks.values(), *self._telling]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._kit.hints is not None:
                self._kit.hints.stop()

    def _cut_off(self) -> None:
        """Runs of processes that are gone: said, and not done again."""
        known = {kept.job.id: kept.job for kept in self._store.all()}
        for run in self._store.cut_off(alive, self._kit.clock.now()):
            if (job := known.get(run.job)) is not None:
                self._kit.report(f"{job.name}: its run of {times.said(run.begun, '')} was cut off. It is not done again by itself.")
                task = asyncio.ensure_future(self._kit.tell(job, replace(run, state="cut off")))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

    # ------------------------------------------------------------ one moment

    def _step(self, now: float) -> float:
        """`step`, where the disk may be full for a while."""
        try:
            return self.step(now)
        except StoreError as error:
            self._kit.report(str(error))
            self._seen = _UNSEEN
            return now + _DISK_S

    def step(self, now: float) -> float:
        """Start all that is due; when the next thing may be."""
        if now > self._planned + GRACE_S or now < self._last - GRACE_S:
            self._since, self._seen = now, _UNSEEN
            self._visited.clear()
        self._last = now
        self._load(now)
        for kept in sorted(self._jobs.values(), key=lambda one: one.retry_at or one.due or self._looks.get(one.job.id, 0.0)):
            if kept.job.id not in self._tasks:
                self._visit(kept, now)
            elif kept.job.trigger.kind in TIMED and kept.state == "on" and 0 < kept.due <= now:
                self._pass_over(kept, "skipped", "its last run was still going on", now)
        self._planned = min([now + _RELOAD_S, *(at for kept in self._jobs.values() if (at := self._next(kept, now)))])
        return self._planned

    def _load(self, now: float) -> None:
        if (seen := self._store.changed()) == self._seen:
            return
        self._seen = seen
        self._jobs = {kept.job.id: _on_this_clock(kept, now) for kept in self._store.all()}
        self._looks = {id: at for id, at in self._looks.items() if id in self._jobs}
        self._visited &= self._jobs.keys()
        if self._kit.hints is not None:
            waiting = [kept.job for kept in self._jobs.values() if kept.state == "on" and kept.job.trigger.kind == "change"]
            self._kit.hints.watch(waiting, self._hinted)

    def _again(self, id: str) -> None:
        """This job was written by us: read it anew."""
        if (kept := self._store.find(id)) is not None:
            self._jobs[id] = kept
        else:
            self._jobs.pop(id, None)

    def _next(self, kept: Kept, now: float) -> float:
        if kept.job.id in self._tasks:
            # A time that comes while it runs is still passed over in time.
            return kept.due if kept.state == "on" and kept.job.trigger.kind in TIMED and kept.due > now else 0.0
        if kept.retry_at:
            return max(kept.retry_at, now + _RELOAD_S)
        if kept.state != "on":
            return 0.0
        at = kept.due if kept.job.trigger.kind in TIMED else self._looks.get(kept.job.id, now)
        # What is due and finds no room is begun when a run ends.
        return at if at > now else now + _RELOAD_S if at else 0.0

    def _visit(self, kept: Kept, now: float) -> None:
        job = kept.job
        timed = job.trigger.kind in TIMED
        if kept.state == "on" and timed and 0 < kept.due <= now:
            self._of_time(kept, now)
        elif kept.state != "paused" and kept.retry_at:
            if kept.retry_at <= now and self._room():
                self._retry(kept, now)
        elif kept.state == "on" and not timed and self._looks.get(job.id, 0.0) <= now and self._room():
            self._looking.add(job.id)
            self._tasks[job.id] = asyncio.create_task(self._look(kept))

    def _room(self) -> bool:
        return len(self._tasks) - len(self._looking) < self._at_once

    # ------------------------------------------------------------ times

    def _of_time(self, kept: Kept, now: float) -> None:
        job = kept.job
        count = times.between(job.trigger, job.made, kept.due, now)
        missed = kept.due < self._since - GRACE_S
        when = times.said(kept.due, job.trigger.zone)
        if missed and job.missed == "skip":
            self._pass_over(kept, "missed", f"{count} {'times' if count > 1 else 'time'} from {when} on, while nobody watched", now)
            return
        if not self._room():
            return
        why = f"it was due at {when}" + (f", and {count - 1} more times since" if count > 1 else "")
        self._begin(kept, why + (", while nobody watched" if missed else ""), "", now, after=partial(_advanced, now))

    def _pass_over(self, kept: Kept, state: Any, why: str, now: float) -> None:
        self._store.pass_over(kept.job.id, state, why, now, partial(_advanced, now))
        self._kit.report(f"{kept.job.name}: {state}, {why}")
        self._again(kept.job.id)

    # ------------------------------------------------------------ looks

    async def _look(self, kept: Kept) -> None:
        job, found, problem = kept.job, None, ""
        try:
            found = await self._kit.look.look(job, kept.cursor, self._kit.clock.now())
            problem = found.problem
        except LocalAgentError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - one job's trouble is not that of the others
            problem = f"{type(error).__name__}: {error}"
        finally:
            self._tasks.pop(job.id, None)
            self._looking.discard(job.id)
        now = self._kit.clock.now()
        self._looks[job.id] = now + job.trigger.seconds
        try:
            self._looked(kept, found, problem, now)
        except StoreError as error:
            self._kit.report(f"{job.name}: {error}")
        self._woken.set()

    def _looked(self, kept: Kept, found: Found | None, problem: str, now: float) -> None:
        job = kept.job
        if problem and problem != kept.problem:
            self._kit.report(f"{job.name}: {problem}")
        if found is None or not found.why:
            cursor = kept.cursor if found is None else found.cursor
            if (cursor, problem) != (kept.cursor, kept.problem):
                self._store.looked(job.id, cursor, problem)
                self._again(job.id)
        elif job.missed == "skip" and job.id not in self._visited and job.made < self._since:
            # The first look sees what came while nobody watched.
            self._store.pass_over(job.id, "missed", f"{found.why}, while nobody watched", now, partial(_taken, found, problem))
            self._again(job.id)
            if job.trigger.kind == "mail":
                # Of mail a look takes some: the rest of it came while nobody watched, too.
                self._looks[job.id] = now
                return
        elif self._store.begun_since(job.id, now - 3600) >= MOST_AN_HOUR:
            why = f"It ran {MOST_AN_HOUR} times within an hour, so it is paused. `localagent jobs resume {job.id}` goes on."
            self._store.set_state(job.id, "paused", problem=why)
            self._kit.report(f"{job.name}: {why}")
            self._again(job.id)
        elif self._room():
            # There may be more of it: the next look follows the run.
            self._looks[job.id] = now
            self._begin(kept, found.why, found.delta, now, after=partial(_taken, found, problem))
        else:
            self._looks[job.id] = now
            return
        if found is not None:
            self._visited.add(job.id)

    def _hinted(self, id: str, at: float) -> None:
        """Something changed there: look at that moment."""
        self._looks[id] = at
        self._woken.set()

    # ------------------------------------------------------------ runs

    def _retry(self, kept: Kept, now: float) -> None:
        failed = self._store.run(kept.retry_of)
        if failed is None:
            self._store.set_state(kept.job.id, kept.state)
            self._again(kept.job.id)
            return
        self._begin(kept, failed.why, failed.delta, now, after=_retried, attempt=failed.attempt + 1)

    def _begin(
        self, kept: Kept, why: str, delta: str, now: float, *, after: Callable[[Kept], Kept], attempt: int = 0
    ) -> None:
        run = self._store.begin(kept.job.id, why, delta, self._me, now, after=after, attempt=attempt)
        if run is None:
            self._cut_off()
            if kept.job.trigger.kind in TIMED and not attempt:
                # By a person's hand, in another process.
                self._store.pass_over(kept.job.id, "skipped", "a run of it was going on", now, after)
        else:
            self._tasks[kept.job.id] = asyncio.create_task(self._carry_out(kept.job, run))
        self._again(kept.job.id)

    async def _carry_out(self, job: Job, run: Run) -> None:
        tried = f" (try {run.attempt + 1})" if run.attempt else ""
        self._kit.report(f"{job.name}: begins{tried}, for {run.why}")
        outcome = Outcome("stopped")
        try:
            outcome = await self._kit.run(job, run, partial(self._store.in_session, run.number))
        except Exception as error:  # noqa: BLE001 - one job's trouble is not that of the others
            outcome = Outcome("failed", "", {"error": {"kind": "bug", "message": f"{type(error).__name__}: {error}"}})
        finally:
            now = self._kit.clock.now()
            retry_at = now + BACKOFF_S[run.attempt] if outcome.again and run.attempt < len(BACKOFF_S) else 0.0
            await self._finish(job, run, outcome, retry_at)
            self._woken.set()
        over = self._store.run(run.number)
        again = f"; it is tried again in {times.span(retry_at - now)}" if retry_at else ""
        why = (outcome.facts.get("error") or {}).get("message", "")
        self._kit.report(f"{job.name}: {outcome.state}{f' ({why})' if why else ''}{again}")
        if over is not None and not retry_at:
            await self._kit.tell(job, over)


    async def _finish(self, job: Job, run: Run, outcome: Outcome, retry_at: float) -> None:
        """Until it is on the disk: a run that is not known to be over keeps its job from running."""
        while True:
            now = self._kit.clock.now()
            try:
                finish(self._store, self._kit.look, job, run, outcome, now, retry_at)
                break
            except StoreError as error:
                self._kit.report(f"{job.name}: {error}")
                if self._ending:
                    break
                await self._kit.clock.wait(now + _DISK_S, asyncio.Event())
        self._tasks.pop(job.id, None)
        self._again(job.id)


def finish(store: Jobs, look: Look, job: Job, run: Run, outcome: Outcome, now: float, retry_at: float = 0.0) -> None:
    """Write down how a run ended. What it changed itself does not set the job off again."""
    cursor = None
    if job.trigger.kind == "change" and outcome.changed:
        kept = store.find(job.id)
        cursor = look.settled(job, kept.cursor, outcome.changed) if kept is not None else None
    store.finish(run.number, outcome.state, outcome.said, outcome.facts, now, cursor=cursor, retry_at=retry_at)


def _advanced(now: float, kept: Kept) -> Kept:
    """The job behind a time that is dealt with. A retry gives way: the next run does the same."""
    due = times.following(kept.job.trigger, kept.job.made, now)
    return replace(kept, due=due, state="on" if due else "done", retry_at=0.0, retry_of=0)


def _retried(kept: Kept) -> Kept:
    return replace(kept, retry_at=0.0, retry_of=0)


def _on_this_clock(kept: Kept, now: float) -> Kept:
    """Where the clock was set back by much since, the next time is not as far away as it was."""
    due = times.following(kept.job.trigger, kept.job.made, now)
    return replace(kept, due=due) if due and kept.due > due + 3600 else kept


def _taken(found: Found, problem: str, kept: Kept) -> Kept:
    """The job behind something that happened; a process ends once."""
    return replace(kept, cursor=found.cursor, problem=problem, state="done" if kept.job.trigger.kind == "exit" else "on")
