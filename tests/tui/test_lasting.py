"""What happens to the app from outside, and by mistakes of ours: through a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from localagent.engine import local
from tests import make_gguf

from .terminal import Terminal

pytestmark = pytest.mark.slow

READY = "hat should be done?"


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _transcript() -> str:
    (found,) = (Path.home() / "state" / "sessions").glob("*/transcript.jsonl")
    return found.read_text()


def _alive(mark: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    return True
            except OSError:
                pass
    return False


def test_suspended_and_resumed_and_resized_it_goes_on() -> None:
    with Terminal("screen") as app:
        app.until(READY)
        app.type("hello\r")
        app.until("Second line.")
        app.type("\x1a")
        app.read_for(0.5)
        assert _stopped(app.process.pid)
        assert "\x1b[?1049l" in app.seen[-100:]
        at = len(app.seen)
        app.skip()
        app.process.send_signal(signal.SIGCONT)
        app.until("Second line.")
        assert "\x1b[?1049h" in app.seen[at:]
        dice = random.Random(3)
        for _ in range(80):
            app.resize(dice.randrange(1, 200), dice.randrange(1, 60))
            if dice.random() < 0.3:
                app.read_for(0.01)
        app.resize(90, 25)
        app.skip()
        # Bytes that are no text are nobody's end.
        os.write(app._here, b"\xff\xfe")
        app.read_for(0.2)
        app.type("die\r")
        app.until("The engine stopped while answering.")
        app.type("write\r")
        app.until("Allow this?")
        app.read_for(0.7)
        app.type("\x1b")
        app.until("Done.")
        app.type("\x03\x03")
        assert app.ends() == 0
        assert app.seen.count("\x1b[?1049h") == app.seen.count("\x1b[?1049l") == 2


def test_a_terminal_that_goes_stops_what_runs_and_keeps_the_conversation() -> None:
    mark = f"sleep 54{os.getpid()}"
    with Terminal("screen") as app:
        app.until(READY)
        app.type(f"!exec {mark}\r")
        until = time.monotonic() + 10
        while not _alive(mark.replace(" ", "\0")) and time.monotonic() < until:
            app.read_for(0.05)
        assert _alive(mark.replace(" ", "\0"))
        app.type("forever\r")
        app.until("It begins")
        app.hang_up()
        assert app.ends() == 0
    assert not _alive(mark.replace(" ", "\0"))
    last = _transcript().splitlines()[-1]
    assert '"cancelled"' in last


def test_a_mistake_in_a_widget_loses_nothing_and_says_how_to_go_on() -> None:
    with Terminal("broken") as app:
        app.until(READY)
        app.type("boom\r")
        app.until("The conversation is kept in")
        app.until("localagent resume ")
        app.until("it cannot be drawn")
        assert app.ends() == 1
        assert "\x1b[?1049l" in app.seen
    assert "BOOM" in _transcript()


def test_two_in_two_folders_share_one_engine(tmp_path: Path) -> None:
    model = str(make_gguf.make("tiny-dense", tmp_path / "tiny.gguf"))
    places = [tmp_path / "here", tmp_path / "there"]
    for place in places:
        place.mkdir()
    try:
        with (
            Terminal("screen", folder=places[0], LOCALAGENT_TEST_GGUF=model) as one,
            Terminal("plain", "dumb", folder=places[1], LOCALAGENT_TEST_GGUF=model) as other,
        ):
            one.until(READY)
            other.until("ask> ")
            one.type("hi\r")
            other.type("hi\n")
            # What it says is noise and long; both requests stand in the queue of one engine meanwhile.
            until, shared = time.monotonic() + 30, (0, 0)
            while shared != (2, 1) and time.monotonic() < until:
                one.read_for(0.05)
                told = asyncio.run(local.status()) or {"queue": [], "models": []}
                shared = (len(told["queue"]), len(told["models"]))
            assert shared == (2, 1)
            other.type("\x03")
            other.until("Interrupted.")
            other.until("ask> ")
            other.type("\x04")
            assert other.ends() == 0
            assert asyncio.run(local.status())
            one.type("\x1b")
            one.until("Interrupted.")
            one.type("\x03\x03")
            assert one.ends() == 0
    finally:
        asyncio.run(local.stop())
