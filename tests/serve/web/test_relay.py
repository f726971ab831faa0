"""One tab and its app: a real program in a real terminal behind the websocket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from localagent.serve.web import relay
from tests.serve.web.support import SCREEN, TAB, Site

FLOOD = """
import os, signal, sys, tty
tty.setraw(0)
again = []
signal.signal(signal.SIGWINCH, lambda *_: again.append(1))
while len(again) < 4:
    os.write(1, b"x" * 65536)
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"whole picture"))
os.write(1, b"whole picture")
os.read(0, 1)
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"here")
time.sleep(60)
"""


@contextlib.asynccontextmanager
async def site(code: str = SCREEN, **limits: Any) -> AsyncIterator[Site]:
    made = Site(code, **limits)
    try:
        yield made
    finally:
        await asyncio.wait_for(made.apps.close(), 20)


def test_what_is_typed_reaches_the_app_and_what_it_draws_comes_back() -> None:
    async def whole() -> None:
        async with site() as one:
            tab = one.tab()
            tab.say(size=[80, 24])
            await tab.shows(b"[80x24]")
            tab.type("你好 🎉".encode())
            await tab.shows("<你好 🎉>".encode())
            tab.say(size=[100, 30])
            await tab.shows(b"[100x30]")
            tab.type(b"q")
            await tab.until(lambda: tab.closed)
            assert tab.told == [{"begin": True}, {"ended": 7}] and tab.closed == 1000
            assert len(one.apps) == 0

    asyncio.run(whole())


def test_a_reload_finds_the_same_app_again_in_the_same_modes() -> None:
    async def whole() -> None:
        async with site() as one:
            first = one.tab()
            first.say(size=[80, 24])
            await first.shows(b"[80x24]")
            app = one.apps.open(TAB, (80, 24))
            await first.leave()
            second = one.tab()
            second.say(size=[81, 25])
            # The whole screen is drawn again, in the modes that only its beginning had set.
            await second.shows(b"[81x25]")
            assert second.told == [{"begin": True}] and second.drawn.startswith(b"\x1b[?1049h\x1b[?1006h")
            assert one.apps.open(TAB, (1, 1)) is app and len(one.apps) == 1

    asyncio.run(whole())


def test_a_second_tab_of_the_same_name_takes_the_app_over() -> None:
    async def whole() -> None:
        async with site(grace_s=0.05) as one:
            first, second = one.tab(), one.tab()
            first.say(size=[80, 24])
            await first.shows(b"[80x24]")
            second.say(size=[80, 24])
            await first.until(lambda: first.closed)
            assert first.told[-1] == {"taken": True}
            await asyncio.sleep(0.2)
            second.type(b"still here")
            await second.shows(b"<still here>")

    asyncio.run(whole())


def test_an_app_ends_some_time_after_its_tab() -> None:
    async def whole() -> None:
        async with site(grace_s=0.3) as one:
            tab = one.tab()
            tab.say(size=[80, 24])
            await tab.shows(b"[80x24]")
            app = one.apps.open(TAB, (80, 24))
            await tab.leave()
            await asyncio.sleep(0.1)
            assert psutil.pid_exists(app.terminal.pid)
            await asyncio.wait_for(app.gone.wait(), 5)
            assert len(one.apps) == 0 and not psutil.pid_exists(app.terminal.pid)

    asyncio.run(whole())


def test_there_are_only_so_many_apps() -> None:
    async def whole() -> None:
        async with site(most=1) as one:
            first, second = one.tab(), one.tab("f" * 32)
            first.say(size=[80, 24])
            await first.shows(b"[80x24]")
            second.say(size=[80, 24])
            await second.until(lambda: second.closed)
            assert "1 apps are open" in second.told[0]["refused"] and len(one.apps) == 1

    asyncio.run(whole())


def test_a_stopping_server_ends_its_apps_and_says_so() -> None:
    async def whole() -> None:
        async with site() as one:
            tab = one.tab()
            tab.say(size=[80, 24])
            await tab.shows(b"[80x24]")
            await asyncio.wait_for(one.apps.close(), 5)
            await tab.until(lambda: tab.closed)
            assert tab.told[-1] == {"stopped": True}
            late = one.tab()
            late.say(size=[80, 24])
            await late.until(lambda: late.closed)
            assert "being stopped" in late.told[0]["refused"]

    asyncio.run(whole())


def test_an_app_that_does_not_leave_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localagent.serve.web.apps._END_S", 0.2)

    async def whole() -> None:
        async with site(STUBBORN) as one:
            tab = one.tab()
            tab.say(size=[80, 24])
            await tab.shows(b"here")
            await asyncio.wait_for(one.apps.close(), 5)

    asyncio.run(whole())


def test_a_browser_that_does_not_read_costs_no_memory_and_stops_nobody() -> None:
    async def whole() -> None:
        async with site(FLOOD) as one:
            tab = one.tab()
            tab.reads = False
            tab.say(size=[80, 24])
            await tab.until(lambda: len(tab.drawn) > 500_000)
            await asyncio.sleep(0.3)
            sent = len(tab.drawn)
            assert sent <= 1 << 20
            # The app went on writing all that time; when the browser has read, it gets one whole picture.
            tab.say(read=sent)
            tab.reads = True
            await tab.shows(b"whole picture")
            assert tab.told.count({"begin": True}) >= 2
            tab.type(b"q")
            await tab.until(lambda: tab.closed)

    asyncio.run(whole())


def test_a_large_paste_arrives_whole() -> None:
    count = (
        "import os, tty\ntty.setraw(0)\nos.write(1, b'ready')\nleft = 2_000_000\n"
        "while left:\n    left -= len(os.read(0, 65536))\nos.write(1, b'all of it')\nos.read(0, 1)"
    )

    async def whole() -> None:
        async with site(count) as one:
            tab = one.tab()
            tab.say(size=[80, 24])
            await tab.shows(b"ready")
            for _ in range(125):
                tab.type(b"v" * 16000)
            await tab.shows(b"all of it")

    asyncio.run(whole())


@pytest.mark.parametrize(
    "wrong",
    ["", "no JSON", "[]", "[" * 9999, "{}", '{"size": 1}', '{"size": [1]}', '{"size": ["80", 24]}', '{"read": -1}',
     '{"read": true}', '{"read": 1.5}', '{"size": [80, 24.5]}', '{"size": [true, true, true]}'],
)  # fmt: skip
def test_what_no_page_of_ours_says_ends_the_connection(wrong: str) -> None:
    async def whole() -> None:
        async with site() as one:
            first = one.tab()
            first.say(wrong)
            await first.until(lambda: first.closed)
            assert first.closed == relay._NO_SUCH and len(one.apps) == 0

    asyncio.run(whole())


def test_a_wrong_message_later_ends_the_connection_and_not_the_app() -> None:
    async def whole() -> None:
        async with site() as one:
            tab = one.tab()
            tab.say(size=[80, 24])
            await tab.shows(b"[80x24]")
            tab.say(read=-5)
            await tab.until(lambda: tab.closed)
            assert tab.closed == relay._NO_SUCH and len(one.apps) == 1

    asyncio.run(whole())


def test_sizes_are_kept_sensible() -> None:
    async def whole() -> None:
        async with site() as one:
            tab = one.tab()
            tab.say(size=[-5, 10**12])
            await tab.shows(b"[20x300]")

    asyncio.run(whole())


def test_the_environment_of_an_app_holds_no_secret_of_the_server() -> None:
    from localagent.serve.web import server

    made = server.Server(server.program(os.getcwd()), 0)  # type: ignore[arg-type]
    try:
        secrets = {made._doors.token, made._doors.key, made._doors._cookie}
        said = " ".join([*made._what.argv, *made._what.env, *made._what.env.values()])
        assert not any(secret in said for secret in secrets)
        assert made.address == f"http://127.0.0.1:{made.port}/?token={made._doors.token}"
        assert {one.getsockname()[0] for one in made._sockets} <= {"127.0.0.1", "::1"}
    finally:
        made.close()
