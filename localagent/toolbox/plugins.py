"""Tools from plugin files. The code runs in workers only, each call in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LocalAgentError
from ..sandbox.launch import Profile, probe
from ..store import prune
from ..store.atomic import store_error
from ..store.files import remove_tree
from ..values import Change, Outgoing, Part, Receipt, Text, ToolCall, ToolResult, ToolSpec
from . import link, needs, pictures, proposals, reaching, spill
from .describe import Plugin, describe

if TYPE_CHECKING:
    from ..sandbox.stage import View

_FILE_EFFECTS = frozenset({"read:fs", "write:fs", "run"})

Hosts = Callable[[], tuple[tuple[str, ...], tuple[str, ...]]]


def _no_hosts() -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (), ()


class PluginSource:
    """The tools of `files`, described by `load`.

    - `workspace` is what the tools work on; `scratch` holds the contents of proposed changes
      and staged copies, `spill` the outputs that are too long to show; `extra_readable` gives
      further paths that tools which read may read, asked at each call.
    - `closed` gives absolute globs of what no tool may see though it lies in the workspace, or a
      function that does, asked at each call; what is named like a place for keys is closed anyway.
    - What a result's `requests` point to lies in the scratch folder until `release` or `close`.
    - `unsandboxed` is for machines without a boundary, where every effect was asked about:
      workers run as they are, programs still on a staged copy.
    - `mask` hides secrets in a result's text, before any of it is shown or written to `spill`.
    - `hosts` gives the hosts that programs may reach, and those they may not though they match,
      asked at each call.
    - `given` are plugins that are described already; they come after those of `files`.
    - `services` are addresses that the user's settings give to tools, by the tool's name; it reaches that host although it may lie
      on this machine or its network, and finds the address in `LOCALAGENT_SERVICE`. With an empty one the tool is not there.
    - `listed` is as in `registry.ToolSource`, and may be set; `plugins` says whether files may be exchanged while it is used.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        workspace: Path,
        scratch: Path,
        spill: Path,
        extra_readable: Callable[[], Sequence[str]] = tuple,
        closed: Callable[[], Sequence[str]] | Sequence[str] = (),
        unsandboxed: bool = False,
        mask: Callable[[str], str] = str,
        hosts: Hosts = _no_hosts,
        given: Sequence[Plugin] = (),
        services: Mapping[str, str] | None = None,
    ) -> None:
        self.listed, self.plugins = True, False
        self._files = list(files)
        self._given = list(given)
        self._workspace = Path(os.path.realpath(workspace))
        self._scratch = Path(os.path.realpath(scratch))
        self._spill = Path(os.path.realpath(spill))
        self._extra = extra_readable
        self._patterns = closed
        self._unsandboxed = unsandboxed
        self._mask = mask
        self._hosts = hosts
        self._services = dict(services or {})
        self._tools: dict[str, tuple[ToolSpec, Plugin]] = {}
        self._folders: dict[str, Path] = {}
        self._swept = False
        weakref.finalize(self, _discard, self._folders)

    async def load(self) -> list[str]:
        """Learn what the files offer; returns a sentence for everything that could not be loaded."""
        problems: list[str] = []
        tools: dict[str, tuple[ToolSpec, Plugin]] = {}
        for plugin in [*await describe(self._files, unsandboxed=self._unsandboxed), *self._given]:
            problems += plugin.problems
            for spec in plugin.specs:
                if (service := self._services.get(spec.name)) is not None:
                    if not service:
                        continue
                    spec = replace(spec, hosts=(*spec.hosts, *reaching.service(service)))
                if (taken := tools.get(spec.name)) is not None:
                    problems.append(
                        f"{spec.source}: the tool {spec.name!r} is not loaded, for {taken[0].source} "
                        f"has one of that name. Give one of them another name."
                    )
                    continue
                tools[spec.name] = (spec, plugin)
        self._tools = tools
        return problems

    def exchange(self, plugin: Plugin) -> None:
        """Have other tools for this file, or tools of a new one, from the next call on. What is called now ends as it began."""
        rest = {name: held for name, held in self._tools.items() if held[1].file != plugin.file}
        self._tools = rest | {spec.name: (spec, plugin) for spec in plugin.specs if spec.name not in rest}

    def specs(self) -> list[ToolSpec]:
        """The tools that `load` found, in the order of the files and of their lines."""
        return [spec for spec, _ in self._tools.values()]

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        """Run one call in a worker of its own; the last item is its result."""
        spec, plugin = self._tools[call.name]
        folder = self._scratch
        try:
            folder = self._folder(call.id)
            output = self._run(_Job(call, spec, plugin, folder))
            async with aclosing(output):
                async for item in output:
                    yield item
        except LocalAgentError as error:
            yield ToolResult(call.id, (Text(f"{call.name} was not run: {error}"),), "failed")
        except OSError as error:
            told = store_error(error, error.filename or str(folder))
            yield ToolResult(call.id, (Text(f"{call.name} was broken off: {told}"),), "failed")

    def fingerprint(self, call: ToolCall) -> str:
        """The tool's own code, and what its worker would see and may use."""
        spec, plugin = self._tools[call.name]
        closed = self._closed(_Job(call, spec, plugin, self._scratch))
        facts = (spec, plugin.source, plugin.libs, closed, self._unsandboxed, tuple(self._extra()), link.limits(spec.timeout))
        return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()

    def code(self, name: str) -> str:
        """A print of the code of this tool."""
        return hashlib.sha256(self._tools[name][1].source.encode("utf-8", "surrogatepass")).hexdigest()

    def release(self, call_id: str) -> None:
        """Throw away what the requests of this call point to."""
        if (folder := self._folders.pop(call_id, None)) is not None:
            _remove(folder)

    def close(self) -> None:
        """`release` for every call; happens by itself when the source is gone."""
        _discard(self._folders)

    def _folder(self, call_id: str) -> Path:
        self.release(call_id)
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._swept:
            self._swept = True
            for pattern in ("call-*", "stage-*"):
                prune.sweep(self._scratch, pattern)
        self._folders[call_id] = folder = Path(tempfile.mkdtemp(prefix="call-", dir=self._scratch))
        return folder

    async def _run(self, job: _Job) -> AsyncGenerator[str | ToolResult, None]:
        async with AsyncExitStack() as stack:
            view = None
            closed = await asyncio.to_thread(self._closed, job)
            if "run" in job.spec.effects:
                from ..sandbox import stage

                # Beside the call's folder, which the program can write and see.
                # Only where a boundary gives the view the workspace's own place can a program be held to an overlay.
                in_place = self._unsandboxed or probe().in_place
                budget = stage.StageBudget(overlaid=not in_place)
                view = await stack.enter_async_context(stage.open(self._workspace, self._scratch, budget, closed))
            else:
                in_place = False
            workspace = str(view.path) if view is not None and in_place else str(self._workspace)
            sees_workspace = view is not None or bool({"read:fs", "write:fs"} & set(job.spec.effects))
            request = {
                "op": "call",
                "file": str(job.plugin.file),
                "source": job.plugin.source,
                "tool": job.spec.name,
                "args": dict(job.call.args),
                "workspace": workspace,
                "scratch": str(job.folder),
                "cwd": workspace if sees_workspace else str(job.folder),
                "environment": await asyncio.to_thread(needs.environment, job.spec, self._services.get(job.spec.name)),
                "module": job.plugin.module,
                "libs": job.plugin.libs,
                "roots": job.plugin.roots,
            }
            profile = None
            if not self._unsandboxed:
                profile = self._profile(job, view, closed)
            asked = link.ask(request, profile=profile, cwd=request["cwd"], timeout=job.spec.timeout)
            answer: dict[str, Any] = {}
            started = time.monotonic()
            async with aclosing(asked):
                async for item in asked:
                    if isinstance(item, str):
                        yield item
                    else:
                        answer = item
            seconds = time.monotonic() - started
            result = await asyncio.to_thread(self._result, job, answer)
            if view is not None:
                result = await self._with_program(job, answer, result, view, seconds)
            yield result

    def _closed(self, job: _Job) -> tuple[str, ...]:
        """What this call may not see of what is opened for it, looked up anew: files come and go."""
        if not _FILE_EFFECTS & set(job.spec.effects):
            return ()
        from ..sandbox import closing

        patterns = self._patterns() if callable(self._patterns) else self._patterns
        shown = proposals.named_paths(job.spec, job.call, self._workspace)
        return closing.found(str(self._workspace), patterns, shown)

    def _profile(self, job: _Job, view: View | None, closed: tuple[str, ...]) -> Profile:
        """What this call's worker may see and change, from the tool's declared effects alone."""
        effects = set(job.spec.effects)
        readable: tuple[str, ...] = ()
        binds: tuple[tuple[str, str], ...] = ()
        allowed, denied = self._hosts() if effects & {"run", "net"} else ((), ())
        # Without a proxy the judged host could not be told from others: there the call, which was asked about, has the network.
        proxied = probe().name == "bubblewrap"
        if "net" in effects:
            allowed = (*allowed, *reaching.hosts(job.call, job.spec))
        if effects & _FILE_EFFECTS:
            readable = (str(self._spill), *self._extra(), *proposals.named_paths(job.spec, job.call, self._workspace))
        if view is not None:
            binds, closed = view.binds, (*closed, *view.secrets)
        elif effects & {"read:fs", "write:fs"}:
            readable = (str(self._workspace), *readable)
        readable = (*readable, *(path for path in (job.plugin.libs, *job.plugin.roots) if path))
        return Profile(
            readable=readable,
            writable=(str(job.folder),),
            binds=binds,
            closed=closed,
            network="net" in effects and not proxied,
            hosts=allowed,
            denied_hosts=denied,
            private=reaching.service(self._services.get(job.spec.name, "")),
            overlay=view.overlay if view is not None else None,
            limits=link.limits(job.spec.timeout),
        )

    def _result(self, job: _Job, answer: dict[str, Any]) -> ToolResult:
        """The worker's answer as a result; its requests are checked one by one."""
        text = answer.get("text")
        text = text if isinstance(text, str) else "The tool gave no answer."
        failed = bool(answer.get("failed"))
        requests: tuple[Change, ...] = ()
        messages: tuple[Outgoing, ...] = ()
        shown: tuple[Part, ...] = ()
        try:
            asked, sends = proposals.parted(answer.get("requests") or ())
            if asked and "write:fs" not in job.spec.effects:
                raise ValueError(f"{job.spec.name} may not change files; it declares no write:fs")
            if sends and "send" not in job.spec.effects:
                raise ValueError(f"{job.spec.name} may not send messages; it declares no send")
            requests, messages = proposals.read(asked, job.folder, self._workspace), proposals.messages(sends)
            shown = pictures.keep(answer.get("pictures") or (), job.folder, self._spill)
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            requests, messages, shown = (), (), ()
            text, failed = f"Nothing was changed: {error}.", True
        made = ToolResult(job.call.id, (Text(text),), "failed" if failed else "ok", requests, messages=messages)
        made = self._shown(job, made)
        return replace(made, parts=(*made.parts, *shown))

    def _shown(self, job: _Job, result: ToolResult) -> ToolResult:
        self._spill.mkdir(parents=True, exist_ok=True, mode=0o700)
        clean = self._mask(result.text.encode("utf-8", "replace").decode())
        shown, file = spill.fit(clean, self._spill / f"{job.spec.name}-{job.folder.name.removeprefix('call-')}.txt")
        return replace(result, parts=(Text(shown),), spill=file)

    async def _with_program(
        self, job: _Job, answer: dict[str, Any], result: ToolResult, view: Any, seconds: float
    ) -> ToolResult:
        """The result of a program: what it changed in the staged view, and the receipt that it ran."""
        code = answer.get("exit_code")
        code = code if isinstance(code, int) else None
        command = str(job.call.args.get("command") or job.spec.name)
        receipt = Receipt("ran", {"command": command, "exit_code": code, "seconds": round(seconds, 3)})
        changes: tuple[Change, ...] = ()
        if code is not None:
            try:
                found = await asyncio.to_thread(view.changes)
                changes = await asyncio.to_thread(proposals.keep, found, job.folder)
            except LocalAgentError as error:
                told = Text(f"\nNothing it changed was kept: {error}")
                return replace(result, parts=(*result.parts, told), status="failed", requests=(), receipts=(receipt,))
        return replace(result, requests=(*result.requests, *changes), receipts=(receipt,))


def _discard(folders: dict[str, Path]) -> None:
    while folders:
        _remove(folders.popitem()[1])


def _remove(folder: Path) -> None:
    # What cannot be removed now is swept another day.
    with contextlib.suppress(OSError):
        remove_tree(str(folder))


@dataclass(frozen=True, slots=True)
class _Job:
    """One call on its way. `folder` is its own part of the scratch folder."""

    call: ToolCall
    spec: ToolSpec
    plugin: Plugin
    folder: Path
