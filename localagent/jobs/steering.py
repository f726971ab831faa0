"""What a person does with a job that is there: pause it, let it go on, take it away, run it now."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from ..channels.sender import alive, me
from ..errors import UsageError
from ..store.inbox import Inbox
from ..store.jobs import TIMED, Job, Jobs, Kept, Run
from . import looking, times, watcher
from .mailing import Postman
from .running import Outcome, Runner


def world(clock: Callable[[], float] = time.time) -> looking.World:
    """What a watcher of this machine looks at."""
    inbox = Inbox()
    return looking.World(Postman(inbox, clock).fetch, inbox)


def go_on(store: Jobs, kept: Kept, now: float) -> None:
    """What came while it was paused is passed over. Raises UsageError where it is not paused, or its time is over."""
    job = kept.job
    if kept.state != "paused":
        raise UsageError(f"{job.name} is not paused.")
    due = kept.due if job.trigger.kind == "at" else times.following(job.trigger, job.made, now)
    if job.trigger.kind == "at" and due <= now:
        raise UsageError(f"The time of {job.name} is over.", "`localagent jobs run` does it now.")
    cursor = None if job.trigger.kind in TIMED else world().beginning(job.trigger)
    store.set_state(job.id, "on", due, cursor=cursor)


def pause(store: Jobs, kept: Kept) -> None:
    """Raises UsageError for one that will not come again."""
    if kept.state == "done":
        raise UsageError(f"{kept.job.name} has had its time, and does not start again.")
    store.set_state(kept.job.id, "paused")


def begin(store: Jobs, job: Job) -> Run:
    """A run by hand, written down as begun. Raises UsageError where one is going on."""
    now = time.time()
    store.cut_off(alive, now)
    begun = store.begin(job.id, "by hand", "", me(), now, after=None)
    if begun is None:
        raise UsageError(f"A run of {job.name} is going on already.", f"`localagent jobs log {job.id}` shows it.")
    return begun


async def carry_out(store: Jobs, job: Job, begun: Run, runner: Runner) -> Outcome:
    """The run that `begin` has begun, to its end; stopped, it is recorded as that."""
    outcome = Outcome("stopped")
    try:
        outcome = await runner(job, begun, partial(store.in_session, begun.number))
    finally:
        watcher.finish(store, world(), job, begun, outcome, time.time())
    return outcome
