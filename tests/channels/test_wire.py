"""The HTTP that all channels share: what is called lost, what failed, and that no secret gets out."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import shutil
import ssl
import subprocess
import time

import pytest

from localagent.channels.judging import Secret, lost, refused
from localagent.channels.wire import Backoff, Lost, Reply, TooLarge, Wire, address
from localagent.errors import ChannelError
from tests.channels.web import Answer, Asked, Drop, closed_port, run, until, web

SECRET = "s3cr3t-0123456789"


async def _sign(path: str) -> tuple[str, dict[str, str]]:
    return f"/bot{SECRET}{path}", {"Authorization": f"Bearer {SECRET}"}


def _outcome(handler, **asked):
    """How an attempt to post ended: the word for it."""

    async def go():
        async with web(handler) as server:
            try:
                reply = await Wire(server.url, _sign).ask("POST", "/x", **({"json": {"a": 1}} | asked))
            except Lost as error:
                return lost(error)
            return reply if reply.ok else refused(reply, "h")

    return run(go())


async def _fine(_: Asked) -> Answer:
    return Answer({"ok": True})


def test_the_secret_is_on_the_line_and_nowhere_else():
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    before = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)

    async def go():
        async with web(_fine) as server:
            wire = Wire(server.url, _sign)
            await wire.ask("POST", "/x", json={})
            assert server.asked[0].path == f"/bot{SECRET}/x"
            assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
            server.handler = Drop()
            with pytest.raises(Lost) as caught:
                await wire.ask("POST", "/x", json={})
            error = caught.value
            while error is not None:
                assert SECRET not in f"{error} {error!r} {getattr(getattr(error, '_request', None), 'url', '')}"
                error = error.__cause__ or error.__context__

    try:
        run(go())
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(before)
    assert "HTTP Request" in text.getvalue() and SECRET not in text.getvalue()


def test_an_answer_is_read_whole():
    reply = _outcome(_fine)
    assert isinstance(reply, Reply) and reply.json() == {"ok": True}


def test_a_port_where_nobody_listens_has_certainly_got_nothing():
    async def go():
        try:
            await Wire(f"http://127.0.0.1:{await closed_port()}", _sign).ask("POST", "/", json={})
        except Lost as error:
            return lost(error)

    sent = run(go())
    assert (sent.state, sent.again) == ("failed", True)


def test_a_line_dropped_after_the_request_leaves_it_unconfirmed():
    sent = _outcome(Drop())
    assert (sent.state, sent.again) == ("unconfirmed", False)


def test_a_line_dropped_in_the_middle_of_a_large_body_has_failed():
    sent = _outcome(Drop("head"), json={"text": "x" * (32 << 20)})
    # One piece of JSON is handed over at once, so nobody can say.
    assert sent.state == "unconfirmed"
    sent = _outcome(Drop("head"), json=None, data={"a": "1"}, files={"f": ("n", io.BytesIO(bytes(32 << 20)), "a/b")})
    assert (sent.state, sent.again) == ("failed", True)


def test_an_answer_too_late_is_unconfirmed():
    async def late(_):
        return Answer({}, late=5)

    started = time.monotonic()
    assert _outcome(late, wait=0.2).state == "unconfirmed"
    assert time.monotonic() - started < 3


def test_an_answer_in_drops_does_not_hold_us_for_ever(monkeypatch):
    monkeypatch.setattr("localagent.channels.wire.CONNECT_S", 0.3)

    async def go():
        async def dripping(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(100):
                writer.write(b"x")
                await asyncio.sleep(0.05)

        server = await asyncio.start_server(dripping, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(Lost) as caught:
            await Wire(url, _sign).ask("GET", "/", wait=0.2)
        server.close()
        assert caught.value.whole and time.monotonic() - started < 3

    run(go())


def test_a_broken_or_packed_or_huge_answer_is_not_taken():
    async def broken(_):
        return Answer({"ok": True}, cut=3)

    async def packed(_):
        return Answer(gzip.compress(bytes(1 << 20)), headers={"Content-Encoding": "gzip"})

    async def huge(_):
        return Answer(b"x" * 100_000)

    assert _outcome(broken).state == "unconfirmed"
    assert _outcome(packed).state == "unconfirmed"
    assert "more than 50,000 bytes" in _outcome(huge, limit=50_000).detail

    async def go():
        async with web(huge) as server:
            await Wire(server.url, _sign).ask("GET", "/", limit=10)

    with pytest.raises(TooLarge):
        run(go())


def test_redirects_are_not_followed():
    async def go(status):
        async with web(_fine) as other:

            async def elsewhere(_):
                return Answer({}, status, {"Location": f"{other.url}/taken"})

            async with web(elsewhere) as server:
                reply = await Wire(server.url, _sign).ask("POST", "/x", json={})
            return refused(reply, "h"), other.asked

    for status, state in ((301, "failed"), (302, "unconfirmed"), (303, "unconfirmed"), (307, "failed"), (308, "failed")):
        sent, taken = run(go(status))
        assert (sent.state, taken) == (state, [])


@pytest.mark.parametrize(
    ("status", "headers", "state", "again"),
    [
        (400, {}, "failed", False),
        (401, {}, "failed", False),
        (404, {}, "failed", False),
        (408, {}, "failed", True),
        (413, {}, "failed", False),
        (429, {"retry-after": "7"}, "failed", True),
        (500, {}, "unconfirmed", False),
        (502, {}, "unconfirmed", False),
        (503, {"retry-after": "7"}, "unconfirmed", False),
        (504, {}, "unconfirmed", False),
        (199, {}, "unconfirmed", False),
    ],
)
def test_what_a_status_means_for_a_message(status, headers, state, again):
    sent = refused(Reply(status, headers, b""), "example.org", "why \x1b[31m")
    assert (sent.state, sent.again) == (state, again)
    assert "\x1b" not in sent.detail and str(status) in sent.detail
    assert ("7 s" in sent.detail) == (status == 429)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "ftp://example.org",
        "https://",
        "example.org",
        "https://me:pw@example.org",
        "http://127.0.0.1.example.org",
        "https://example.org:port",
        "https://exam ple.org",
        "https://example.org/#x",
        "http://[::2]",
        "",
    ],
)
def test_addresses_that_are_refused(url):
    with pytest.raises(ChannelError) as caught:
        address(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://example.org/", "http://127.0.0.1:80", "http://localhost:1/x", "http://[::1]:8"])
def test_addresses_that_may_be_used(url):
    assert address(url) == url.rstrip("/")


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    pem = tmp_path / "own.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", pem, "-out", tmp_path / "c.pem"]
    subprocess.run([openssl, "req", *kind, *named], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "c.pem").read_bytes())

    async def go():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)
        taken = []

        async def serve(reader, writer):
            taken.append(await reader.read(10))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(Lost) as caught:
            await Wire(url, _sign).ask("POST", "/", json={})
        server.close()
        assert not caught.value.whole and not taken and "certificate" in str(caught.value).lower()

    run(go())


def test_a_proxy_of_the_environment_is_used_but_never_for_this_machine(monkeypatch):
    from localagent.channels.wire import _proxy

    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert _proxy("https://example.org", "example.org") == "http://proxy:3128"
    assert _proxy("https://inside.example", "inside.example") is None
    assert _proxy("https://localhost:1", "localhost") is None
    monkeypatch.setenv("https_proxy", "socks9://proxy:3128")
    with pytest.raises(ChannelError, match="proxy"):
        run(Wire("https://example.org", _sign).ask("GET", "/"))


def test_a_cancelled_request_ends_at_once_and_closes_its_line():
    async def never(_):
        await asyncio.sleep(60)

    async def go():
        async with web(never) as server:
            task = asyncio.create_task(Wire(server.url, _sign).ask("POST", "/x", json={}))
            await until(lambda: server.asked)
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < 0.5

    run(go())


def test_a_secret_is_asked_for_once_and_may_be_waited_for():
    asked = []

    async def slow():
        asked.append(1)
        return " token \n"

    async def go():
        secret = Secret(slow, "token")
        assert await secret.get() == await secret.get() == "token"
        assert secret.scrub("the token is") == "the [secret] is"
        assert await Secret(lambda: "", "key", optional=True).get() == ""
        for bad in ("", "two words", "line\nbreak", "ä"):
            with pytest.raises(ChannelError):
                await Secret(lambda bad=bad: bad, "token").get()

    run(go())
    assert asked == [1]


def test_waits_grow_and_keep_what_the_server_asks(monkeypatch):
    waits: list[float] = []

    async def sleep(seconds):
        waits.append(seconds)

    async def go():
        backoff = Backoff()
        for _ in range(12):
            await backoff.wait()
        backoff.fine()
        await backoff.wait(30)

    real = asyncio.sleep
    monkeypatch.setattr("localagent.channels.wire.asyncio.sleep", sleep)
    asyncio.run(go())
    monkeypatch.setattr("localagent.channels.wire.asyncio.sleep", real)
    assert waits[0] <= 1 and waits[5] >= 16 and max(waits[:12]) <= 120 and 30.5 <= waits[12] <= 31
