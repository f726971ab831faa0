"""Where a channel's secret comes from: a command of the user's, else the credentials."""

from __future__ import annotations

import asyncio
import os
import shlex

from ..errors import ChannelError, LocalAgentError
from ..sandbox import launch
from ..store import credentials
from ..store.channels import Configured

_COMMAND_S = 60.0
_LONGEST = 16_384


async def obtain(configured: Configured, field: str) -> str:
    """The secret `field` of a channel, "" where none is stored. Raises ChannelError, whose text never holds it."""
    command = configured.options.get(f"{field}_command")
    if command:
        found = await _printed(configured.name, field, command)
    else:
        found = await asyncio.to_thread(credentials.load, configured.name, field)
    credentials.note(found or "")
    return found or ""


async def _printed(name: str, field: str, command: object) -> str:
    """The first line that the command prints. It is the user's own, as their shell would start it, but without a shell."""
    told = f"The {field}_command of the channel {name}"
    try:
        argv = shlex.split(command) if isinstance(command, str) else [str(one) for one in command]  # type: ignore[attr-defined]
    except ValueError as error:
        raise ChannelError(f"{told} cannot be read: {error}.") from None
    if not argv:
        raise ChannelError(f"{told} is empty.")
    limits = launch.Limits(wall_s=_COMMAND_S, memory_mb=0, processes=0, file_mb=0, output_kb=64)
    try:
        process = await launch.start(
            [os.path.expanduser(argv[0]), *argv[1:]],
            profile=None,
            cwd=os.path.expanduser("~"),
            env=dict(os.environ),
            merge=False,
            limits=limits,
        )
        async with process:
            output = b"".join([chunk async for chunk in process])
            code = await process.wait()
    except LocalAgentError as error:
        raise ChannelError(f"{told} failed: {error.message}") from None
    if process.ended or code != 0:
        why = "it took longer than a minute" if process.ended == "time" else f"it ended with exit code {code}"
        raise ChannelError(f"{told} failed: {why}.", "Try it in a terminal.")
    return output[:_LONGEST].decode("utf-8", "replace").partition("\n")[0].rstrip("\r")
