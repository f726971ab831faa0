"""Commands that go on while the model does other things: started, watched, stopped, and ended with their owner.

They work on the workspace itself, inside the sandbox and without network. What they changed is
a step that can be undone, as long as the workspace was small enough for a copy of before.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import LocalAgentError, SandboxUnavailable, StoreError
from ..sandbox import closing, holding, launch, linux, stage
from ..sandbox.difference import look
from ..sandbox.launch import Limits, Process, Profile
from ..store import audit
from ..store.adopt import Before
from ..store.journal import Journal, Step
from ..store.secrets import startup_paths
from ..values import Receipt, Text, ToolCall, ToolResult, ToolSpec

MOST = 4
_KEPT = 200_000
_TOLD = 8_000
_RECORDED = 200
_FIRST_LOOK_S = 1.0
_QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "GIT_OPTIONAL_LOCKS": "0"}

START = ToolSpec(
    "start_command",
    "Start a bash command that keeps running in the background, on the real files.",
    {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
        "additionalProperties": False,
    },
    ("run",),
    "background",
    staged=False,
)
WATCH = ToolSpec(
    "watch_command",
    "List background commands; with an id show its new output; stop ends it.",
    {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "stop": {"type": "boolean"}},
        "required": [],
        "additionalProperties": False,
    },
    ("compute",),
    "background",
    staged=False,
)


class Stream(Protocol):
    """Takes output as it comes and gives on what may be shown of it."""

    def feed(self, piece: str) -> str: ...

    def finish(self) -> str: ...


class _Plain:
    def feed(self, piece: str) -> str:
        return piece

    def finish(self) -> str:
        return ""


@dataclass(slots=True)
class _Job:
    """One command. `view` is the copy of before, None where there is none; `told` is how much output was shown.

    Of `output`, without secrets, the last part is kept; `read` is how much there was, in characters.
    """

    id: int
    call: str
    command: str
    process: Process
    view: stage.View | None
    after: int
    stream: Stream
    began: float = field(default_factory=time.monotonic)
    output: str = ""
    read: int = 0
    told: int = 0
    code: int | None = None
    step: Step | None = None
    trouble: str = ""
    never_ran: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Background:
    """The two tools of background commands, for one session.

    `closed` gives absolute globs of what no program may see, as for `PluginSource`. `stream` makes what hides
    secrets in one command's output, before any of it is cut; `record` hears what a command has changed. `aclose` ends
    every command and makes steps of what they changed; if this process dies, they die with it.
    """

    def __init__(
        self,
        journal: Journal,
        session: str,
        *,
        workspace: Path,
        scratch: Path,
        closed: Callable[[], Sequence[str]] | Sequence[str] = (),
        budget: stage.StageBudget | None = None,
        stream: Callable[[], Stream] = _Plain,
        record: Callable[[str, Mapping[str, Any]], None] = audit.append,
    ) -> None:
        self._journal = journal
        self._session = session
        self._workspace = Path(os.path.realpath(workspace))
        self._scratch = scratch
        self._patterns = closed
        self._budget = budget or stage.StageBudget(overlaid=False)
        self._stream = stream
        self._record = record
        self._jobs: dict[int, _Job] = {}

    def specs(self) -> list[ToolSpec]:
        return [START, WATCH]

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        try:
            yield await (self._start(call) if call.name == START.name else self._watch(call))
        except LocalAgentError as error:
            yield ToolResult(call.id, (Text(f"{call.name} failed: {error}"),), "failed")

    async def aclose(self) -> None:
        """End what still runs; what it changed becomes a step. Being cancelled does not shorten that: it could not be undone."""
        interrupted: asyncio.CancelledError | None = None
        for job in self._jobs.values():
            job.process.kill()
        for job in self._jobs.values():
            while not job.over.is_set():
                try:
                    await job.over.wait()
                except asyncio.CancelledError as error:
                    interrupted = error
        if interrupted is not None:
            raise interrupted

    # ------------------------------------------------------------ start

    async def _start(self, call: ToolCall, again: bool = True) -> ToolResult:
        command = str(call.args["command"])
        running = [job for job in self._jobs.values() if job.code is None]
        if len(running) >= MOST:
            raise StoreError(f"{len(running)} commands run already.", "Stop one with watch_command.")
        if place := self._starts_programs():
            told = f"{self._workspace} may hold {place}, which starts programs by itself, so no command may work on it directly."
            raise StoreError(told, "Choose a folder inside it with --cwd.")
        closed = await asyncio.to_thread(self._closed)
        stack, warning = AsyncExitStack(), ""
        view = None
        try:
            view = await stack.enter_async_context(stage.open(self._workspace, self._scratch, self._budget, closed))
        except stage.TooLarge as error:
            # The question said so. For want of room it is not run: what was agreed to can be undone.
            if self._holds_ours():
                raise
            warning = f" What it changes cannot be undone: {error.message}"
        number = max((step.number for step in self._journal.steps(1)), default=0)
        try:
            profile = Profile(writable=(str(self._workspace),), closed=closed, limits=Limits(wall_s=0, output_kb=0))
            shell = shutil.which("bash") or "/bin/sh"
            env = launch.clean_env(_QUIET)
            process = await launch.start([shell, "-c", command], profile=profile, cwd=self._workspace, env=env)
        except BaseException:
            await stack.aclose()
            raise
        job = _Job(max(self._jobs, default=0) + 1, call.id, command, process, view, number, self._stream())
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._live(job, stack))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(job.over.wait(), _FIRST_LOOK_S)
        if job.never_ran and again:
            # What was to be hidden may have gone in the meantime: a socket of another program.
            del self._jobs[job.id]
            return await self._start(call, again=False)
        receipt = Receipt("ran", {"command": command, "exit_code": job.code, "seconds": round(job.process.seconds, 3)})
        text = f"{self._told(job)}{warning}"
        return ToolResult(call.id, (Text(text),), "failed" if job.code else "ok", receipts=(receipt,))

    def _closed(self) -> tuple[str, ...]:
        patterns = self._patterns() if callable(self._patterns) else self._patterns
        return closing.found(str(self._workspace), patterns)

    def _starts_programs(self) -> str:
        """A place of the user's startup files that lies in the workspace, or that this lies in; there or not."""
        work = str(self._workspace)
        places = startup_paths(os.path.realpath(os.path.expanduser("~")))
        return next((place for place in places if linux.under(place, [work]) or linux.under(work, [place])), "")

    def _holds_ours(self) -> bool:
        """A home folder or the whole disk: there a program may only work on a part."""
        scratch = os.path.realpath(self._scratch)
        return scratch.startswith(str(self._workspace).rstrip("/") + "/")

    async def _live(self, job: _Job, stack: AsyncExitStack) -> None:
        """Read it to its end, then make a step of what it changed."""
        try:
            async with stack:
                async with job.process:
                    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
                    async for chunk in job.process:
                        _take(job, job.stream.feed(decode(chunk)))
                    _take(job, job.stream.feed(decode(b"", True)) + job.stream.finish())
                    job.code = await job.process.wait()
                if job.view is not None:
                    job.step = await asyncio.to_thread(self._adopt, job, job.view)
                    self._write_down(job)
        except (LocalAgentError, OSError) as error:
            kind = (
                "did not run"
                if isinstance(error, SandboxUnavailable)
                else "ended, and what it changed cannot be undone"
            )
            job.never_ran = isinstance(error, SandboxUnavailable)
            job.trouble = f"It {kind}: {error}"
        finally:
            job.code = job.code if job.code is not None else -9
            job.over.set()

    def _adopt(self, job: _Job, view: stage.View) -> Step | None:
        root = str(self._workspace)
        untouched = set()
        for path, seen in view.original.items():
            with contextlib.suppress(OSError):
                if look(os.path.join(root, path)) == seen:
                    untouched.add(path)
        before = Before(root, str(view.path), frozenset(untouched), (*view.left_out, *view.closed, *self._others(job)))
        label = f"{START.name} {job.command}".splitlines()[0][:100]
        return self._journal.adopt(before, session=self._session, call=job.call, label=label)

    def _write_down(self, job: _Job) -> None:
        """Into the record; what was done is done where that cannot be written."""
        if job.step is None:
            return
        listed = [
            {"op": change.kind, "path": change.path} | ({"dest": change.dest} if change.dest else {})
            for change in job.step.changes[:_RECORDED]
        ]
        facts = {"session": self._session, "call": job.call, "tool": START.name, "step": job.step.number}
        try:
            self._record("changed", {**facts, "files": len(job.step.changes), "changes": listed})
        except LocalAgentError as error:
            job.trouble = (
                f"It ended, and what it changed is step {job.step.number}, but that is not in the record: {error}"
            )

    def _others(self, job: _Job) -> list[str]:
        """What other steps have changed meanwhile is theirs."""
        newer = [step for step in self._journal.steps(1000) if step.number > job.after]
        paths = {path for step in newer for change in step.changes for path in (change.path, change.dest) if path}
        return [os.path.relpath(os.path.realpath(path), self._workspace) for path in paths]

    # ------------------------------------------------------------ watch

    async def _watch(self, call: ToolCall) -> ToolResult:
        number: Any = call.args.get("id")
        if number is None and not call.args.get("stop"):
            lines = [self._line(job) for job in self._jobs.values()]
            return ToolResult(call.id, (Text("\n".join(lines) or "No command was started."),))
        if number is None and len(self._jobs) == 1:
            number = next(iter(self._jobs))
        job = self._jobs.get(number)
        if job is None:
            known = ", ".join(map(str, self._jobs)) or "none"
            return ToolResult(call.id, (Text(f"There is no command {number}. There are: {known}."),), "failed")
        if call.args.get("stop"):
            job.process.kill()
            await job.over.wait()
        elif job.read == job.told:
            # A model that looks again at once shall see something new.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.over.wait(), _FIRST_LOOK_S)
        return ToolResult(call.id, (Text(self._told(job)),))

    def _line(self, job: _Job) -> str:
        return f"{job.id}: {job.command.splitlines()[0][:80]} ({self._state(job)})"

    def _state(self, job: _Job) -> str:
        if not job.over.is_set():
            return f"running for {time.monotonic() - job.began:.0f} s"
        if job.trouble:
            return job.trouble
        why = {"memory": ", for it used too much memory", "processes": ", for it started too many processes"}
        ended = f"stopped{why.get(job.process.ended, '')}" if job.process.ended else f"exit code {job.code}"
        return ended + (f", step {job.step.number}: {len(job.step.changes)} changes" if job.step else "")

    def _told(self, job: _Job) -> str:
        """Its state and what it has written since that was last told."""
        text = job.output[max(len(job.output) - (job.read - job.told), 0) :]
        job.told = job.read
        if len(text) > _TOLD:
            text = f"... {len(text) - _TOLD:,} characters left out ...\n{text[-_TOLD:]}"
        held = ", ".join(job.process.held_back)
        aside = f"\n[renamed to *{holding.SUFFIX}, for other programs would act on them: {held}]" if held else ""
        return f"{text.rstrip()}{aside}\n[command {job.id}: {self._state(job)}]".lstrip()


def _take(job: _Job, text: str) -> None:
    job.read += len(text)
    job.output = (job.output + text)[-_KEPT:]
