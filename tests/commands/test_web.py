"""`localagent web`: what it says, and how it hands its address to a browser."""

from __future__ import annotations

import argparse
import stat
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from localagent import cli
from localagent.commands import web

ADDRESS = "http://127.0.0.1:1/?token=secret"


class Server:
    """Is ready at once, and is stopped while two apps run."""

    address = ADDRESS

    def run(self, ready: Callable[[], None], stopping: Callable[[int], None]) -> None:
        ready()
        self.between()
        stopping(2)

    def between(self) -> None:
        return


def arguments(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    web.configure(parser)
    return parser.parse_args(argv)


def test_the_address_alone_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int | None] = []
    assert web.run(arguments("--port", "8500"), lambda port: asked.append(port) or Server()) == 0  # type: ignore
    said = capsys.readouterr()
    assert said.out == f"The app is at {ADDRESS}\n" and asked == [8500]
    assert "for you alone" in said.err and "2 apps end" in said.err and "localagent resume" in said.err


def test_the_browser_gets_a_file_that_nobody_else_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    there = threading.Event()

    def open_it(address: str) -> bool:
        path = Path(unquote(urlsplit(address).path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and f"url={ADDRESS}" in path.read_text()
        opened.append(address)
        there.set()
        return True

    class Waiting(Server):
        def between(self) -> None:
            assert there.wait(10)

    monkeypatch.setattr(webbrowser, "open", open_it)
    monkeypatch.setenv("DISPLAY", ":9")
    assert web.run(arguments("--open"), lambda port: Waiting()) == 0  # type: ignore[arg-type,return-value]
    assert opened and "secret" not in opened[0]
    assert not Path(unquote(urlsplit(opened[0]).path)).exists()


def test_without_a_desktop_no_browser_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(web.sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("it was opened"))
    assert web.run(arguments("--open"), lambda port: Server()) == 0  # type: ignore[arg-type,return-value]
    assert "no desktop" in capsys.readouterr().err
    assert not arguments("--no-open").open and not arguments().open


@pytest.mark.parametrize("port", ["x", "-1", "65536", ""])
def test_a_port_is_a_number(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["web", f"--port={port}"]) == 3
    assert "is not a port" in capsys.readouterr().err


def test_the_help_says_what_the_address_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["web", "--help"]) == 0
    said = capsys.readouterr().out
    assert "holds a secret" in said and "--no-open" in said
