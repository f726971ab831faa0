"""Desktop notifications through programs that write down how they were called, and a real daemon where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent.channels import desktop
from localagent.channels.base import Channel, Receiver
from localagent.errors import ChannelError
from tests.channels.messages import attached, outgoing
from tests.channels.web import run

posix = pytest.mark.skipif(os.name == "nt", reason="programs are shell scripts here")


def _program(folder: Path, name: str, then: str) -> Path:
    log = folder / "called.json"
    made = folder / name
    text = f"import json,os,sys;json.dump([sys.argv[1:],dict(os.environ)],open({str(log)!r},'w'))\n{then}\n"
    made.write_text(f"#!{sys.executable}\n{text}")
    made.chmod(0o755)
    return log


def _send(message, **config):
    return run(desktop.make("c", config, lambda: "").send(message))


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="the program of Linux")
def test_words_are_handed_over_as_words(tmp_path, monkeypatch):
    log = _program(tmp_path, "notify-send", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x")
    monkeypatch.setenv("SECRET_KEY", "no")
    sent = _send(outgoing("me", "<b>1 & 2</b>\n--help", subject="-u\ncritical"))
    assert (sent.state, sent.proof) == ("handed over", "")
    argv, environment = json.loads(log.read_text())
    assert argv == ["--app-name=localagent", "--", "-u critical", "&lt;b&gt;1 &amp; 2&lt;/b&gt;\n--help"]
    assert environment["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/x" and "SECRET_KEY" not in environment
    _send(outgoing("me", "x"), title="Mine")
    assert json.loads(log.read_text())[0][2] == "Mine"


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="the program of Linux")
def test_what_each_failure_is_called(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    sent = _send(outgoing("me", "x"))
    assert sent.state == "failed" and "notify-send is missing" in sent.detail
    _program(tmp_path, "notify-send", "sys.stderr.write('no daemon\\x1b[0m'); sys.exit(1)")
    sent = _send(outgoing("me", "x"))
    assert sent.state == "failed" and "no daemon" in sent.detail and "\x1b" not in sent.detail
    monkeypatch.setattr(desktop, "_WAIT_S", 0.5)
    _program(tmp_path, "notify-send", "import time; time.sleep(30)")
    started = time.monotonic()
    assert _send(outgoing("me", "x")).state == "unconfirmed" and time.monotonic() - started < 5


def test_what_it_does_not_take(tmp_path):
    for message in (
        outgoing("me", attachments=(attached(tmp_path / "a"),)),
        outgoing("me", "x" * 5000),
        outgoing("me", draft=True),
        outgoing("me", "a\0b"),
    ):
        assert _send(message).state == "failed"


def test_on_macos_the_words_are_arguments_of_the_script(tmp_path, monkeypatch):
    _program(tmp_path, "osascript", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    argv = desktop.command("darwin", 'a" & (do shell script "x")', "b")
    assert argv[0] == str(tmp_path / "osascript") and argv[-2:] == ['a" & (do shell script "x")', "b"]
    assert all("shell" not in part for part in argv[:-2])


def test_elsewhere_it_says_that_it_cannot(monkeypatch):
    with pytest.raises(ChannelError, match="Windows"):
        desktop.command("win32", "a", "b")
    monkeypatch.setenv("PATH", "/nonexistent")
    for platform in ("linux", "darwin"):
        with pytest.raises(ChannelError, match="missing"):
            desktop.command(platform, "a", "b")


def test_it_only_sends(tmp_path, monkeypatch):
    made = desktop.make("c", {}, lambda: "")
    assert isinstance(made, Channel) and not isinstance(made, Receiver)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not run(made.probe()).ok


_SESSION = """
import os, subprocess, sys, time
daemon = subprocess.Popen(["dunst", "-conf", "/dev/null"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(1.5)
sys.path.insert(0, sys.argv[1])
import asyncio
from localagent.channels import desktop
from localagent.values import Outgoing
made = desktop.make("c", {}, lambda: "")
print(asyncio.run(made.send(Outgoing("c", "me", "Body <i>& more", subject="The subject"))).state)
time.sleep(0.5)
print(subprocess.run(["dunstctl", "history-pop"]).returncode)
print(subprocess.run(["dunstctl", "count", "displayed"], capture_output=True, text=True).stdout)
subprocess.run(["dunstctl", "close-all"])
time.sleep(0.3)
print(subprocess.run(["dunstctl", "history"], capture_output=True, text=True).stdout)
daemon.terminate()
"""


@pytest.mark.skipif(
    not os.environ.get("LOCALAGENT_TEST_SERVERS") or not all(map(shutil.which, ("dunst", "xvfb-run", "dbus-run-session", "notify-send"))),
    reason="needs LOCALAGENT_TEST_SERVERS, dunst, xvfb, dbus and libnotify-bin",
)
def test_a_real_daemon_shows_the_words(tmp_path):
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "session.py"
    script.write_text(_SESSION)
    argv = ["xvfb-run", "-a", "dbus-run-session", "--", sys.executable, str(script), str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("handed over"), done.stdout + done.stderr
    assert "The subject" in done.stdout and "Body" in done.stdout
