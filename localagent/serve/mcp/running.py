"""`localagent mcp serve` as a process, until the client closes standard input."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import metadata

from mcp.server.stdio import stdio_server

from ...agent.session import Session
from .caller import Caller
from .server import ToolServer


def run(session: Callable[[Caller], Awaitable[Session]]) -> None:
    """Serves the client that started us; `session` makes what the calls are turns of. Raises LocalAgentError."""
    asyncio.run(_serve(session))


async def _serve(make: Callable[[Caller], Awaitable[Session]]) -> None:
    caller = Caller()
    tools = ToolServer(await make(caller), caller, _version())
    try:
        async with stdio_server() as (reader, writer):
            await tools.server.run(reader, writer, tools.server.create_initialization_options())
    finally:
        await tools.aclose()


def _version() -> str:
    try:
        return metadata.version("localagent")
    except metadata.PackageNotFoundError:
        return "0"
