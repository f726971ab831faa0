"""What a server offers now, for a person who wants to see it: it is started with what it was granted, looked at, and ended."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ...sandbox import launch
from ...store import credentials
from ...store.mcp import Server
from . import reaching

if TYPE_CHECKING:
    from ...store.mcp_known import Manifest
    from .owner import Connection


async def look(server: Server, workspace: str | None = None, **how: Any) -> Manifest:
    """Raises LocalAgentError. `how` is as for `reaching.connection`."""
    connection = await connected(server, workspace, **how)
    try:
        return await connection.begin()
    finally:
        await connection.aclose()


async def connected(server: Server, workspace: str | None = None, **how: Any) -> Connection:
    """A connection for the current folder; whoever asks closes it."""
    place = os.path.realpath(workspace or ".")
    unsandboxed = (await asyncio.to_thread(launch.probe)).name == "none"

    def closed() -> tuple[str, ...]:
        from ...sandbox import closing

        return closing.found(place)

    def make() -> Connection:
        return reaching.connection(server, place, unsandboxed=unsandboxed, mask=mask, closed=closed if server.command else (), **how)

    return await asyncio.to_thread(make)


def mask(text: str) -> str:
    """Without the secrets that this process knows."""
    for secret in sorted(credentials.noted(), key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, "[secret]")
    return text
