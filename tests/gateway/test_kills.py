"""The gateway as a process, killed at any moment: nothing is run twice, nothing is lost without a word, no yes outlives it."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localagent.store import channels, credentials
from localagent.store.gateway import Gate, Grants
from localagent.store.outbox import Outbox
from tests.channels.bot_api import TOKEN, BotApi
from tests.channels.web import web

KILLS = int(os.environ.get("LOCALAGENT_GATEWAY_KILLS") or (10 if os.environ.get("LOCALAGENT_TEST_LONG") else 2))
EACH = 4
GATEWAY = """
import asyncio, os, re, sys
from localagent import cli, wiring
from localagent.events import MessageDone, TextDelta
from localagent.values import Message, Text, ToolCall, Usage

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Engine:
    model = "scripted"

    async def stream(self, messages, specs, options):
        goal = [m.parts[0].text for m in messages if m.role == "user"][-1]
        if messages[-1].role != "tool":
            os.write(log, (goal + "\\n").encode())
        await asyncio.sleep(0.03)
        if goal.startswith("write") and messages[-1].role != "tool":
            made = ToolCall("", "write_file", {"path": goal.replace(" ", "-") + ".txt", "content": "x"})
            yield MessageDone(Message("assistant", calls=(made,)), Usage(1, 1, 1))
        else:
            yield TextDelta("Answer to " + goal + ".")
            yield MessageDone(Message("assistant", (Text("Answer to " + goal + "."),)), Usage(1, 1, 1))

    async def prepare(self, *args): ...

    async def close(self): ...

wiring.chosen_engine = lambda *args: Engine()
sys.exit(cli.main(["gateway"]))
"""


@contextmanager
def _telegram() -> Iterator[tuple[BotApi, str]]:
    """The service in a thread of its own, for as long as the block."""
    api, up = BotApi(), threading.Event()
    place: list[Any] = []

    async def serve() -> None:
        end = asyncio.Event()
        async with web(api) as server:
            place.extend((server.url, asyncio.get_running_loop(), end.set))
            up.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert up.wait(10)
    url, loop, stop = place
    yield api, url
    loop.call_soon_threadsafe(stop)
    thread.join(10)


class Runs:
    """One gateway after the other, on the same disk."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-c", GATEWAY, str(self.log)]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if "Ready." in line:
                return
        raise AssertionError("".join(lines))

    def end(self, kill: bool = True) -> None:
        assert self.process is not None
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()


def _wait(condition, told=lambda: "", seconds: float = 30.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, told()
        time.sleep(0.02)
    return found


def test_killed_at_random_moments(tmp_path):
    runs, chance = Runs(tmp_path / "log"), random.Random(7)
    work = tmp_path / "work"
    work.mkdir()
    with _telegram() as (api, url):
        channels.add("bot", "telegram", {"server": url})
        credentials.store("bot", "token", TOKEN)

        def texts() -> list[str]:
            return [one.get("text", "") for one in list(api.sent)]

        def say(text: str) -> int:
            return api.say(text, date=int(time.time())) - 900

        runs.start()
        _wait(lambda: _asks(api))
        say(f"pair {Gate().offer('bot', Grants(str(work)))}")
        _wait(lambda: any("Paired." in text for text in texts()), texts)
        goals: dict[str, int] = {}
        used: set[str] = set()
        for number in range(KILLS):
            for n in range(EACH):
                goal = f"{'write' if n == 2 else 'tell'} {number}x{n}"
                goals[goal] = say(goal)
            say("/status")
            end, answers = time.monotonic() + chance.uniform(0.05, 0.9), chance.random() < 0.5
            while time.monotonic() < end:
                time.sleep(0.02)
                if answers:
                    _denied(api, say, used)
            runs.end()
            # Whoever says yes now says it to nobody: the question died with its process.
            for code in set(re.findall(r"`yes ([A-Z0-9]{6})`", "\n".join(texts()))) - used:
                used.add(code)
                say(f"yes {code}")
            runs.start()
        _wait(lambda: not (Gate().tasks("waiting") or Gate().tasks("running")) or _denied(api, say, used), texts, 60)
        _wait(lambda: not Outbox().entries(("held", "sending", "draft")), texts)
        say("write last")
        last = _wait(lambda: [c for c in re.findall(r"`yes ([A-Z0-9]{6})`", "\n".join(texts())) if c not in used], texts)[-1]
        say(f"yes {last}")
        _wait(lambda: any("Answer to write last." in text for text in texts()), texts)
        runs.end(kill=False)
        full = {one["reply_parameters"]["message_id"] for one in api.sent if "was not taken" in one.get("text", "")}
        (tmp_path / "told").write_text("\n---\n".join(texts()))
    _check({goal for goal, id in goals.items() if id not in full}, texts(), runs.log.read_text().splitlines(), work)


def _asks(api: BotApi) -> bool:
    """Whether the service was asked from a place, so that what comes now is new."""
    from localagent.store.inbox import Inbox

    with Inbox() as inbox:
        return bool(inbox.cursor("bot"))


def _denied(api: BotApi, say, used: set[str]) -> bool:
    """Says no to a question that a goal has asked which waited for the next start. Always False: there may be more."""
    asked = [text for text in (one.get("text", "") for one in list(api.sent)) if "Allow this?" in text]
    if asked and (code := re.findall(r"`yes ([A-Z0-9]{6})`", asked[-1])[0]) not in used:
        used.add(code)
        say("no")
    return False


def _check(goals: set[str], told: list[str], asked: list[str], work: Path) -> None:
    # One run of each at the most, and of none of the rest.
    # (A "no" that came too late is a request of its own.)
    counts = Counter(goal for goal in asked if goal != "no")
    assert max(counts.values()) == 1 and set(counts) <= {*goals, "write last"}, counts
    unsure = [text for text in told if "not certain" in text]
    ends: Counter[str] = Counter()
    for goal in goals:
        answered = told.count(f"Answer to {goal}.") + sum(text.startswith(f"Answer to {goal}.\n") for text in told)
        cut = sum(text.startswith(f"localagent ended while it worked on “{goal}”") for text in told)
        lost = sum(f"begins “Answer to {goal}." in text or f"worked on “{goal}”" in text for text in unsure)
        assert answered <= 1 and cut <= 1 and answered + cut + lost >= 1, (goal, told)
        assert answered + cut <= 1, (goal, told)
        ends["answered" if answered else "cut" if cut else "unsure"] += 1
    # No file of a goal whose question had died: only the last one, which was agreed to in time.
    assert [one.name for one in work.iterdir()] == ["write-last.txt"]
    print(ends)
