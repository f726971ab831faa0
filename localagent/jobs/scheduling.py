"""The tool `schedule`: the model asks for a job or a reminder, and the person sees all of it before it is made."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import LocalAgentError, UsageError
from ..policy import rules
from ..store import paths
from ..store.inbox import Inbox
from ..store.jobs import Job, Jobs, marks, new_id
from ..store.journal import Journal
from ..toolbox.registry import Completed
from ..values import Change, Receipt, Text, ToolCall, ToolResult, ToolSpec
from . import described, looking, reminding, times, wishes

SCHEDULE = ToolSpec(
    "schedule",
    "Remind the user of something later (alarm, reminder), or have a task done at a time, again and again, or when a file changes.",
    {
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": "what to say to the user, or the whole task with all it needs to know"},
            "when": {"type": "string", "description": wishes.FORMS},
            "remind": {"type": "boolean", "description": "true: only say it to the user then"},
            "files": {"type": "array", "items": {"type": "string"}, "description": "files that the task has to write"},
        },
        "required": ["task", "when", "remind"],
        "additionalProperties": False,
    },
    ("persist",),
    "scheduling",
)
_MOST = 2000
_MOST_FILES = 20
_WATCH = "It starts while `localagent jobs watch` runs; `localagent jobs install` has that start with the user's session."


class Scheduling:
    """A `ToolSource` of this one tool. `tools` gives name and print of what a job may use; `folder` is where it works.

    A job that it makes is a step of `journal` in the session of that id, so that undo takes it away again.
    """

    listed = False

    def __init__(
        self,
        folder: Path,
        tools: Callable[[], tuple[tuple[str, str], ...]],
        journal: Journal,
        session: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._tools, self._clock = folder, tools, clock
        self._journal, self._session = journal, session

    def specs(self) -> list[ToolSpec]:
        return [SCHEDULE]

    def fits(self, words: str) -> bool:
        """Whether a request speaks of a later time, or of what comes again."""
        return wishes.speaks_of_later(words)

    def completed(self, call: ToolCall) -> Completed:
        """The call with its time and files spelt out, and in words what it would leave. Raises UsageError."""
        job, due = self._job(call.args)
        when = wishes.canonical(job.trigger)
        args: dict[str, Any] = {"task": job.goal, "when": when, "remind": job.remind}
        if call.args.get("files"):
            args["files"] = [rules.parse(rule).object for rule, _ in job.allow]
        return Completed(replace(call, args=args), _told(job, due))

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        # Not left half done: an interruption waits for it.
        work = asyncio.ensure_future(asyncio.to_thread(self._add, call))
        try:
            job, due, step = await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise
        except LocalAgentError as error:
            yield ToolResult(call.id, (Text(f"Nothing was scheduled: {error}"),), "failed")
            return
        back = f"`localagent undo` (step {step}) or `localagent jobs rm {job.id}` takes it back."
        told = f"Scheduled as job {job.id}: {_when(job, due)}. {back} {_WATCH}"
        data = {"job": job.id, "name": job.name, "when": _when(job, due), "remind": job.remind, "step": step}
        yield ToolResult(call.id, (Text(told),), receipts=(Receipt("scheduled", data),))

    def _add(self, call: ToolCall) -> tuple[Job, float, int]:
        job, due = self._job(call.args)
        folder = marks()
        folder.mkdir(mode=0o700, exist_ok=True)
        job = replace(job, mark=str(folder / f"{job.id}.job"))
        store = Jobs()
        try:
            # It is there as soon as its mark is.
            store.add(job, due, looking.World(_no_mail, Inbox()).beginning(job.trigger))
            try:
                return job, due, self._keep(job, due, call)
            except BaseException:
                store.drop(job.id)
                raise
        finally:
            store.close()

    def _keep(self, job: Job, due: float, call: ToolCall) -> int:
        """The number of the step that lays down the job's mark: what was agreed to, for a person to read."""
        text = "\n".join([*described.told(job, due), ""]).encode()
        with tempfile.NamedTemporaryFile(dir=paths.cache_dir(), prefix="job-") as file:
            file.write(text)
            file.flush()
            made = Change("write", job.mark, content=file.name, before="", after=hashlib.sha256(text).hexdigest(), size=len(text))
            label = f"job {job.id}: {job.name}"
            told = {"session": self._session, "call": call.id, "label": label, "about": str(self._folder)}
            return self._journal.commit([made], [job.mark], **told).number

    def _job(self, args: Mapping[str, Any]) -> tuple[Job, float]:
        goal = str(args.get("task", "")).strip()
        if not goal or len(goal) > _MOST:
            raise UsageError("The task is empty." if not goal else f"The task has more than {_MOST:,} characters.")
        now = self._clock()
        trigger, due = wishes.trigger(str(args.get("when", "")), self._folder, now)
        remind, files = bool(args.get("remind")), [str(one) for one in args.get("files") or ()]
        # Words alone write no file: who names one wants the task done.
        remind = remind and not files
        if len(files) > _MOST_FILES:
            raise UsageError(f"These are more than {_MOST_FILES} files.", "Name a folder with /** behind it.")
        allow = tuple((str(rules.parse(f"write({self._inside(name)})")), "") for name in files)
        name = " ".join(goal.split())[:60]
        tools, tell = ((), reminding.way()) if remind else (self._tools(), "")
        return Job(new_id(), name, goal, str(self._folder), trigger, allow, (), tools, tell=tell, made=now, remind=remind), due

    def _inside(self, name: str) -> str:
        """A path in the job's folder as rules write it: what lies elsewhere a job that a model asked for may not write."""
        path = Path(name).expanduser()
        whole = path if path.is_absolute() else self._folder / path
        clean = Path(*(part for part in whole.parts if part != "."))
        if ".." in clean.parts or not clean.is_relative_to(self._folder) or clean == self._folder or "(" in name or ")" in name:
            raise UsageError(f"{name!r} is no file in {self._folder}.", "A scheduled task writes in its own folder only.")
        return str(clean.relative_to(self._folder))


async def _no_mail(channel: str) -> tuple[frozenset[str], str]:
    return frozenset(), ""


def _when(job: Job, due: float) -> str:
    match job.trigger.kind:
        case "at":
            return f"once, {times.said(due, job.trigger.zone)}"
        case "change":
            return f"whenever {job.trigger.text} changes"
        case "every":
            return f"every {times.span(job.trigger.seconds)}, next {described.firsts(job, due)}"
    return f"by cron {job.trigger.text!r}, next {described.firsts(job, due)}"


def _told(job: Job, due: float) -> str:
    when = f"{_when(job, due)} on the clock of {job.trigger.zone}" if job.trigger.zone else _when(job, due)
    idle = "" if described.watched() else "; nobody watches jobs now, `localagent jobs install` does"
    if job.remind:
        return f"{when}; then these words are shown {described.place(job)}, and no model runs{idle}"
    may = f"it may write {', '.join(rule for rule, _ in job.allow)}" if job.allow else "it may change nothing"
    tools = ", ".join(name for name, _ in job.tools) or "none"
    return f"{when}; it works in {job.folder} without asking you, {may}, and has the tools {tools}{idle}"
