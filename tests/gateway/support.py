"""A chat service in memory, people who write through it, and a gateway over a scripted model."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from localagent.agent import session as sessions
from localagent.agent.session import Session, Setting
from localagent.channels.base import Arrival, Health
from localagent.channels.sender import Pace
from localagent.channels.text import split
from localagent.gateway.gateway import Gateway
from localagent.gateway.post import Mailer, Replies
from localagent.policy import rules
from localagent.policy.decide import Context
from localagent.store.gateway import Gate, Grants, Pairing
from localagent.store.inbox import Inbox
from localagent.store.journal import Journal
from localagent.store.outbox import Outbox
from localagent.store.transcript import Transcript, new_id
from localagent.toolbox.registry import Registry
from localagent.values import Incoming, Mode, Outgoing, Sent
from tests.agent.test_loop import write
from tests.fakes import FakeTools, ScriptedEngine

UNITS = 500


class Service:
    """Holds every message there ever was, as a real one does; a cursor is a place in that list."""

    def __init__(self) -> None:
        self.came: list[Incoming] = []
        self.sent: list[Outgoing] = []
        self.opened = 0
        self.fails: list[Exception] = []
        self.ends: list[Sent] = []
        self.new = asyncio.Event()

    def write(self, text: str, sender: str = "ada", chat: str = "", authentic: bool | None = True, **more: Any) -> None:
        id = f"m{len(self.came) + 1}"
        self.came.append(Incoming(id, "chat", sender, chat or sender, text, more.pop("at", time.time()), authentic=authentic, **more))
        self.new.set()

    def told(self, chat: str = "ada") -> list[str]:
        return [message.text for message in self.sent if message.address == chat]


class Channel:
    name, kind, idempotent = "chat", "fake", False

    def __init__(self, service: Service) -> None:
        self._service = service
        self.trusts: Callable[[str], bool] = lambda sender: False

    def parts(self, text: str) -> list[str]:
        return split(text, UNITS)

    async def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        self._service.opened += 1
        if self._service.fails:
            raise self._service.fails.pop(0)
        at = int(cursor or 0)
        if not cursor:
            yield Arrival(None, "0")
        while True:
            while at < len(self._service.came):
                at += 1
                yield Arrival(self._service.came[at - 1], str(at))
            if not wait:
                return
            self._service.new.clear()
            await self._service.new.wait()

    async def send(self, message: Outgoing) -> Sent:
        self._service.sent.append(message)
        return self._service.ends.pop(0) if self._service.ends else Sent("sent", f"p{len(self._service.sent)}")

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        return Health(True, "")

    async def aclose(self) -> None: ...


class House:
    """Sessions over one script, with a tool that reads and one that writes."""

    def __init__(self, tmp: Path, *steps: Any, **tools: Any) -> None:
        self.folder = tmp / "work"
        self.folder.mkdir(exist_ok=True)
        self.engine = ScriptedEngine(*steps)
        self.journal = Journal(tmp / "journal")
        self.made: list[Session] = []
        self.tools = FakeTools(
            look=(("read:fs",), lambda args: "nothing to see"),
            write=(("write:fs",), lambda args: write(self.folder, args["path"], "new\n")),
            **tools,
        )

    async def session(self, who: Pairing) -> Session:
        setting = Setting(self.engine, Registry([self.tools]), self.journal, self.folder, self._context)
        log = Transcript(who.session or new_id())
        made = sessions.start(setting, who.grants.mode, log, resumed=bool(who.session))  # type: ignore[arg-type]
        self.made.append(made)
        return made

    def _context(self, mode: Mode, granted: tuple[str, ...], lost: int) -> Context:
        kept = tuple(rules.parse(text) for text in granted)
        return Context(mode, str(self.folder), rules.Rules(kept=kept), True, str(Path.home()), lost_before=lost)


class World:
    """The gateway on a disk of its own; `start` and `stop` are a process's life."""

    def __init__(self, tmp: Path, *steps: Any, mode: str = "ask", **tools: Any) -> None:
        self.tmp, self.service = tmp, Service()
        self.house = House(tmp, *steps, **tools)
        self.gate, self.outbox = Gate(tmp / "gate.db"), Outbox(tmp / "outbox")
        self.mode = mode
        self.lines: list[str] = []
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def gateway(self) -> Gateway:
        channel = Channel(self.service)

        async def of(name: str) -> Channel:
            return channel

        mailer = Mailer(self.outbox, of, Pace(per_hour=1), self.lines.append)
        replies = Replies(self.outbox, mailer, lambda name: channel)
        inbox = Inbox(self.tmp / "inbox.db")
        make = {"chat": lambda: Channel(self.service)}
        return Gateway(self.gate, inbox, self.house, mailer, replies, make, self.lines.append, (0.01, 0.05))

    def start(self) -> None:
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.gateway().run(self._stop))

    async def stop(self) -> None:
        self._stop.set()
        if self._task is not None:
            await self._task

    async def power_cut(self) -> World:
        """A world on what is on the disk at this moment; nothing that this one does from now on is known there."""
        there = self.tmp.parent / f"{self.tmp.name}-after"
        shutil.copytree(self.tmp, there)
        sent = len(self.service.sent)
        await self.stop()
        del self.service.sent[sent:]
        made = World(there, mode=self.mode)
        made.service, made.house = self.service, self.house
        return made

    async def pair(self, sender: str = "ada", chat: str = "") -> None:
        code = self.gate.offer("chat", Grants(str(self.house.folder), self.mode))
        self.service.write(f"pair {code}", sender, chat)
        await self.until(lambda: self.gate.of("chat", sender, chat or sender) is not None)
        await self.until(lambda: any("Paired." in text for text in self.service.told(chat or sender)))

    async def until(self, condition: Callable[[], Any], seconds: float = 5.0) -> Any:
        while not (found := condition()):
            seconds -= 0.01
            assert seconds > 0, (self.service.sent, self.lines)
            await asyncio.sleep(0.01)
        return found

    async def said(self, part: str, chat: str = "ada", times: int = 1) -> str:
        """Wait for a message that holds these words."""
        def found() -> Sequence[str]:
            return [text for text in self.service.told(chat) if part in text]

        await self.until(lambda: len(found()) >= times)
        return found()[times - 1]

    async def code(self, chat: str = "ada", times: int = 1) -> str:
        match = re.search(r"yes ([A-Z0-9]{6})", await self.said("Allow this?", chat, times))
        assert match is not None
        return match[1]


def play(story: Callable[[], Any]) -> None:
    asyncio.run(story())
