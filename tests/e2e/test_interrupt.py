"""Ctrl+C, and an engine that breaks off: at once, nothing left running, nothing half written."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import pytest

from localagent.cli import Exit
from tests.e2e.support import Cli, Host, ended, interrupt, running, tool_call, transcript, until

pytestmark = pytest.mark.slow

Hosts = Callable[..., Host]
Say = Callable[[str], None]


def endless(say: Say) -> None:
    for _ in range(600):
        say("word ")
        time.sleep(0.05)


def breaks_off(say: Say) -> None:
    say("I will")
    raise ConnectionResetError


def test_ctrl_c_in_the_middle_of_an_answer(cli: Cli, gguf: str, host: Hosts) -> None:
    engine = host(endless)
    process = cli.start("do", "--model", gguf, "--output-format", "stream-json", "tell me a story")
    until(process, "TextDelta")
    ran = interrupt(process)
    assert ran.code == Exit.INTERRUPTED and ran.seconds < 1 and "interrupted" in ran.said
    assert engine.left.wait(1), "the engine was not freed"
    assert transcript()[-1] | {"event": "TurnEnded", "status": "cancelled"} == transcript()[-1]


def test_ctrl_c_before_the_engine_says_anything(cli: Cli, gguf: str, host: Hosts) -> None:
    engine = host(lambda say: time.sleep(3))
    process = cli.start("do", "--model", gguf, "tell me a story")
    assert engine.asked.wait(20)
    ran = interrupt(process)
    assert ran.code == Exit.INTERRUPTED and ran.seconds < 1 and ran.out == ""
    assert transcript()[-1]["status"] == "cancelled"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_tool(number: int, cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("run", command="touch half; (sleep 61.25 &); echo begun; sleep 61.25; echo over"), "Done.")
    process = cli.start("do", "--yes", "--model", gguf, "--output-format", "stream-json", "wait")
    until(process, "ToolOutput")
    assert running("sleep 61.25")
    if number == signal.SIGINT:
        ran = interrupt(process)
    else:
        began = time.monotonic()
        process.send_signal(number)
        ran = ended(process, began)
    assert ran.code == Exit.INTERRUPTED and ran.seconds < 1
    assert running("sleep 61.25") == [] and running(str(cli.work)) == []
    assert os.listdir(cli.work) == []
    events = transcript()
    assert events[-1] | {"event": "TurnEnded", "status": "cancelled"} == events[-1]
    assert list((cli.cache / "scratch").iterdir()) == []


def test_an_interrupted_session_can_be_gone_on_with(cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("run", command="sleep 61.5"), "I waited.")
    process = cli.start("do", "--yes", "--model", gguf, "--output-format", "stream-json", "wait")
    until(process, "ToolStarted")
    interrupt(process)
    ran = cli("do", "--yes", "--model", gguf, "--resume", "last", "--output-format", "json", "go on")
    assert ran.code == Exit.DONE and json.loads(ran.out)["final"] == "I waited."


def test_an_engine_that_breaks_off(cli: Cli, gguf: str, host: Hosts) -> None:
    engine = host(breaks_off)
    process = cli.start("do", "--model", gguf, "hello")
    assert engine.asked.wait(20)
    ran = ended(process, time.monotonic())
    assert ran.code == Exit.FAILED and ran.out == ""
    assert ran.said.startswith("localagent: The engine stopped while answering. Run it again")
    assert len(ran.said.splitlines()) == 1 and transcript()[-1]["error"]["kind"] == "engine"
    assert cli("do", "--model", gguf, "hello again").out == "All is well.\n"


def test_two_at_once(cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("write_file", path="a.txt", content="x"), tool_call("write_file", path="b.txt", content="x"))
    both = [cli.start("do", "--yes", "--model", gguf, "write a file") for _ in range(2)]
    assert [ended(one, time.monotonic()).code for one in both] == [Exit.DONE, Exit.DONE]
    assert sorted(os.listdir(cli.work)) == ["a.txt", "b.txt"]
