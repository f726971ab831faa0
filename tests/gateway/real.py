"""The gateway as the command makes it, over channels as they are configured; only the model is a script."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import gatehouse, wiring
from localagent.agent.office import Manner, Office
from localagent.channels import registry
from localagent.channels.sender import Pace
from localagent.commands import arguments
from localagent.gateway.gateway import Gateway
from localagent.gateway.post import Mailer, Replies
from localagent.store import channels
from localagent.store.gateway import Gate
from localagent.store.inbox import Inbox
from tests.fakes import ScriptedEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    made = ScriptedEngine()
    monkeypatch.setattr(wiring, "chosen_engine", lambda chosen, wanted, obtain: made)
    return made


@asynccontextmanager
async def running(name: str) -> AsyncIterator[list[str]]:
    """The gateway over the channel of that name, from the moment when it receives; the lines it writes to its owner."""
    office = Office(Manner(hold_s=0.0))

    async def of(wanted: str) -> Any:
        return office.channel(wanted)

    lines: list[str] = []
    mailer = Mailer(office.outbox, of, Pace(), lines.append)
    rooms = gatehouse.Rooms(arguments.of_do, None, office, mailer)
    receivers = {name: lambda: registry.make(channels.one(name))}
    gateway = Gateway(Gate(), Inbox(), rooms, mailer, Replies(office.outbox, mailer, office.channel), receivers, lines.append)
    stop = asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    try:
        await until(lambda: Inbox().cursor(name) or task.done(), lines)
        yield lines
    finally:
        stop.set()
        await task
        # Shown where a test fails.
        print(*lines, sep="\n")
        await office.aclose()


async def until(condition: Callable[[], Any], told: Any = (), seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, told() if callable(told) else told
        await asyncio.sleep(0.02)
    return found


def code_in(text: str) -> str:
    """The code that a question asks for."""
    match = re.search(r"`yes ([A-Z0-9]{6})`", text)
    assert match is not None, text
    return match[1]
