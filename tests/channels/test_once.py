"""Killed at any moment between the words and the receipt: never two copies, never "sent" without one, nothing lost."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from email import message_from_bytes

import pytest

from localagent.store import channels, credentials
from localagent.store.outbox import Outbox

controllers = pytest.importorskip("aiosmtpd.controller", reason="requirements-dev.lock installs aiosmtpd")
KILLS = int(os.environ.get("LOCALAGENT_TEST_KILLS", "10"))


class Taken:
    """Counts the copies of each Message-ID; slow enough that a kill can fall before, within and after."""

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        self.words: Counter[str] = Counter()

    async def handle_DATA(self, server, session, envelope):
        letter = message_from_bytes(envelope.content)
        self.copies[letter["Message-ID"]] += 1
        self.words[letter.get_payload(decode=True).decode().strip()] += 1
        time.sleep(0.02)  # noqa: ASYNC251 - the server of this test has nobody else to serve
        return "250 taken"


@pytest.fixture
def server():
    from aiosmtpd.smtp import AuthResult

    taken = Taken()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    known = {"authenticator": lambda *_: AuthResult(success=True), "auth_require_tls": False}
    controller = controllers.Controller(taken, hostname="127.0.0.1", port=port, **known)
    controller.start()
    yield taken, port
    controller.stop()


def _set_up(port: int) -> None:
    options = {"address": "me@localhost.test", "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
    channels.add("work", "email", {**options, "imap_host": "127.0.0.1", "imap_port": 1, "imap_security": "none", "save_sent": "no"})
    credentials.store("work", "password", "correct-horse")
    config = os.path.join(os.environ["LOCALAGENT_CONFIG_DIR"], "config.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("hold_s: 0\nmessages_per_hour: 0\n")


def _send(words: str) -> subprocess.Popen:
    argv = [sys.executable, "-m", "localagent", "message", "send", "--to", "anna@example.org", "--text", words, "--yes"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_killed_at_random_moments(server):
    taken, port = server
    _set_up(port)
    begun = time.monotonic()
    whole = _send("whole")
    told = whole.communicate(timeout=60)[0].decode()
    assert told.strip().endswith("Sent to anna@example.org by work."), told
    usual = time.monotonic() - begun
    chance = random.Random(20)
    for number in range(KILLS):
        process = _send(f"message {number}")
        time.sleep(chance.uniform(0.3, 1.1) * usual)
        process.kill()
        process.wait()
        process.stdout.close()
    # The next start takes up what was left: it may send what was due, and must not send what had begun.
    assert _send("last").wait(timeout=60) == 0
    entries = Outbox().entries(limit=10 * KILLS + 10)
    assert max(taken.words.values()) == 1, taken.words
    for entry in entries:
        copies = taken.words[entry.message.text]
        assert entry.state in ("draft", "held", "sent", "unconfirmed", "failed"), entry
        if entry.state == "sent":
            assert copies == 1
        if entry.state in ("draft", "held", "failed"):
            assert copies == 0
    known = {entry.message.text for entry in entries}
    assert {words for words, count in taken.words.items() if count} <= known
    # The run is worth something only if some were caught on the way.
    print(Counter(entry.state for entry in entries))
