"""Jobs and their runs in words: what a person agrees to, and where it stands."""

from __future__ import annotations

from ..agent.shown import visible
from ..channels.sender import alive
from ..store import lock, paths
from ..store.jobs import Job, Run, Trigger
from . import times

_NEXT = 3


def when(trigger: Trigger) -> str:
    """What sets it off, in words."""
    match trigger.kind:
        case "at":
            return f"at {trigger.text} ({trigger.zone})"
        case "every":
            return f"every {times.span(trigger.seconds)}"
        case "cron":
            return f"cron {trigger.text} ({trigger.zone})"
        case "change":
            return f"when {trigger.text} changes"
        case "output":
            return f"when the output of `{trigger.text}` changes, looked at every {times.span(trigger.seconds)}"
        case "exit":
            return f"when process {trigger.pid} ends"
        case "mail":
            parts = [("from", trigger.sender), ("with", trigger.words), ("on", trigger.channel)]
            return " ".join(["on new mail", *(f"{what} {text}" for what, text in parts if text)])


def told(job: Job, due: float) -> list[str]:
    """Everything that a person agrees to."""
    if job.remind:
        lines = [
            f"{job.name}",
            f"  reminds: {job.goal}",
            f"  when:    {when(job.trigger)}" + (f"; next {firsts(job, due)}" if due else ""),
            f"  shown:   {place(job)}; no model runs",
        ]
        return [visible(line, lines=False) for line in lines]
    lines = [
        f"{job.name}",
        f"  goal:    {job.goal}",
        f"  when:    {when(job.trigger)}" + (f"; next {firsts(job, due)}" if due else ""),
        f"  folder:  {job.folder}",
        f"  allowed: {', '.join(text for text, _ in job.allow) or 'only to read here, and to run programs on a copy'}",
        *([f"  denied:  {', '.join(job.deny)}"] if job.deny else []),
        f"  tools:   {', '.join(name for name, _ in job.tools) or 'none'}",
        f"  missed:  {'one run for all that came' if job.missed == 'once' else 'no run for what came'} while nobody watched",
        f"  at most: {times.span(job.max_time)}, {job.max_turns} answers of the model {job.model or 'that is chosen then'}",
        *([f"  tells:   {job.tell} how each run ended"] if job.tell else []),
        "  Nobody is asked while it runs: what the rules do not allow does not happen.",
    ]
    return [visible(line, lines=False) for line in lines]


def place(job: Job) -> str:
    """Where a reminder is shown."""
    return f"by {job.tell}" if job.tell else "to you on this desktop"


def firsts(job: Job, due: float, count: int = _NEXT) -> str:
    """The next times on the job's own clock, "" where something else sets it off."""
    found, at = [], due
    while at and len(found) < count:
        found.append(at)
        at = times.following(job.trigger, job.made, at)
    return ", ".join(times.said(one, job.trigger.zone) for one in found) + (", …" if at and len(found) == count else "")


def state(run: Run) -> str:
    """A run whose process is gone was cut off, whether or not that is written down yet."""
    if run.state == "begun":
        return "running" if alive(run.owner) else "cut off"
    return run.state


def watched() -> bool:
    """Whether a process holds the lock of the watch, without waiting for it."""

    class Held(Exception):
        pass

    def held() -> None:
        raise Held

    try:
        with lock.locked(paths.runtime_dir() / "jobs.lock", held):
            return False
    except Held:
        return True
