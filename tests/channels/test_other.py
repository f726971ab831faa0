"""Apprise: what its yes and no are called, with a stand-in for the library, and the real one against a server of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from localagent.channels import other
from localagent.channels.base import Channel, Receiver
from localagent.errors import ChannelError
from tests.channels.messages import attached, outgoing
from tests.channels.servers import folder
from tests.channels.web import Answer, run, web

URL = "slack://tokenA/tokenB/secret"


class _Library:
    """As much of Apprise as is used; `answer` is what a notification brings."""

    def __init__(self, answer=True, files=True, limit=100) -> None:
        self.answer, self.notified = answer, []
        service = types.SimpleNamespace(attachment_support=files, body_maxlen=limit, service_name="Slack")
        library = self

        class Apprise(list):
            def add(self, url):
                if not url.startswith("slack://"):
                    return False
                self.extend([service] * len(url.split(", ")))
                return True

            def notify(self, **said):
                library.notified.append(said)
                if isinstance(library.answer, Exception):
                    raise library.answer
                return library.answer

        self.Apprise = Apprise


def _send(message, library, monkeypatch, url=URL):
    monkeypatch.setitem(sys.modules, "apprise", library)
    return run(other.make("c", {"address": "#team"}, lambda: url).send(message))


def test_a_yes_is_handed_over_and_never_sent(monkeypatch, tmp_path):
    library = _Library()
    file = attached(tmp_path / "a")
    sent = _send(outgoing("#team", "*x*", subject="s", attachments=(file,)), library, monkeypatch)
    assert (sent.state, sent.proof) == ("handed over", "")
    assert library.notified == [{"body": "*x*", "title": "s", "body_format": "text", "attach": [file.path]}]


@pytest.mark.parametrize("answer", [False, None, RuntimeError(URL)])
def test_a_no_says_nothing_certain(monkeypatch, answer):
    sent = _send(outgoing("#team"), _Library(answer), monkeypatch)
    assert (sent.state, sent.again) == ("unconfirmed", False) and "secret" not in sent.detail


def test_nobody_else_is_reached(monkeypatch):
    library = _Library()
    for address in ("#other", "", "#team "):
        assert _send(outgoing(address), library, monkeypatch).state == "failed"
    assert not library.notified


def test_what_would_be_dropped_or_cut_is_refused(monkeypatch, tmp_path):
    file = attached(tmp_path / "a")
    assert "no files" in _send(outgoing("#team", attachments=(file,)), _Library(files=False), monkeypatch).detail
    assert "too long" in _send(outgoing("#team", "x" * 101), _Library(), monkeypatch).detail
    (tmp_path / "a").write_bytes(b"other bytes")
    assert "not what it was" in _send(outgoing("#team", attachments=(file,)), _Library(), monkeypatch).detail


@pytest.mark.parametrize("url", ["nonsense://x", f"{URL}?verify=no", f"{URL}?x=1&Verify=False", f"{URL}, {URL}", ""])
def test_addresses_of_services_that_cannot_be(monkeypatch, url):
    library = _Library()
    sent = _send(outgoing("#team"), library, monkeypatch, url)
    assert sent.state == "failed" and not library.notified and "tokenA" not in sent.detail


def test_without_the_library_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    made = other.make("c", {"address": "#team"}, lambda: URL)
    sent = run(made.send(outgoing("#team")))
    assert sent.state == "failed" and "pip install" in sent.detail
    assert not run(made.probe()).ok
    assert isinstance(made, Channel) and not isinstance(made, Receiver)
    with pytest.raises(ChannelError):
        other.make("c", {}, lambda: URL)


_REAL = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from localagent.channels import other
from localagent.values import Outgoing
made = other.make("c", {"address": "ops"}, lambda: sys.argv[2])
print(asyncio.run(made.send(Outgoing("c", "ops", "täxt <b>", subject="Title", id="1" * 32))).state)
"""


def test_the_real_library_hands_over_to_a_real_address():
    python = folder("bin/python")
    root = Path(__file__).resolve().parents[2]

    async def go(status):
        async def handler(_):
            return Answer({}, status)

        async with web(handler) as server:
            import asyncio

            argv = [str(python), "-c", _REAL, str(root), server.url.replace("http", "json") + "/hook"]
            done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=50)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip(), [json.loads(a.body) for a in server.asked]

    said, (body,) = run(go(200), 60)
    assert said == "handed over" and (body["title"], body["message"]) == ("Title", "täxt <b>")
    said, _ = run(go(500), 60)
    assert said == "unconfirmed"
