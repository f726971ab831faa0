"""Servers that do less than dovecot, or say it at an awkward moment."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from localagent.channels.email import metered, wire
from localagent.channels.email.account import account
from localagent.channels.email.channel import Email
from localagent.channels.email.imap import Position
from localagent.errors import ChannelError

SECRET = "correct-horse-battery"


class Poor:
    """An IMAP server with one folder. `news` are mails that turn up at the moment of IDLE, or of NOOP."""

    def __init__(self, capabilities: str = "IMAP4rev1", login: str = "OK in", news: int = 0, uid: int = 7) -> None:
        self.capabilities, self.login, self.news = capabilities, login, news
        self.uids = [uid]
        self.heard: list[str] = []
        self.port = 0
        self._idle_tag = ""
        self.thrice = asyncio.Event()

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[Poor]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK here\r\n")
        with contextlib.suppress(ConnectionError):
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                tag, _, command = line.partition(" ")
                self.heard.append(command)
                for answer in self._answers(tag, command):
                    writer.write(answer)
                await writer.drain()
        writer.close()

    def _answers(self, tag: str, command: str) -> list[bytes]:
        verb = command.split(" ")[0].upper()
        done = f"{tag} OK done\r\n".encode()
        if verb == "CAPABILITY":
            return [f"* CAPABILITY {self.capabilities}\r\n".encode(), done]
        if verb in ("LOGIN", "AUTHENTICATE"):
            if sum(line.startswith(verb) for line in self.heard) == 3:
                self.thrice.set()
            return [f"{tag} {self.login}\r\n".encode()]
        if verb in ("EXAMINE", "SELECT"):
            return [f"* {len(self.uids)} EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n".encode(), done]
        if verb == "UID":
            return [*self._fetched(command), done]
        if verb == "IDLE":
            # All in one breath: go ahead, and a mail that came meanwhile.
            self._idle_tag = tag
            return [b"+ idling\r\n" + self._arrive()]
        if tag == "DONE":
            return [f"{self._idle_tag} OK done\r\n".encode()]
        if verb == "NOOP":
            return [self._arrive(), done]
        if verb == "LOGOUT":
            return [b"* BYE\r\n", done]
        return [f"{tag} BAD what\r\n".encode()]

    def _arrive(self) -> bytes:
        if not self.news:
            return b""
        self.news -= 1
        self.uids.append(self.uids[-1] + 3)
        return f"* {len(self.uids)} EXISTS\r\n".encode()

    def _fetched(self, command: str) -> list[bytes]:
        match = re.fullmatch(r"UID FETCH (\S+) \((.*)\)", command)
        assert match, command
        wanted = match[1]
        first = self.uids[-1] if wanted == "*" else int(wanted.partition(":")[0])
        chosen = [uid for uid in self.uids if uid >= first] or [self.uids[-1]]
        if ":" not in wanted and wanted != "*":
            chosen = [uid for uid in self.uids if uid == first]
        found = [b"* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n"]
        for uid in chosen:
            number = self.uids.index(uid) + 1
            if "BODY" in match[2]:
                raw = f"From: a@b.test\r\nSubject: mail {uid}\r\n\r\nUID 99 in a text".encode()
                found.append(f"* {number} FETCH (BODY[] {{{len(raw)}}}\r\n".encode() + raw + f" UID {uid})\r\n".encode())
            else:
                date = '"01-Jan-2026 00:00:00 +0000"'
                found.append(f"* {number} FETCH (RFC822.SIZE 60 INTERNALDATE {date} UID {uid})\r\n".encode())
        return found


def _box(server: Poor, **more: Any) -> Email:
    async def give() -> str:
        return SECRET

    secret: Callable[[], Awaitable[str]] = give
    options = {"address": "me@a.test", "imap_host": "127.0.0.1", "imap_port": server.port, "imap_security": "none"}
    return Email("work", account(options | more.pop("options", {})), secret, retry_s=(0.02, 0.02), **more)


async def _subjects(server: Poor, count: int, cursor: str, **more: Any) -> list[str]:
    found: list[str] = []
    async with aclosing(_box(server, **more).receive(cursor, wait=True)) as arrivals:
        async for arrival in arrivals:
            if arrival.message is not None:
                found.append(arrival.message.subject)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (Poor("IMAP4rev1 IDLE", news=2), "IDLE"),
        (Poor(news=2), "NOOP"),
    ],
    ids=["a mail in the same breath as the go-ahead", "no IDLE"],
)
def test_mail_is_seen_however_the_server_tells_of_it(server: Poor, told: str) -> None:
    async def run() -> list[str]:
        async with server.up():
            return await asyncio.wait_for(_subjects(server, 2, "5:7:1", idle_s=30, poll_s=0.05), 5)

    assert asyncio.run(run()) == ["mail 10", "mail 13"]
    assert told in server.heard and not any(word in line for line in server.heard for word in ("STORE", "EXPUNGE", "SELECT", "COPY"))


def test_a_server_without_a_next_number_still_begins_at_now() -> None:
    async def run() -> list[str]:
        server = Poor()
        async with server.up(), aclosing(_box(server).receive("", wait=False)) as arrivals:
            return [arrival.cursor async for arrival in arrivals]

    (cursor,) = asyncio.run(run())
    assert cursor == "5:7:1767225600"


@pytest.mark.parametrize(
    ("login", "refused"),
    [
        ("NO [AUTHENTICATIONFAILED] wrong correct-horse-battery", True),
        ("NO [UNAVAILABLE] come back", False),
        ("BAD what", True),
    ],
)
def test_a_refusal_is_for_good_unless_the_server_says_otherwise(login: str, refused: bool) -> None:
    async def run() -> str:
        server = Poor(login=login)
        async with server.up():
            with pytest.raises(ChannelError) as caught:
                async with aclosing(_box(server).receive("", wait=False)) as arrivals:
                    async for _ in arrivals:
                        pass
        return str(caught.value)

    said = asyncio.run(run())
    assert ("channels secret work" in said) == refused and SECRET not in said


def test_who_waits_comes_back_after_a_failure_and_gives_up_at_a_refusal() -> None:
    async def run() -> int:
        server = Poor(login="NO [UNAVAILABLE] come back")
        async with server.up():
            task = asyncio.create_task(_subjects(server, 1, "5:7:1"))
            await asyncio.wait_for(server.thrice.wait(), 5)
            server.login = "NO [AUTHENTICATIONFAILED] no"
            with pytest.raises(ChannelError):
                await asyncio.wait_for(task, 5)
        return len(server.heard)

    assert asyncio.run(run()) >= 4


def test_a_server_without_encryption_gets_no_password_where_some_was_promised() -> None:
    async def run() -> list[str]:
        server = Poor()
        async with server.up():
            for security in ("starttls", "tls"):
                health = await _box(server, options={"imap_security": security}).probe()
                assert health.receives is False
        return server.heard

    assert not any(line.startswith(("LOGIN", "AUTH")) or SECRET in line for line in asyncio.run(run()))


def test_certificates_are_checked_but_on_this_machine() -> None:
    far, here = wire.context("imap.own.test"), wire.context("127.0.0.1")
    assert far.verify_mode == ssl.CERT_REQUIRED and far.check_hostname and here.verify_mode == ssl.CERT_NONE
    for name in ("127.0.0.1.evil.test", "localhost.evil.test", "10.0.0.1", "::2"):
        assert wire.context(name).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("cursor", ["", "5", "5:7", "x:y:z", "5:7:1 ", "-1:7:1", "5:7:1:1", "99999999999:1:1"])
def test_a_cursor_that_is_none_begins_at_now(cursor: str) -> None:
    assert Position.read(cursor) is None


class Flood(Poor):
    """Announces, or sends, far more than anybody asked for."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer

    def _answers(self, tag: str, command: str) -> list[bytes]:
        return [self.answer] if command.startswith(("EXAMINE", "SELECT")) else super()._answers(tag, command)


@pytest.mark.parametrize("answer", [b"* 1 FETCH (BODY {99999999999}\r\nx", b"* OK [ALERT] hello\r\n" * 20_000], ids=["length", "lines"])
def test_a_server_cannot_fill_the_memory(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metered, "MOST_BYTES", 200_000)

    async def run() -> None:
        server = Flood(answer)
        async with server.up(), aclosing(_box(server).receive("", wait=False)) as arrivals:
            async for _ in arrivals:
                pass

    with pytest.raises(ChannelError, match="longer than is read"):
        asyncio.run(asyncio.wait_for(run(), 10))
