"""`localagent jobs`: goals that start by themselves, at a time or when something happened."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

from ..agent.office import Manner
from ..agent.session import Session
from ..agent.shown import visible
from ..channels.sender import alive
from ..engine.catalogue import Entry
from ..errors import UsageError
from ..jobs import running, steering, times, watcher
from ..jobs.clock import SystemClock
from ..jobs.reminding import Reminding
from ..jobs.telling import Teller
from ..store import lock, paths, settings
from ..store.jobs import Job, Jobs, Run
from ..store.settings import Settings
from ..toolbox.registry import Registry
from . import job_making, jobs_shown

Obtain = Callable[[Entry, Settings], tuple[Entry, Path]]
Open = Callable[[Job, Obtain], Awaitable[Session]]


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="add|list|show|run|pause|resume|rm|log|watch|install|uninstall")
    parser.set_defaults(what="list", json=False)
    job_making.configure(what.add_parser("add", help="make a job; it is shown and asked about first"))
    listing = what.add_parser("list", help="all jobs, when they come next and how the last run ended")
    listing.add_argument("--json", action="store_true")
    for name, told in (
        ("show", "what a job does, and what it may"),
        ("run", "run it now, once, and print its answer"),
        ("pause", "start it no more until `resume`"),
        ("resume", "let it go on; what came meanwhile is passed over"),
        ("rm", "forget it and the record of its runs"),
        ("log", "its runs, the newest first"),
    ):
        one = what.add_parser(name, help=told)
        one.add_argument("id", help="as `list` shows it (a beginning is enough), or its name", nargs="?" if name == "log" else None)
        if name in ("show", "log"):
            one.add_argument("--json", action="store_true")
        if name == "log":
            one.add_argument("-n", type=int, default=20, metavar="N", help="how many at most (20)")
    what.add_parser("watch", help="wait and start what is due, until Ctrl+C; without it no job starts by itself")
    for name, told in (("install", "let `watch` start with your session"), ("uninstall", "no longer")):
        what.add_parser(name, help=told).add_argument("--yes", action="store_true", help="do not show it and ask first")


def run(args: argparse.Namespace, for_job: Open, tools: Callable[[Path], Awaitable[Registry]]) -> int:
    """`for_job` makes the session of a run, `tools` tells what a folder's jobs can use."""
    with contextlib.closing(Jobs()) as store:
        match args.what:
            case "add":
                return job_making.add(args, store, tools)
            case "list":
                return jobs_shown.listing(store, args.json)
            case "show":
                return jobs_shown.show(store.get(args.id), args.json)
            case "log":
                return jobs_shown.log(store, store.get(args.id).job.id if args.id else "", args.n, args.json)
            case "run":
                return _run(store, store.get(args.id).job, for_job)
            case "watch":
                return _watch(store, for_job)
            case "install" | "uninstall":
                return job_making.install(args.what == "install", args.yes)
            case _:
                return _change(store, args.what, args.id)


def _change(store: Jobs, what: str, id: str) -> int:
    kept = store.get(id)
    job = kept.job
    if what == "rm":
        store.remove(job.id)
        print(visible(f"The job {job.name} is gone.", lines=False))
    elif what == "pause":
        steering.pause(store, kept)
        print(visible(f"{job.name} is paused: localagent jobs resume {job.id}", lines=False))
    else:
        steering.go_on(store, kept, time.time())
        print(visible(f"{job.name} goes on.", lines=False))
    return 0


def runner(for_job: Open) -> running.Runner:
    """Nobody is asked to download a model: that would wait for an answer that does not come."""
    from . import pulling

    def obtain(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
        return pulling.obtain(entry, chosen, pull=False, person=False)

    return Reminding(running.Sessions(lambda job: for_job(job, obtain)))


def _teller() -> Teller:
    chosen = settings.load()
    return Teller(Manner(chosen.hold_s, chosen.messages_per_hour, chosen.quiet_hours or ""), _say)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {visible(line, lines=False)}", file=sys.stderr, flush=True)


# ------------------------------------------------------------ now


def _run(store: Jobs, job: Job, for_job: Open) -> int:
    for run in store.cut_off(alive, time.time()):
        print(f"localagent: the run of {times.said(run.begun, '')} was cut off.", file=sys.stderr)
    begun = steering.begin(store, job)
    with _ending():
        outcome = asyncio.run(_by_hand(store, job, begun, runner(for_job)))
    if outcome.said:
        print(visible(outcome.said) if sys.stdout.isatty() else outcome.said, flush=True)
    if error := (outcome.facts.get("error") or {}).get("message"):
        print(f"localagent: {visible(error, lines=False)}", file=sys.stderr)
    for rule in outcome.facts.get("denied") or ():
        print(f"localagent: none of the job's rules allows {visible(rule, lines=False)}", file=sys.stderr)
    return {"done": 0, "denied": 4, "stopped": 130}.get(outcome.state, 1)


async def _by_hand(store: Jobs, job: Job, begun: Run, runner: running.Runner) -> running.Outcome:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await steering.carry_out(store, job, begun, runner)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """A stop by a signal is an interruption."""
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


# ------------------------------------------------------------ the watch


def _watch(store: Jobs, for_job: Open) -> int:
    def taken() -> NoReturn:
        raise UsageError("Jobs are watched already, by another process.", "`localagent jobs list` shows how they stand.")

    with lock.locked(paths.runtime_dir() / "jobs.lock", taken):
        known = store.all()
        on = sum(kept.state == "on" for kept in known)
        _say(f"watching {on} job{'s' if on != 1 else ''}; Ctrl+C ends it")
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_watching(store, runner(for_job)))
    return 0


async def _watching(store: Jobs, runner: running.Runner) -> None:
    from ..jobs.hints import Hints

    clock = SystemClock()
    kit = watcher.Kit(store, clock, steering.world(clock.now), runner, _teller(), _say, Hints(clock))
    task = asyncio.current_task()
    if task is not None:
        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    await watcher.Watcher(kit).run()


