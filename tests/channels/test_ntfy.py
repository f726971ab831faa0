"""ntfy against a server on this machine that speaks its API: publishing, and the stream of a topic."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from localagent.channels import ntfy
from localagent.channels.base import Channel, Receiver
from localagent.channels.wire import Backoff
from localagent.errors import ChannelError
from tests.channels.messages import attached, outgoing
from tests.channels.web import Answer, Asked, Drop, closed_port, run, until, web

NOW = 1_796_040_000  # the web server's Date


class Topics:
    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.next: list = []
        self.files: dict[str, bytes] = {}

    def say(self, text: str, at: int = NOW, **more) -> str:
        name = f"id{len(self.messages)}"
        self.messages.append({"id": name, "time": at, "event": "message", "topic": "in", "message": text} | more)
        return name

    async def __call__(self, asked: Asked):
        if self.next:
            return self.next.pop(0)
        if asked.path.startswith("/file/"):
            return Answer(self.files[asked.path])
        if asked.path == "/in/json":
            since = asked.query["since"]
            oldest = NOW - int(since[:-1]) if since.endswith("s") else int(since)
            found = [{"event": "open", "id": "o", "time": NOW}, *(m for m in self.messages if m["time"] >= oldest)]
            return Answer("\n".join([*map(json.dumps, found), "not json", ""]).encode())
        if asked.path.endswith(("/auth", "/health")):
            return {"success": True, "healthy": True}
        return {"id": "pub1", "event": "message", "time": NOW}


def _sent(message, *answers, **config):
    async def go():
        api = Topics()
        api.next = list(answers)
        async with web(api) as server:
            made = ntfy.make("c", {"server": server.url} | config, lambda: "tk_secret1")
            return await made.send(message), server.asked

    return run(go())


def test_it_receives_only_with_an_inbox():
    assert isinstance(ntfy.make("c", {}, lambda: ""), Channel) and not isinstance(ntfy.make("c", {}, lambda: ""), Receiver)
    assert isinstance(ntfy.make("c", {"inbox": "in"}, lambda: ""), Receiver)
    with pytest.raises(ChannelError):
        ntfy.make("c", {"inbox": "a/b"}, lambda: "")


def test_publishing(tmp_path):
    sent, (asked,) = _sent(outgoing("alerts", "täxt\n2", subject="Title"))
    assert (sent.state, sent.proof) == ("sent", "pub1")
    assert asked.json == {"topic": "alerts", "message": "täxt\n2", "title": "Title"}
    assert asked.headers["authorization"] == "Bearer tk_secret1"
    file = attached(tmp_path / "ä.txt", b"bytes")
    sent, (asked,) = _sent(outgoing("alerts", "see\nthis", attachments=(file,)))
    assert (asked.method, asked.path, asked.body) == ("PUT", "/alerts", b"bytes")
    assert asked.query == {"filename": "ä.txt", "message": "see\nthis"}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (outgoing("a/b"), "no topic"),
        (outgoing("in"), "listens"),
        (outgoing("t", "ä" * 2049), "4,098"),
        (outgoing("t", draft=True), "drafts"),
    ],
)
def test_what_cannot_be_published(message, why):
    sent, asked = _sent(message, inbox="in")
    assert sent.state == "failed" and why in sent.detail and not asked


@pytest.mark.parametrize(
    ("answer", "state", "again"),
    [
        (Drop(), "unconfirmed", False),
        (Answer({"error": "limit reached"}, 429), "failed", True),
        (Answer({"error": "forbidden"}, 403), "failed", False),
        (Answer({}, 200), "unconfirmed", False),
        (Answer({}, 500), "unconfirmed", False),
    ],
)
def test_what_each_failure_is_called(answer, state, again):
    sent, _ = _sent(outgoing("t"), answer)
    assert (sent.state, sent.again) == (state, again)


# ---------------------------------------------------------------- in


async def _all(channel, cursor):
    return [arrival async for arrival in channel.receive(cursor, wait=False)]


def test_each_message_comes_once_for_a_place(monkeypatch):
    monkeypatch.setattr(ntfy.time, "time", lambda: float(NOW))

    async def go():
        api = Topics()
        api.say("long ago", NOW - 500)
        api.say("just now", NOW - 3)
        async with web(api) as server:
            channel = ntfy.make("c", {"server": server.url, "inbox": "in"}, lambda: "")
            (start,) = await _all(channel, "")
            assert start.message is None and "authorization" not in server.asked[0].headers
            api.say("one", NOW)
            api.say("two", NOW, title="T")
            api.say("stored late", NOW - 2)
            got = await _all(channel, start.cursor)
            assert [(a.message.text, a.message.subject) for a in got] == [("one", ""), ("two", "T"), ("stored late", "")]
            assert (got[0].message.sender, got[0].message.chat, got[0].message.authentic) == ("in", "in", None)
            assert [a.message.text for a in await _all(channel, got[0].cursor)] == ["two", "stored late"]
            assert await _all(channel, got[2].cursor) == []
            api.say("later", NOW + 40)
            (last,) = await _all(channel, got[2].cursor)
            assert last.message.text == "later" and len(json.loads(last.cursor)[1]) == 1

    run(go())


def test_files_lie_on_this_server_and_come_only_where_that_is_wanted():
    async def go(trusted, url):
        api = Topics()
        async with web(api) as server:
            channel = ntfy.make("c", {"server": server.url, "inbox": "in"}, lambda: "")
            if trusted:
                channel.trusts = lambda topic: topic == "in"
            (start,) = await _all(channel, "")
            api.files["/file/abc.txt"] = b"data"
            api.say("see", NOW, attachment={"name": "n.txt", "url": url.format(server.url), "type": "text/plain"})
            (got,) = await _all(channel, start.cursor)
            return got.message

    message = run(go(True, "{}/file/abc.txt"))
    assert message.attachments[0].size == 4 and message.text == "see"
    assert "vouches" in run(go(False, "{}/file/abc.txt")).text
    for url in ("http://169.254.169.254/file/x", "{}/../secret", "{}@evil/file/a", "{}/v1/x", "{}/file/..%2fx"):
        assert "another server" in run(go(True, url)).text


def test_waiting_goes_on_over_failures(monkeypatch):
    monkeypatch.setattr(ntfy, "Backoff", lambda: Backoff(0.01, 0.02))

    async def go():
        api = Topics()
        api.next = []
        async with web(api) as server:
            channel = ntfy.make("c", {"server": server.url, "inbox": "in"}, lambda: "")
            got = []

            async def listen():
                async for arrival in channel.receive("", wait=True):
                    got.append(arrival.message.text if arrival.message else None)

            task = asyncio.create_task(listen())
            await until(lambda: got)
            for count, trouble in enumerate((Drop(), Answer({}, 502), Answer(b'{"half', 200, cut=3)), 1):
                api.next.append(trouble)
                api.say(str(count), NOW + count)
                await until(lambda count=count: len(got) > count)
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < 0.5
            return got

    assert run(go()) == [None, "1", "2", "3"]


def test_refusals_for_good_and_a_server_that_is_away_are_told():
    async def go(status):
        async def handler(_):
            return Answer({"error": "unauthorized"}, status)

        async with web(handler) as server:
            channel = ntfy.make("c", {"server": server.url, "inbox": "in"}, lambda: "")
            await _all(channel, f"[{NOW}, {{}}]")

    for status in (401, 403, 404, 500):
        with pytest.raises(ChannelError):
            run(go(status))

    async def away():
        channel = ntfy.make("c", {"server": f"http://127.0.0.1:{await closed_port()}", "inbox": "in"}, lambda: "")
        assert not (await channel.probe()).ok
        await _all(channel, "")

    with pytest.raises(ChannelError, match="cannot be asked"):
        run(away())
    with pytest.raises(ChannelError, match="place"):
        run(_all(ntfy.make("c", {"inbox": "in"}, lambda: ""), "x"))


def test_a_probe_says_whether_it_answers():
    async def go():
        async with web(Topics()) as server:
            return await ntfy.make("c", {"server": server.url, "inbox": "in"}, lambda: "").probe()

    health = run(go())
    assert (health.ok, health.sends, health.receives) == (True, True, True)
