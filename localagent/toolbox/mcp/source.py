"""The tools of all confirmed servers, as a source of the registry.

What they offer comes from the disk; a server is started at its first call.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import os
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import LocalAgentError
from ...store import mcp as config
from ...store import mcp_known
from ...store.mcp import Server
from ...store.mcp_known import Definition, Manifest
from ...values import Part, Receipt, Text, ToolCall, ToolResult, ToolSpec
from .. import spill
from . import addresses, holding, naming, reaching, shaping, wording

if TYPE_CHECKING:
    from .owner import Connection
    from .undoing import Undoing

RESOURCE = "resource"
_PROGRESS = 200
_RESOURCE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "uri": {"type": "string", "description": "what to read"},
        "words": {"type": "string", "description": "to find in the list"},
    },
    "required": [],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool and where it comes from; `definition` None is our own, which reads what the server has to read."""

    spec: ToolSpec
    server: Server
    definition: Definition | None


class McpSource:
    """Implements `registry.ToolSource`.

    - `workspace`, `spill`, `closed`, `unsandboxed` and `mask` are as for `PluginSource`; `denied` are hosts that no server may reach.
    - `taken` are the names of all other tools.
    - `undoing` makes steps of what servers write; without it those that may write are not there.
    """

    listed = False

    def __init__(
        self,
        workspace: Path,
        spill: Path,
        *,
        taken: Collection[str] = (),
        closed: Sequence[str] = (),
        denied: Sequence[str] = (),
        unsandboxed: bool = False,
        mask: Callable[[str], str] = str,
        undoing: Undoing | None = None,
    ) -> None:
        self._workspace = os.path.realpath(workspace)
        self._spill = spill
        self._ours = naming.RESERVED | frozenset(taken)
        self._patterns = tuple(closed)
        self._denied = tuple(denied)
        self._unsandboxed = unsandboxed
        self._mask = mask
        self._undoing = undoing
        self._stamp: tuple[Any, ...] = ()
        self._tools: dict[str, Tool] = {}
        self._connections: dict[str, tuple[str, Connection]] = {}
        self.problems: tuple[str, ...] = ()

    def specs(self) -> Sequence[ToolSpec]:
        self._look()
        return [tool.spec for tool in self._tools.values()]

    def wrong(self, call: ToolCall) -> list[str]:
        """What of a call's arguments does not fit the server's own schema."""
        tool = self._tools.get(call.name)
        return shaping.wrong(tool.definition.schema, call.args) if tool is not None and tool.definition is not None else []

    def fingerprint(self, call: ToolCall) -> str:
        tool = self._tools.get(call.name)
        return self.code(call.name) + reaching.print_of(tool.server, self._unsandboxed) if tool is not None else ""

    def code(self, name: str) -> str:
        """A print of the tool as it was confirmed, and of what is started for it."""
        tool = self._tools.get(name)
        if tool is None:
            return ""
        return tool.server.identity + (tool.definition.sha256 if tool.definition is not None else RESOURCE)

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        # What was turned off, or is another one now, is so at once.
        self._look()
        tool = self._tools.get(call.name)
        if tool is None:
            told = f"{call.name} cannot be called now: the user has turned its MCP server off, or has yet to look at what it offers."
            yield ToolResult(call.id, (Text(told),), "failed")
            return
        progress: asyncio.Queue[str] = asyncio.Queue()
        work = asyncio.ensure_future(self._run(tool, call, progress))
        told = 0
        try:
            while not work.done():
                waiting = asyncio.ensure_future(progress.get())
                await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done() and (told := told + 1) <= _PROGRESS:
                    yield waiting.result() + "\n"
                waiting.cancel()
            yield work.result()
        finally:
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work

    async def aclose(self) -> None:
        """End every server that was started."""
        found, self._connections = list(self._connections.values()), {}
        await asyncio.gather(*(connection.aclose() for _, connection in found), return_exceptions=True)

    # ------------------------------------------------------------ one call

    async def _run(self, tool: Tool, call: ToolCall, progress: asyncio.Queue[str]) -> ToolResult:
        receipts: tuple[Receipt, ...] = ()
        seen: list[Part] = []
        try:
            async with AsyncExitStack() as stack:
                kept = None
                if self._undoing is not None and holding.writes(tool.server.granted):
                    kept = await stack.enter_async_context(self._undoing.around(call, await asyncio.to_thread(self._closed)))
                text, failed = await self._answer(tool, call, progress, seen)
            if kept is not None:
                receipts = kept.receipts
                text += f"\n{kept.warning}" if kept.warning else ""
        except LocalAgentError as error:
            text, failed = str(error), True
        except OSError as error:
            text, failed = f"{call.name} was broken off: {error.strerror or error}.", True
        made = await asyncio.to_thread(self._result, call, text, failed, receipts)
        return replace(made, parts=(*made.parts, *seen))

    async def _answer(self, tool: Tool, call: ToolCall, progress: asyncio.Queue[str], seen: list[Part]) -> tuple[str, bool]:
        """What it says, and whether it failed; its pictures come into `seen`."""
        connection = await self._connection(tool.server)
        offered = await connection.begin()
        from . import results

        timeout = tool.server.granted.timeout
        if tool.definition is None:
            uri = str(call.args.get("uri") or "")
            if not uri:
                found = await connection.resources(timeout)
                return results.listing(found, str(call.args.get("words") or "")), False
            got = await connection.resource(uri, timeout)
            return await asyncio.to_thread(results.read, got, self._spill, call.name), False
        if tool.definition.sha256 not in {one.sha256 for one in offered.tools}:
            name = tool.server.name
            told = f"The MCP server {name} has changed {tool.definition.name} since the user confirmed it, so it was not called."
            return f"{told} The user can look at it with `localagent mcp trust {name}`.", True
        result = await connection.call(tool.definition.name, call.args, timeout, progress.put_nowait)
        seen += await asyncio.to_thread(results.pictures_of, result, self._spill)
        return await asyncio.to_thread(results.text_of, result, self._spill, call.name), bool(result.is_error)

    def _result(self, call: ToolCall, text: str, failed: bool, receipts: tuple[Receipt, ...]) -> ToolResult:
        self._spill.mkdir(parents=True, exist_ok=True, mode=0o700)
        clean = self._mask(text.encode("utf-8", "replace").decode())
        shown, file = spill.fit(clean, self._spill / f"{call.name}-{call.id or 'call'}.txt")
        return ToolResult(call.id, (Text(shown),), "failed" if failed else "ok", receipts=receipts, spill=file)

    async def _connection(self, server: Server) -> Connection:
        key = reaching.print_of(server, self._unsandboxed)
        held = self._connections.get(server.name)
        if held is not None and held[0] == key:
            return held[1]
        if held is not None:
            await held[1].aclose()

        async def heard(manifest: Manifest) -> None:
            await asyncio.to_thread(mcp_known.saw, server.name, manifest)

        def make() -> Connection:
            return reaching.connection(
                server,
                self._workspace,
                closed=() if server.url else self._closed,
                denied=self._denied,
                unsandboxed=self._unsandboxed,
                mask=self._mask,
                heard=heard,
            )

        made = await asyncio.to_thread(make)
        self._connections[server.name] = (key, made)
        return made

    def _closed(self) -> tuple[str, ...]:
        from ...sandbox import closing

        return closing.found(self._workspace, self._patterns)

    # ------------------------------------------------------------ what there is

    def _look(self) -> None:
        """Read what is on the disk, where that is not what was read."""
        try:
            facts = config.path().stat()
            stamp: tuple[Any, ...] = (facts.st_mtime_ns, facts.st_size, facts.st_ino, mcp_known.stamp())
        except OSError:
            self._stamp, self._tools, self.problems = (), {}, ()
            return
        if stamp == self._stamp:
            return
        problems: list[str] = []
        tools: dict[str, Tool] = {}
        try:
            for server in config.here(config.load(), self._workspace):
                self._take(server, tools, problems)
        except LocalAgentError as error:
            problems.append(str(error))
        self._tools, self.problems = tools, tuple(problems)
        # Giving names has written some of it.
        self._stamp = (*stamp[:3], mcp_known.stamp())

    def _take(self, server: Server, tools: dict[str, Tool], problems: list[str]) -> None:
        if self._undoing is None and holding.writes(server.granted):
            return
        known = mcp_known.load(server.name)
        if known.confirmed is not None and (changed := known.changes(server.identity)):
            what = "is another one" if changed < 0 else f"offers {changed} tool{'s' if changed > 1 else ''} that you have not seen"
            problems.append(f"The MCP server {server.name} {what} since you confirmed it. Look at it: localagent mcp trust {server.name}")
        offered = [one for one in known.callable(server.identity) if chosen(server, one.name)]
        resources = known.confirmed is not None and known.confirmed.resources and known.confirmed.identity == server.identity
        wanted = [one.name for one in offered] + ([f"{server.name}_{RESOURCE}"] if resources else [])
        names = naming.names(server.name, wanted, known.names, mcp_known.taken(), {*self._ours, *tools})
        if any(known.names.get(own) != name for own, name in names.items()):
            mcp_known.name(server.name, names)
        for one in offered:
            if (made := _tool(server, names[one.name], one)) is not None:
                tools[made.spec.name] = made
        if resources:
            tools[names[wanted[-1]]] = _reading(server, names[wanted[-1]])


def chosen(server: Server, tool: str) -> bool:
    """Whether the user wants this tool of the server."""
    granted = server.granted
    wanted = not granted.include or any(fnmatch.fnmatchcase(tool, glob) for glob in granted.include)
    return wanted and not any(fnmatch.fnmatchcase(tool, glob) for glob in granted.exclude)


def _tool(server: Server, name: str, one: Definition) -> Tool | None:
    parameters = wording.described(shaping.parameters(one.schema))
    if wording.speaks_to_templates(parameters):
        return None
    spec = ToolSpec(name, wording.plain(one.description) or name, parameters, holding.effects(server, one.hints), **_common(server))
    return Tool(spec, server, one)


def _reading(server: Server, name: str) -> Tool:
    described = f"List what {server.name} offers to read (with words: what has them), or read one of it by its uri."
    return Tool(ToolSpec(name, described, _RESOURCE_SCHEMA, holding.effects(server, {}), **_common(server)), server, None)


def _common(server: Server) -> dict[str, Any]:
    hosts = (addresses.host(server.url),) if server.url else tuple(host for host in server.granted.hosts if host != "*")
    return {
        "source": f"mcp:{server.name}",
        "timeout": server.granted.timeout,
        "staged": not holding.writes(server.granted) or bool(server.url),
        "hosts": hosts,
    }
