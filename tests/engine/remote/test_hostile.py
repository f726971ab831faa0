"""Endpoints that lie, flood, never end, or would have what was asked of this machine go elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from typing import Any

import pytest

from localagent.engine.remote import RemoteEngine, engine, keys, reading, wire
from localagent.errors import EngineError, LocalAgentError
from localagent.values import Message, Text
from tests.engine.remote.endpoint import Reply, called, chunk, endpoint
from tests.engine.remote.test_remote import answer, entry, read

KEY = "sk-very-secret-key-0123456789"


def test_what_is_asked_of_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(Reply([chunk(content="stolen"), chunk("stop")])) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        done, _, _ = read(chunk(content="mine"), chunk("stop"))
        assert done.message.text == "mine" and not proxy.asked


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "1e999", "soon"])
def test_an_odd_wish_to_wait_is_none(wait: str) -> None:
    assert wire._wait(wait) == 0.0


@pytest.mark.parametrize(
    "reply",
    [
        Reply([json.dumps({"error": {"message": "x" * 390 + KEY}}).encode()], status=400),
        Reply([("y" * 19_990 + KEY).encode()], status=400),
        Reply([f"no JSON {KEY}".encode()], stream=False),
        Reply([f"no JSON {KEY}".encode()]),
        Reply([{"error": {"message": f"the key {KEY} is not mine"}}]),
    ],
)
def test_the_key_stands_in_no_error(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_TRIES", 1)
    with endpoint(reply) as far, pytest.raises(LocalAgentError) as raised:
        answer(RemoteEngine(entry(far.url), KEY))
    assert "sk-very" not in str(raised.value)


def test_an_answer_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST", 10_000)
    for delta in ({"content": "a" * 900}, {"reasoning": "b" * 900}, {"tool_calls": [called("read_file", "c" * 900)]}):
        done, _, _ = read(*[chunk(**delta)] * 60, chunk("stop"))
        assert done.stop == "length"
        assert len(done.message.text) + len(done.message.thinking) < 12_000


def test_a_connection_that_ends_is_no_end_of_an_answer() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def once() -> None:
        with listening, listening.accept()[0] as one:
            # What is left unread would end the connection as broken, not as over.
            one.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while one.recv(65536):
                    pass
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            one.sendall(head + b"data: " + json.dumps(chunk(content="Do not")).encode() + b"\n\n")

    threading.Thread(target=once, daemon=True).start()
    done, _ = answer(RemoteEngine(entry(f"http://127.0.0.1:{listening.getsockname()[1]}/v1"), ""))
    assert (done.message.text, done.stop) == ("Do not", "length")
    assert read(chunk(content="All of it."))[0].stop == "end"


def test_a_sign_of_life_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_QUIET_S", 0.3)
    for empty in (chunk(), {"choices": []}, {"usage": {"prompt_tokens": 1}}, chunk(role="assistant", content="")):
        began = time.monotonic()
        with endpoint(Reply([empty] * 100, pause=0.05)) as far, pytest.raises(EngineError, match="nothing of an answer"):
            answer(RemoteEngine(entry(far.url), ""))
        assert time.monotonic() - began < 2


def test_a_flood_of_pieces_takes_no_time() -> None:
    began, one = time.monotonic(), reading.Reading(frozenset())
    for number in range(6000):
        list(one.feed(chunk(reasoning_details=[{"index": number, "type": "t", "text": "x"}])))
    for number in range(5000):
        list(one.feed(chunk(tool_calls=[called(f"t{number}", "{}", number)])))
    assert len(one.said.details) <= 2000 and len(one.calls()[0]) == 64 and time.monotonic() - began < 2


def test_half_a_character_stops_nothing() -> None:
    done, _, _ = read(chunk(content="a\ud800b"), chunk(reasoning="\udc00"), chunk("stop"))
    assert done.message.text == "a\ufffdb"
    done.message.text.encode()
    with endpoint(Reply([chunk(content="ok"), chunk("stop")])) as far:
        again, _ = answer(RemoteEngine(entry(far.url), ""), [Message("user", (Text("half \ud800"),))])
    assert again.message.text == "ok" and far.asked[0]["messages"][0]["content"] == "half \ud800"


@pytest.mark.parametrize("data", [b"[" * 200_000, b"9" * 5000, b"\xff\xfe"])
def test_broken_lists_of_models_are_empty_ones(data: bytes) -> None:
    async def models(url: str) -> Any:
        one = RemoteEngine(entry(url), "")
        try:
            return await one.models()
        finally:
            await one.close()

    with endpoint(Reply([data], stream=False)) as far:
        assert asyncio.run(models(far.url)) == []


def test_what_goes_in_the_clear_is_said() -> None:
    assert "in the clear" in keys.leaves(entry("http://far.example/v1"))
    assert "in the clear" not in keys.leaves(entry("https://far.example/v1"))
    for here in ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:8/v1"):
        assert keys.leaves(entry(here)) == ""
    for away in ("localhost@evil.example", "127.0.0.1.evil.example", "localhost.evil:1", "127.0.0.1:1@evil"):
        assert keys.leaves(entry(f"http://{away}/v1"))
