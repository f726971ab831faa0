"""The whole way: `localagent web`, a real Chromium, the real app, and an engine that says what a script says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from tests.e2e.support import Cli, Host, transcript
from tests.make_gguf import make
from tests.serve.web.browser import PROGRAM, Browser, Tab

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed here")]
ANSWER = "Here you are: 你好 and 🎉, *finished*."


class Web:
    """A running `localagent web` in `cli`'s folder."""

    def __init__(self, cli: Cli) -> None:
        self.process = cli.start("web", "--port", "0", stderr=subprocess.STDOUT)
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"The app is at (http://127\.0\.0\.1:(\d+)/\?token=(\S+))\n", line)
        assert found, line
        self.address, port, self.token = found.groups()
        self.home = f"http://127.0.0.1:{port}/"

    def apps(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    work = tmp_path / "work"
    work.mkdir()
    made = Cli(work, env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3]), "LANG": "C.UTF-8"})
    assert made("config", "set", "model", str(make("tiny-dense", tmp_path / "tiny.gguf"))).code == 0
    yield made
    made.end()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


def test_a_request_is_answered_in_a_browser_and_nothing_comes_from_elsewhere(cli: Cli, browser: Browser) -> None:
    host = Host(ANSWER, ANSWER)
    web = Web(cli)
    try:
        # Who lacks the token sees nothing.
        stranger = httpx2.get(web.home)
        assert stranger.status_code == 403 and "localagent web" in stranger.text
        assert httpx2.get(web.home, headers={"host": "evil.example"}).status_code == 403

        tab = Tab(browser, web.address)
        tab.wait(lambda: "Say what should be done" in tab.screen())
        assert tab.run("location.href") == web.home and web.token not in str(tab.call("Page.getNavigationHistory"))
        assert tab.run("document.cookie") == "" and not cli.env.get("TOKEN")
        (app,) = web.apps()
        assert web.token not in str(app.environ()) and web.token not in str(app.cmdline())

        tab.type("How are you?")
        tab.wait(lambda: "How are you?" in tab.screen())
        tab.press("Enter", 13, "\r")
        tab.wait(lambda: "finished" in tab.screen())
        assert "你好 and 🎉" in tab.screen()

        # A reload finds the same app, drawn whole, and typing goes on.
        tab.call("Page.reload")
        tab.wait(lambda: tab.run("document.readyState") == "complete" and "你好 and 🎉" in tab.screen())
        assert web.apps() == [app]
        wide = tab.run("term.cols")
        tab.resize(700, 500)
        tab.wait(lambda: tab.run("term.cols") < wide)
        # A paste is a paste: its lines are not sent one by one.
        asked = len(host.requests)
        tab.run("term.paste('first\\nsecond')")
        tab.wait(lambda: re.search(r"first[ │]*\n.*second", tab.screen()))
        assert len(host.requests) == asked

        assert {urlsplit(address).netloc for address in browser.requests} == {urlsplit(web.home).netloc}
        complaints = [event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
        assert complaints == []
        assert "How are you?" in str(transcript(cli.env))

        # Ctrl+C ends the server with its apps, and the page says so.
        web.process.send_signal(signal.SIGINT)
        out, _ = web.process.communicate(timeout=20)
        assert web.process.returncode == 130 and "the web server stops. One app ends." in out.decode()
        assert not app.is_running()
        tab.wait(lambda: "The server has been stopped" in tab.text())
    finally:
        host.close()


def test_a_killed_server_takes_its_apps_with_it(cli: Cli, browser: Browser) -> None:
    web = Web(cli)
    tab = Tab(browser, web.address)
    tab.wait(lambda: "Say what should be done" in tab.screen())
    tree = [app for child in web.apps() for app in (child, *child.children(recursive=True))]
    web.process.kill()
    web.process.wait(10)
    ours = [one for one in tree if "localagent.engine.host" not in " ".join(_line(one))]
    until = time.monotonic() + 15
    while time.monotonic() < until and any(one.is_running() and one.status() != "zombie" for one in ours):
        time.sleep(0.05)
    assert [_line(one) for one in ours if one.is_running() and one.status() != "zombie"] == []
    tab.wait(lambda: "No connection" in tab.text())


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
