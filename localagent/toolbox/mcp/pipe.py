"""Standard input and output of a server in the sandbox, as the SDK's transport.

One message a line. What is no message is left out and noted; a line that begins as one and is broken ends the connection, for nobody
could say whose answer it was to be. A server that writes without end is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from ...sandbox.launch import Process

LINE_BYTES = 16 << 20
"""The longest message."""
BURST_BYTES = 64 << 20
"""What may come between two calls, whatever it is."""
_NOTED, _NOISE_BYTES = 200, 256 << 10
_GOODBYE_S = 1.0
_ENDED = {
    "memory": "it used more memory than is allowed",
    "processes": "it started more processes than are allowed",
}


@dataclass(slots=True)
class Line:
    """What is known of the connection: `why` it is gone ("" while it is not), and what the server said beside its messages."""

    why: str = ""
    noise: list[str] = field(default_factory=list)
    burst: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    complaints: Callable[[], bytes] = bytes

    def ends(self, why: str) -> None:
        self.why = self.why or why
        self.gone.set()

    @property
    def said(self) -> str:
        """The end of what it wrote to standard error, and what was no message."""
        return "\n".join([*self.noise, self.complaints().decode("utf-8", "replace")]).strip()


@asynccontextmanager
async def piped(start: Callable[[], Awaitable[Process]], line: Line) -> AsyncIterator[tuple[Any, Any]]:
    """The streams of a server that is started here and ended with the block. Raises as `start` does."""
    to_us, read = anyio.create_memory_object_stream[Any](0)
    write, from_us = anyio.create_memory_object_stream[Any](0)
    process = await start()
    line.complaints = lambda: process.stderr
    over = asyncio.Event()

    async def reading() -> None:
        try:
            async with to_us:
                async for message in _messages(process, line):
                    await to_us.send(message)
                if not line.why:
                    await _why(process, line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            line.ends("it ended")
            over.set()

    async def writing() -> None:
        async with from_us:
            async for one in from_us:
                process.write(one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")

    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(reading)
        tasks.start_soon(writing)
        try:
            yield read, write
        finally:
            read.close()
            process.close_stdin()
            with anyio.CancelScope(shield=True), anyio.move_on_after(0 if line.gone.is_set() else _GOODBYE_S):
                # It may have something to put in order.
                await over.wait()
            process.kill()
            tasks.cancel_scope.cancel()


async def _messages(process: Process, line: Line) -> AsyncIterator[SessionMessage]:
    parts: list[bytes] = []
    size = noise = 0
    async for chunk in process:
        line.burst += len(chunk)
        if line.burst > BURST_BYTES or size > LINE_BYTES:
            line.ends("it wrote more than is allowed")
            return
        parts.append(chunk)
        size += len(chunk)
        if b"\n" not in chunk:
            continue
        *lines, rest = b"".join(parts).split(b"\n")
        parts, size = [rest], len(rest)
        for one in lines:
            text = one.strip()
            if not text:
                continue
            if not text.startswith(b"{"):
                noise += len(text)
                line.noise = [*line.noise, text[:500].decode("utf-8", "replace")][-_NOTED:]
                if noise > _NOISE_BYTES:
                    line.ends("what it writes are no messages of the protocol")
                    return
                continue
            try:
                yield SessionMessage(types.jsonrpc_message_adapter.validate_json(text, by_name=False))
            except (ValueError, RecursionError):
                line.noise = [*line.noise, text[:500].decode("utf-8", "replace")][-_NOTED:]
                line.ends("it sent a message that cannot be read")
                return


async def _why(process: Process, line: Line) -> None:
    """It closed its output: mostly because it has ended."""
    code = None
    try:
        # The output's end comes a moment before the process's own.
        for _ in range(int(_GOODBYE_S * 100)):
            if (code := process.code) is not None:
                break
            await asyncio.sleep(0.01)
    finally:
        reason = _ENDED.get(process.ended) or (f"it ended with exit code {code}" if code is not None else "it closed its output")
        line.ends(reason)

