"""A connection to a server as it was configured and granted: started in the sandbox, or reached over HTTP."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from ...sandbox import launch
from ...store import mcp_known
from ...store.mcp import Server
from . import holding
from .filling import filled

if TYPE_CHECKING:
    from ...store.mcp_known import Manifest
    from .owner import Connection
    from .pipe import Line


def connection(
    server: Server,
    workspace: str,
    *,
    closed: Callable[[], Sequence[str]] | Sequence[str] = (),
    denied: Sequence[str] = (),
    unsandboxed: bool = False,
    mask: Callable[[str], str] = str,
    heard: Callable[[Manifest], Awaitable[None]] | None = None,
    auth: Any = None,
    start_s: float | None = None,
) -> Connection:
    """Nothing is started yet. It loads the SDK, which takes more than a second: call it in a thread."""
    from . import login, owner, pipe, remote

    def opened(line: Line) -> AbstractAsyncContextManager[Any]:
        if server.url:
            return _remote(line)
        return pipe.piped(_started, line)

    @asynccontextmanager
    async def _remote(line: Line) -> Any:
        given = filled(server, workspace)
        signing = auth
        if signing is None and login.signed_in(server.credentials):
            signing = login.auth(server.credentials, given.url)
        async with remote.reached(given.url, given.headers, signing, line) as streams:
            yield streams

    async def _started() -> launch.Process:
        hidden = closed() if callable(closed) else closed
        start, _ = holding.start(server, workspace, closed=hidden, denied=denied, unsandboxed=unsandboxed)
        # Without a boundary only its time and output could be bounded, and these are not.
        return await launch.start(start.argv, profile=start.profile, cwd=start.cwd, env=start.env, stdin=True, merge=False)

    roots = (workspace,) if not server.url and {"read:fs", "write:fs"} & set(server.granted.effects) else ()
    roots += () if server.url else tuple(map(os.path.expanduser, (*server.granted.read, *server.granted.write)))
    return owner.Connection(
        server.name, server.identity, opened, log=mcp_known.log(server.name), mask=mask, roots=roots, heard=heard, start_s=start_s
    )


def print_of(server: Server, unsandboxed: bool) -> str:
    """What stands behind a call: another server, grant or boundary gives another text."""
    facts = (server.identity, server.granted, unsandboxed)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()
