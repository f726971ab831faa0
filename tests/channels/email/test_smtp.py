"""What is known of a message at every point where a server, or the way to it, may fail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from localagent.channels.email.account import account
from localagent.channels.email.channel import Email
from localagent.values import Outgoing, Sent

PASSWORD = "correct-horse-battery"
CLOSE = "close"
DROP = "drop"
HANG = "hang"


class Nasty:
    """A server that answers by its script: command -> answer, or what happens instead of one. `.` is the final dot."""

    def __init__(self, **script: str) -> None:
        self.script = {"EHLO": "250-here\r\n250-SIZE 100000\r\n250 AUTH PLAIN LOGIN", "AUTH": "235 in", "MAIL": "250 ok", "RCPT": "250 ok"}
        self.script |= {"GREET": "220 here", "DATA": "354 go on", ".": "250 2.0.0 queued", "QUIT": "221 bye", "NOOP": "250 ok"} | script
        self.heard: list[str] = []
        self.bodies: list[bytes] = []
        self.port = 0
        self.hanging = asyncio.Event()

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[Nasty]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if not await self._answer("GREET", writer):
                return
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                self.heard.append(line)
                verb = line.split(" ")[0].upper()
                if not await self._answer(verb, writer):
                    return
                if verb == "DATA" and self.script["DATA"].startswith("354"):
                    if self.script.get("BODY") == DROP:
                        _drop(writer)
                        return
                    self.bodies.append((await reader.readuntil(b"\r\n.\r\n"))[:-3])
                    if not await self._answer(".", writer):
                        return
        writer.close()

    async def _answer(self, what: str, writer: asyncio.StreamWriter) -> bool:
        said = self.script.get(what, "502 what?")
        if said == HANG:
            self.hanging.set()
            await asyncio.sleep(30)
        if said in (CLOSE, HANG):
            writer.close()
            return False
        if said == DROP:
            _drop(writer)
            return False
        if said.startswith("late "):
            await asyncio.sleep(0.3)
            said = said[5:]
        writer.write(said.encode() + b"\r\n")
        await writer.drain()
        return True


def _drop(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def _secret() -> Callable[[], Awaitable[str]]:
    async def give() -> str:
        return PASSWORD

    return give


def message(**more: Any) -> Outgoing:
    return Outgoing("work", more.pop("address", "you@b.test"), more.pop("text", "Hello\n.\n..x"), id=uuid.uuid4().hex, **more)


async def _sent(server: Nasty, wanted: Outgoing | None = None, patience: float = 0.5, **options: Any) -> Sent:
    given = {"address": "me@a.test", "smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"} | options
    return await Email("work", account(given), _secret(), patience_s=patience).send(wanted or message())


def _attempt(server: Nasty, wanted: Outgoing | None = None, **options: Any) -> Sent:
    async def run() -> Sent:
        async with server.up():
            return await _sent(server, wanted, **options)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("script", "state", "again"),
    [
        ({}, "sent", False),
        ({".": "late 250 ok"}, "sent", False),
        ({"QUIT": CLOSE}, "sent", False),
        ({"QUIT": "500 what"}, "sent", False),
        ({"GREET": "554 go away"}, "failed", False),
        ({"GREET": "421 too busy"}, "failed", True),
        ({"GREET": CLOSE}, "failed", True),
        ({"EHLO": DROP}, "failed", True),
        ({"AUTH": "535 no"}, "failed", False),
        ({"AUTH": "454 not now"}, "failed", True),
        ({"AUTH": CLOSE}, "failed", True),
        ({"MAIL": "550 not you"}, "failed", False),
        ({"MAIL": "452 full"}, "failed", True),
        ({"RCPT": "550 nobody"}, "failed", False),
        ({"RCPT": "450 greylisted"}, "failed", True),
        ({"RCPT": DROP}, "failed", True),
        ({"DATA": "554 no"}, "failed", False),
        ({"DATA": "451 later"}, "failed", True),
        ({"DATA": CLOSE}, "failed", True),
        ({"DATA": "250 what"}, "failed", False),
        ({".": "554 spam"}, "failed", False),
        ({".": "451 later"}, "failed", True),
        ({".": CLOSE}, "unconfirmed", False),
        ({".": DROP}, "unconfirmed", False),
        ({".": HANG}, "unconfirmed", False),
        ({".": "what?"}, "unconfirmed", False),
        ({".": "354 go on"}, "unconfirmed", False),
        ({".": "late"}, "unconfirmed", False),
    ],
    ids=str,
)
def test_only_what_is_certain_is_said(script: dict[str, str], state: str, again: bool) -> None:
    server = Nasty(**script)
    sent = _attempt(server)
    assert (sent.state, sent.again) == (state, again), sent
    assert bool(sent.proof) == (state != "failed") and PASSWORD not in sent.detail
    if state in ("sent", "unconfirmed"):
        assert len(server.bodies) == 1 and b"\r\n..\r\n...x\r\n" in server.bodies[0]


def test_a_connection_that_breaks_in_the_middle_of_the_text_has_sent_nothing() -> None:
    sent = _attempt(Nasty(BODY=DROP, EHLO="250 here", AUTH="235 ok"), message(text="x" * 12_000_000))
    assert (sent.state, sent.again) == ("failed", True)


def test_nobody_at_the_port_has_sent_nothing() -> None:
    server = Nasty()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server.port = held.getsockname()[1]
        sent = asyncio.run(_sent(server))
    assert (sent.state, sent.again) == ("failed", True) and "refused" in sent.detail


def test_without_encryption_nothing_is_sent_where_it_was_promised() -> None:
    server = Nasty()
    sent = _attempt(server, smtp_security="starttls")
    assert sent.state == "failed" and not sent.again and "encryption" in sent.detail
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.heard)
    assert _attempt(Nasty(), smtp_security="tls").state == "failed"


def test_a_server_that_repeats_the_password_does_not_get_it_into_words() -> None:
    packed = base64.b64encode(f"\0me@a.test\0{PASSWORD}".encode()).decode()
    sent = _attempt(Nasty(AUTH=f"535 wrong: {PASSWORD} {packed} {base64.b64encode(PASSWORD.encode()).decode()}"))
    assert "wrong: *** *** ***" in sent.detail


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"subject": "x\r\nBcc: spy@evil.test"}, "subject"),
        ({"subject": "x\nBcc: spy@evil.test"}, "subject"),
        ({"subject": "x\u2028Bcc: spy@evil.test"}, "subject"),
        ({"name": "x\r\nBcc: spy@evil.test"}, "name"),
        ({"address": "you@b.test>\r\nRCPT TO:<spy@evil.test"}, "address"),
        ({"address": "you@b.test, spy@evil.test"}, "address"),
        ({"address": "you@b.test spy@evil.test"}, "address"),
        ({"address": "you"}, "address"),
        ({"address": "@b.test"}, "address"),
        ({"address": "you@b..test"}, "address"),
        ({"address": "you@127.0.0.1"}, "address"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": "\ud83d"}, "half a character"),
    ],
    ids=str,
)
def test_nothing_in_a_message_becomes_a_header_or_a_command(change: dict[str, str], told: str) -> None:
    server = Nasty()
    sent = _attempt(server, message(**change))
    assert sent.state == "failed" and not sent.again and told in sent.detail and server.heard == []


def test_a_message_without_an_id_is_not_sent() -> None:
    server = Nasty()
    assert _attempt(server, Outgoing("work", "you@b.test", "x")).state == "failed" and server.heard == []


def test_threads_hold_only_what_looks_like_an_id() -> None:
    server = Nasty()
    thread = "<a@b> x\r\nBcc: spy@evil.test <c@d>"
    assert _attempt(server, message(thread=thread, reply_to="<c@d>#0123")).state == "sent"
    assert b"\r\nReferences: <a@b>\r\n <c@d>\r\n" in server.bodies[0] and b"\r\nIn-Reply-To: <c@d>\r\n" in server.bodies[0]
    assert b"Bcc" not in server.bodies[0]


def test_what_is_too_large_for_the_server_is_not_begun() -> None:
    server = Nasty()
    sent = _attempt(server, message(text="x" * 200_000))
    assert sent.state == "failed" and "100,000" in sent.detail and not any(line.startswith("MAIL") for line in server.heard)


def test_letters_beyond_ascii_in_an_address_need_a_server_that_takes_them() -> None:
    plain, able = Nasty(), Nasty(EHLO="250-here\r\n250-AUTH PLAIN\r\n250 SMTPUTF8")
    assert "ASCII" in _attempt(plain, message(address="jürgen@b.test")).detail
    assert _attempt(able, message(address="jürgen@bücher.test")).state == "sent"
    assert "RCPT TO:<jürgen@xn--bcher-kva.test>" in able.heard and any("SMTPUTF8" in line for line in able.heard)


def test_a_token_logs_in_by_xoauth2() -> None:
    server = Nasty(EHLO="250-here\r\n250 AUTH XOAUTH2")
    assert _attempt(server, token_command="never started here").state == "sent"
    (line,) = [line for line in server.heard if line.startswith("AUTH")]
    assert base64.b64decode(line.split()[2]) == f"user=me@a.test\1auth=Bearer {PASSWORD}\1\1".encode()


def test_cancelling_ends_the_conversation() -> None:
    async def run() -> None:
        async with Nasty(MAIL=HANG).up() as server:
            task = asyncio.create_task(_sent(server, patience=60))
            await asyncio.wait_for(server.hanging.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 2)

    asyncio.run(run())
