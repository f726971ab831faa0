"""The channel against real servers: what is sent arrives as it was written, what arrives is seen once."""

from __future__ import annotations

import asyncio
import hashlib
import imaplib
import io
import itertools
import re
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from localagent import cli
from localagent.channels import syncing
from localagent.channels.base import Channel, Receiver
from localagent.channels.email.account import account
from localagent.channels.email.channel import Email
from localagent.errors import ChannelError
from localagent.store.inbox import Inbox
from localagent.values import Attachment, Incoming, Outgoing

PASSWORD = "a-secret-of-mail"
_users = itertools.count(1)


def _secret(text: str = PASSWORD) -> Callable[[], Awaitable[str]]:
    async def give() -> str:
        return text

    return give


def channel(options: dict[str, Any], secret: str = PASSWORD, **more: Any) -> Email:
    return Email("work", account(options), _secret(secret), **more)


@pytest.fixture
def user() -> str:
    """A mailbox that is empty."""
    return f"user{next(_users)}"


def outgoing(to: str, text: str = "Hello", **more: Any) -> Outgoing:
    return Outgoing("work", to, text, id=uuid.uuid4().hex, **more)


async def new(box: Email, cursor: str) -> tuple[list[Incoming], str]:
    found = []
    async with aclosing(box.receive(cursor, wait=False)) as arrivals:
        async for arrival in arrivals:
            cursor = arrival.cursor
            if arrival.message is not None:
                found.append(arrival.message)
    return found, cursor


def raw(user: str, mail: Any, command: Callable[[imaplib.IMAP4], Any]) -> Any:
    with imaplib.IMAP4("127.0.0.1", mail.imap) as door:
        door.login(user, PASSWORD)
        return command(door)


def flags(user: str, mail: Any) -> bytes:
    def look(door: imaplib.IMAP4) -> bytes:
        door.select("INBOX", readonly=True)
        return b" ".join(door.fetch("1:*", "(FLAGS)")[1] or [])

    return raw(user, mail, look)


def test_a_message_goes_out_and_comes_in_as_it_was_written(mail, user: str, tmp_path: Path) -> None:
    body = b"\x00\x01 bytes \xff" * 1000
    (tmp_path / "report.bin").write_bytes(body)
    file = Attachment(str(tmp_path / "report.bin"), "Übersicht 2026.bin", "application/x-own", len(body), hashlib.sha256(body).hexdigest())
    text = "Grüße,\n.\n.. dots\nFrom the start\n" + "long " * 300 + ".\n日本語 🙂\n"

    async def run() -> None:
        box = channel(mail.options(user, from_name="Jürgen Ä."))
        assert isinstance(box, Channel) and isinstance(box, Receiver)
        _, cursor = await new(box, "")
        message = outgoing(f"{user}@localhost.test", text, subject="Änderung: " + "ß" * 90, attachments=(file,))
        sent = await box.send(message)
        assert sent.state == "sent" and sent.proof == f"<{message.id}@localhost.test>" and "queued as 42" in sent.detail
        (got,), cursor = await new(box, cursor)
        assert got.text == text.strip("\n") and got.subject == message.subject and got.sender == f"{user}@localhost.test"
        assert got.name == "Jürgen Ä." and got.chat == got.sender and got.authentic is None
        assert [(one.name, one.size, one.sha256) for one in got.attachments] == [("Übersicht 2026.bin", len(body), file.sha256)]
        assert Path(got.attachments[0].path).read_bytes() == body
        assert (await new(box, cursor))[0] == []
        answer = outgoing(f"{user}@localhost.test", "Yes", subject="Re: x", reply_to=got.id, thread=got.thread)
        assert (await box.send(answer)).state == "sent"
        (again,), _ = await new(box, cursor)
        assert again.reply_to == sent.proof and again.thread == f"{sent.proof} <{answer.id}@localhost.test>"

    asyncio.run(run())
    assert b"\\Seen" not in flags(user, mail)
    assert mail.letters[0][:2] == (f"{user}@localhost.test", [f"{user}@localhost.test"])


def test_a_copy_is_kept_among_the_sent_mail_and_a_lost_attempt_is_found_there(mail, user: str) -> None:
    async def run() -> None:
        box, message = channel(mail.options(user)), outgoing("friend@elsewhere.test")
        assert await box.find(message) is None
        assert (await box.send(message)).state == "sent"
        found = await box.find(message)
        assert found is not None and found.state == "sent" and found.proof.startswith(f"<{message.id}@")

    asyncio.run(run())

    def count(door: imaplib.IMAP4) -> bytes | None:
        return door.select("Sent", readonly=True)[1][0]

    assert raw(user, mail, count) == b"1"


def test_no_copy_where_the_server_keeps_one(mail, user: str) -> None:
    box = channel(mail.options(user, save_sent="no"))
    message = outgoing("friend@elsewhere.test")
    assert asyncio.run(box.send(message)).state == "sent"
    assert asyncio.run(box.find(message)) is None


def test_a_draft_is_kept_and_not_sent(mail, user: str) -> None:
    message = outgoing("friend@elsewhere.test", "unfinished", draft=True)

    async def run() -> None:
        box = channel(mail.options(user))
        assert await box.find(message) is None
        sent = await box.send(message)
        assert (sent.state, sent.detail) == ("sent", "kept in Entwürfe")
        found = await box.find(message)
        assert found is not None and found.state == "sent"

    asyncio.run(run())
    assert mail.letters == []


def test_waiting_sees_a_mail_at_once_and_ends_when_cancelled(mail, user: str) -> None:
    async def run() -> float:
        box = channel(mail.options(user))
        seen: asyncio.Queue[Incoming] = asyncio.Queue()
        started = asyncio.Event()

        async def listen() -> None:
            async for arrival in box.receive("", wait=True):
                started.set()
                if arrival.message is not None:
                    seen.put_nowait(arrival.message)

        task = asyncio.create_task(listen())
        await asyncio.wait_for(started.wait(), 5)
        begun = asyncio.get_running_loop().time()
        for number in range(3):
            await asyncio.to_thread(mail.drop, user, b"From: a@b.test\r\nSubject: n%d\r\n\r\nhi" % number)
            got = await asyncio.wait_for(seen.get(), 5)
            assert got.subject == f"n{number}"
        took = asyncio.get_running_loop().time() - begun
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 3)
        return took

    assert asyncio.run(run()) < 5


def test_a_connection_that_breaks_is_made_again_and_nothing_is_missed(mail, user: str) -> None:
    async def run() -> None:
        box = channel(mail.options(user), retry_s=(0.05, 0.1))
        _, cursor = await new(box, "")
        mail.drop(user, b"From: a@b.test\r\nSubject: one\r\n\r\nhi")
        arrivals = box.receive(cursor, wait=True)
        assert (await anext(arrivals)).message.subject == "one"  # type: ignore[union-attr]
        following = asyncio.ensure_future(anext(arrivals))
        await asyncio.sleep(0.3)
        await box.aclose()
        mail.drop(user, b"From: a@b.test\r\nSubject: two\r\n\r\nhi")
        got = await asyncio.wait_for(following, 5)
        assert got.message is not None and got.message.subject == "two"
        await arrivals.aclose()

    asyncio.run(run())


def test_a_new_numbering_brings_nothing_twice_and_misses_nothing(mail, user: str) -> None:
    async def run() -> None:
        box = channel(mail.options(user))
        with Inbox() as inbox:
            await syncing.sync("work", box, inbox)
            for number in range(3):
                mail.drop(user, b"From: a@b.test\r\nSubject: n%d\r\n\r\nhi" % number)
            assert len((await syncing.sync("work", box, inbox)).new) == 3
            (listed,) = (mail.state / "mail" / user).rglob("dovecot-uidlist")
            text = listed.read_text()
            listed.write_text(re.sub(r" V\d+ ", " V1234567 ", text, count=1))
            for file in (mail.state / "mail" / user).rglob("dovecot.index*"):
                file.unlink()
            before = inbox.cursor("work")
            mail.drop(user, b"From: a@b.test\r\nSubject: n3\r\n\r\nhi")
            done = await syncing.sync("work", box, inbox)
            assert [one.message.subject for one in done.new] == ["n3"] and inbox.count() == 4
            assert inbox.cursor("work").partition(":")[0] != before.partition(":")[0]

    asyncio.run(run())


def test_mails_of_before_come_only_when_they_are_asked_for(mail, user: str) -> None:
    mail.drop(user, b"From: a@b.test\r\nSubject: old\r\n\r\nhi")

    async def run() -> None:
        box = channel(mail.options(user))
        with Inbox() as inbox:
            assert (await syncing.sync("work", box, inbox)).new == ()
            cursor = inbox.cursor("work")
            assert [one.message.subject for one in (await syncing.past("work", box, inbox, 1.0)).new] == ["old"]
            assert inbox.cursor("work") == cursor and (await syncing.past("work", box, inbox, 1.0)).new == ()

    asyncio.run(run())


def test_marking_as_read_happens_only_where_it_is_wanted_and_deletes_nothing(mail, user: str) -> None:
    async def run() -> None:
        box = channel(mail.options(user, mark_seen="yes"))
        _, cursor = await new(box, "")
        mail.drop(user, b"From: a@b.test\r\nSubject: doomed\r\n\r\nhi")
        mail.drop(user, b"From: a@b.test\r\nSubject: read\r\n\r\nhi")

        def doom(door: imaplib.IMAP4) -> None:
            door.select("INBOX")
            door.store("1", "+FLAGS", r"(\Deleted)")
            door.logout()

        with imaplib.IMAP4("127.0.0.1", mail.imap) as door:
            door.login(user, PASSWORD)
            doom(door)
        assert len((await new(box, cursor))[0]) == 2

    asyncio.run(run())
    seen = flags(user, mail)
    assert seen.count(b"\\Seen") == 2 and seen.count(b"\\Deleted") == 1


def test_a_probe_logs_in_and_a_wrong_password_is_said_without_it(mail, user: str) -> None:
    good = asyncio.run(channel(mail.options(user)).probe())
    assert (good.ok, good.sends, good.receives) == (True, True, True)
    bad = channel(mail.options(user), secret="wrong-horse-battery")
    health = asyncio.run(bad.probe())
    assert (health.ok, health.sends, health.receives) == (False, False, False) and "wrong-horse" not in health.detail
    sent = asyncio.run(bad.send(outgoing("a@b.test")))
    assert sent.state == "failed" and not sent.again and "wrong-horse" not in sent.detail
    with pytest.raises(ChannelError) as caught:
        asyncio.run(new(bad, ""))
    assert "wrong-horse" not in str(caught.value) and "channels secret work" in str(caught.value)


def test_a_server_that_vanishes_with_the_message_leaves_it_unconfirmed_until_it_is_found(mail, user: str) -> None:
    async def run() -> None:
        box = channel(mail.options(user))
        mail.vanish = True
        message = outgoing(f"{user}@localhost.test", "only once")
        sent = await box.send(message)
        assert sent.state == "unconfirmed" and not sent.again and sent.proof
        found = await box.find(message)
        assert found is not None and (found.state, found.proof, found.detail) == ("sent", sent.proof, "found in INBOX")
        other = outgoing("friend@elsewhere.test")
        assert (await box.send(other)).state == "unconfirmed" and await box.find(other) is None

    asyncio.run(run())
    assert len(mail.letters) == 2


def test_the_command_line_sets_it_up_tries_it_and_fetches(mail, user: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    mail.drop(user, b"From: Ann <a@b.test>\r\nSubject: old\r\n\r\nabout the boat")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    given = [f"{key}={value}" for key, value in mail.options(user).items()]
    assert cli.main(["channels", "add", "email", "work", *given, "--secret-stdin"]) == 0
    assert "work: ok: sends through 127.0.0.1" in capsys.readouterr().out
    assert cli.main(["channels", "sync"]) == 0 and capsys.readouterr().out == "work: 0 new, 0 in all\n"
    assert cli.main(["channels", "sync", "work", "--past", "3"]) == 0 and capsys.readouterr().out == "work: 1 new, 1 in all\n"
    with Inbox() as inbox:
        assert [one.message.subject for one in inbox.search("boat")] == ["old"]
    assert cli.main(["channels", "status"]) == 0 and "1 messages, just fetched" in capsys.readouterr().out
    assert cli.main(["channels", "rm", "work", "--messages"]) == 0
    with Inbox() as inbox:
        assert inbox.count() == 0


def test_it_speaks_through_encryption_and_trusts_no_strange_certificate(mail, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not mail.imaps:
        pytest.skip("openssl is not installed")
    ways = {"smtp_port": mail.smtps, "smtp_security": "starttls", "imap_port": mail.imaps, "imap_security": "tls"}

    async def run() -> None:
        box = channel(mail.options(user, **ways))
        _, cursor = await new(box, "")
        assert (await box.send(outgoing(f"{user}@localhost.test", "secretly"))).state == "sent"
        assert [one.text for one in (await new(box, cursor))[0]] == ["secretly"]
        assert (await channel(mail.options(user, **ways | {"imap_port": mail.imap, "imap_security": "starttls"})).probe()).ok
        # The same servers under a name that is not known to be this machine's.
        far = channel(mail.options(user, **ways, smtp_host="far.test", imap_host="far.test"))
        sent, health = await far.send(outgoing(f"{user}@localhost.test")), await far.probe()
        assert sent.state == "failed" and not sent.again and "certificate" in sent.detail
        assert (health.sends, health.receives) == (False, False) and health.detail.count("certificate is not valid") == 2

    real = socket.getaddrinfo
    there = lambda host, *rest, **more: real("127.0.0.1" if host == "far.test" else host, *rest, **more)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", there)
    asyncio.run(run())


def test_a_recipient_that_is_refused_is_certainly_not_sent_to(mail, user: str) -> None:
    for answer, again in (("550 5.1.1 nobody here", False), ("451 4.7.1 greylisted", True)):
        mail.refuse = answer
        sent = asyncio.run(channel(mail.options(user)).send(outgoing("nobody@b.test")))
        assert (sent.state, sent.again) == ("failed", again) and answer[4:] in sent.detail
    assert mail.letters == []
