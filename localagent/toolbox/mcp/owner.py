"""One server's connection: opened, watched and closed by a task of its own, as the SDK asks.

It is begun at the first call, and anew after it broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import mcp_types as types
from mcp import Client, MCPError
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ...errors import LocalAgentError, ToolError
from ...store.atomic import write_atomic
from ...store.mcp_known import MOST_TOOLS, Definition, Manifest
from .pipe import Line

START_S = 30.0
_AT_ONCE = 4
_PAGES = 100
_LOOKS = 20
"""How often its tools may change between two calls."""
_PATIENCE_S = 3.0
_LONGEST_PAUSE_S = 60.0
_LOG_BYTES = 256 << 10
_TOLD = 600

# It writes to standard error where nobody listens, over whatever is drawn there.
logging.getLogger("mcp").addHandler(logging.NullHandler())
logging.getLogger("mcp").propagate = False

Open = Callable[[Line], AbstractAsyncContextManager[Any]]
Progress = Callable[[str], None]


class Connection:
    """`open` makes the transport; `roots` are the folders it is told of; `log` takes what it complains about, `mask`ed.

    `heard` is told what the server offers, at each start and whenever it says that this is something else now.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        open: Open,
        *,
        log: Any = None,
        mask: Callable[[str], str] = str,
        roots: tuple[str, ...] = (),
        heard: Callable[[Manifest], Awaitable[None]] | None = None,
        start_s: float | None = None,
    ) -> None:
        self.name = name
        self._identity = identity
        self._open = open
        self._log = log
        self._mask = mask
        self._roots = roots
        self._heard = heard
        self._start_s = start_s or START_S
        self._task: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._line = Line()
        self._stop = asyncio.Event()
        self._looking = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._beginning = False
        self._failures = self._looks = 0
        self._not_before = 0.0
        self.manifest: Manifest | None = None

    @property
    def running(self) -> bool:
        return self._client is not None

    async def call(self, tool: str, args: Mapping[str, Any], timeout: float, progress: Progress) -> types.CallToolResult:
        """Raises ToolError where there is no answer: one sentence on what happened. Cancelling it tells the server so."""

        async def ask(client: Client) -> types.CallToolResult:
            return await client.call_tool(tool, dict(args), read_timeout_seconds=timeout, progress_callback=_telling(progress))

        return await self._asked(ask, timeout)

    async def resources(self, timeout: float) -> list[types.Resource]:
        async def ask(client: Client) -> list[types.Resource]:
            found, cursor = [], None
            for _ in range(_PAGES):
                page = await client.list_resources(cursor=cursor)
                found += page.resources
                if not (cursor := page.next_cursor) or len(found) > MOST_TOOLS:
                    break
            return found[:MOST_TOOLS]

        return await self._asked(ask, timeout)

    async def resource(self, uri: str, timeout: float) -> types.ReadResourceResult:
        return await self._asked(lambda client: client.read_resource(uri), timeout)

    async def prompt(self, name: str, args: Mapping[str, str], timeout: float) -> types.GetPromptResult:
        return await self._asked(lambda client: client.get_prompt(name, dict(args)), timeout)

    async def begin(self) -> Manifest:
        """Connect if it is not, and say what the server offers. Raises ToolError."""
        async with self._starting:
            if self._client is None:
                await self._start()
        assert self.manifest is not None
        return self.manifest

    async def aclose(self) -> None:
        self._stop.set()
        if self._task is not None:
            if self._beginning:
                self._task.cancel()
            await asyncio.wait([self._task], timeout=5)
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task], timeout=5)

    # ------------------------------------------------------------ one request

    async def _asked(self, ask: Callable[[Client], Awaitable[Any]], timeout: float) -> Any:
        await self.begin()
        async with self._room:
            client, line = self._client, self._line
            if client is None:
                raise ToolError(self._gone(line))
            line.burst = self._looks = 0
            try:
                # The SDK minds the time too; this one is for what it does besides.
                async with asyncio.timeout(timeout + 2):
                    found = await ask(client)
            except TimeoutError:
                raise ToolError(self._late(timeout)) from None
            except MCPError as error:
                if error.error.code == REQUEST_TIMEOUT:
                    raise ToolError(self._late(timeout)) from None
                if error.error.code == CONNECTION_CLOSED or line.gone.is_set():
                    self._broke(client)
                    await asyncio.sleep(0)
                    raise ToolError(self._gone(line)) from None
                raise ToolError(f"The MCP server {self.name} refused it: {self._short(error.error.message)}") from None
            except (LocalAgentError, asyncio.CancelledError):
                raise
            except Exception as error:  # noqa: BLE001 - it parses what a stranger wrote, and speaks to them
                self._broke(client)
                raise ToolError(f"The answer of the MCP server {self.name} cannot be used: {self._short(str(_first(error)))}") from None
        self._failures = 0
        return found

    def _late(self, timeout: float) -> str:
        return f"The MCP server {self.name} did not answer within {timeout:g} seconds. It was told to stop."

    def _gone(self, line: Line) -> str:
        said = self._short(line.said)
        return f"The MCP server {self.name} broke off: {line.why or 'the connection was lost'}." + (f" It said: {said}" if said else "")

    def _short(self, text: str) -> str:
        return " ".join(self._mask(text.encode("utf-8", "replace").decode())[-_TOLD:].split())

    def _broke(self, client: Client) -> None:
        """The next call begins anew."""
        if self._client is client:
            self._client = None
            self._stop.set()

    # ------------------------------------------------------------ start and end

    async def _start(self) -> None:
        if (pause := self._not_before - time.monotonic()) > _PATIENCE_S:
            told = f"The MCP server {self.name} has failed {self._failures} times in a row and is tried again in {pause:.0f} seconds."
            raise ToolError(told)
        await asyncio.sleep(max(0.0, pause))
        if self._task is not None:
            await self.aclose()
        self._stop, self._line = asyncio.Event(), Line()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._live(ready, self._line, self._stop))
        self._beginning = True
        try:
            await asyncio.shield(ready)
        except asyncio.CancelledError:
            self._stop.set()
            self._task.cancel()
            raise
        except BaseException as error:
            self._failures += 1
            self._not_before = time.monotonic() + min(_LONGEST_PAUSE_S, 2.0 ** (self._failures - 1) if self._failures > 1 else 0.0)
            if isinstance(error, LocalAgentError):
                raise
            raise ToolError(self._unstarted(error)) from None
        finally:
            self._beginning = False

    def _unstarted(self, error: BaseException) -> str:
        line, first = self._line, _first(error)
        said = self._short(line.said)
        if isinstance(first, TimeoutError):
            why = f"it did not answer within {self._start_s:g} seconds"
        elif line.why:
            why = line.why
        elif isinstance(first, MCPError):
            why = "it did not answer in time" if first.error.code == REQUEST_TIMEOUT else self._short(first.error.message)
        else:
            why = self._short(str(first)) or type(first).__name__
        return f"The MCP server {self.name} could not be used: {why}." + (f" It said: {said}" if said else "")

    async def _live(self, ready: asyncio.Future[None], line: Line, stop: asyncio.Event) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._start_s):
                    client = await stack.enter_async_context(self._made(line))
                    self.manifest = await self._offered(client)
                if self._heard is not None:
                    await self._heard(self.manifest)
                self._client = client
                if not ready.done():
                    ready.set_result(None)
                listening = asyncio.ensure_future(self._listen(client))
                try:
                    await _either(stop, line.gone)
                finally:
                    listening.cancel()
                    await asyncio.wait([listening])
                if self._client is client:
                    self._client = None
        except BaseException as error:
            if not ready.done():
                known = _first(error)
                ready.set_exception(known if isinstance(known, LocalAgentError) else ToolError(self._unstarted(error)))
                ready.exception()
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            if self._line is line:
                self._client = None
            await asyncio.to_thread(self._note, line)

    def _made(self, line: Line) -> Client:
        return Client(
            self._open(line),
            read_timeout_seconds=self._start_s,
            message_handler=self._hear,
            list_roots_callback=self._list_roots if self._roots else None,
            client_info=types.Implementation(name="localagent", version="1"),
            cache=None,
        )

    async def _list_roots(self, _: Any) -> types.ListRootsResult:
        from pathlib import Path

        return types.ListRootsResult(roots=[types.Root(uri=Path(root).as_uri(), name=Path(root).name) for root in self._roots])

    async def _hear(self, message: Any) -> None:
        """The one thing a server may tell us of itself: that its tools are others now."""
        if isinstance(message, types.ToolListChangedNotification):
            client = self._client
            # Of the newer protocol `_listen` hears it.
            if client is not None and client.protocol_version not in MODERN_PROTOCOL_VERSIONS and not self._looking.locked():
                task = asyncio.ensure_future(self._look_again(client))
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)

    async def _listen(self, client: Client) -> None:
        """The newer protocol tells of changes only to who listens."""
        can = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or can is None or not can.list_changed:
            return
        with contextlib.suppress(Exception):
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    await self._look_again(client)

    async def _look_again(self, client: Client) -> None:
        self._looks += 1
        if self._looks > _LOOKS:
            # Not passed over: what it offers is read anew with the next connection.
            self._line.ends("it changed its tools again and again")
            return
        async with self._looking:
            with contextlib.suppress(Exception):
                self.manifest = await self._offered(client)
                if self._heard is not None:
                    await self._heard(self.manifest)

    async def _offered(self, client: Client) -> Manifest:
        can = client.server_capabilities
        tools: list[Definition] = []
        cursor = None
        for _ in range(_PAGES if can.tools is not None else 0):
            page = await client.list_tools(cursor=cursor)
            tools += [_definition(tool) for tool in page.tools]
            if not (cursor := page.next_cursor) or len(tools) >= MOST_TOOLS:
                break
        readable = False
        if can.resources is not None:
            # Many say that they have some and have none.
            with contextlib.suppress(MCPError):
                readable = bool((await client.list_resources()).resources or (await client.list_resource_templates()).resource_templates)
        prompts: list[tuple[str, tuple[str, ...]]] = []
        if can.prompts is not None:
            with contextlib.suppress(MCPError):
                found = (await client.list_prompts()).prompts[:MOST_TOOLS]
                prompts = [(one.name, tuple(given.name for given in one.arguments or ())) for one in found]
        info = client.server_info
        title = f"{info.name} {info.version}".strip()[:200] if info is not None else ""
        unique = list({one.name: one for one in tools[:MOST_TOOLS]}.values())
        version = client.protocol_version
        return Manifest(self._identity, tuple(unique), readable, tuple(prompts), title, version, time.time())

    def _note(self, line: Line) -> None:
        """What it complained about, into its log: the last part of the last run."""
        if self._log is not None and (said := line.said or line.why):
            with contextlib.suppress(LocalAgentError):
                text = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line.why}\n{said}\n"
                write_atomic(self._log, self._mask(text).encode("utf-8", "replace")[-_LOG_BYTES:])


_tasks: set[asyncio.Task[None]] = set()


def _definition(tool: types.Tool) -> Definition:
    hints = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations is not None else {}
    described = tool.description or tool.title or ""
    return Definition(tool.name, described, dict(tool.input_schema), hints)


def _telling(progress: Progress) -> Any:
    async def told(done: float, total: float | None, message: str | None) -> None:
        share = f"{done:g}/{total:g}" if total else f"{done:g}"
        progress(f"{share} {' '.join(message[:_TOLD].split())}".rstrip() if message else share)

    return told


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _first(error: BaseException) -> BaseException:
    """The one that began it: tasks that end together raise together."""
    while isinstance(error, BaseExceptionGroup):
        inner = [one for one in error.exceptions if not isinstance(one, asyncio.CancelledError)]
        error = (inner or list(error.exceptions))[0]
    return error
