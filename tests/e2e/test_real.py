"""The whole program with real small models: the command line as a person uses it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent import wiring
from localagent.agent import context
from localagent.cli import Exit
from localagent.engine import dialects
from localagent.engine.base import Template
from localagent.values import Message, Text, ToolSpec
from tests.e2e.support import Cli, Ran, ended, interrupt, running, transcript, until

STARTER = os.environ.get("LOCALAGENT_TEST_STARTER", "")
TINY = os.environ.get("LOCALAGENT_TEST_TINY", "")
FIXED_TOKENS = 1500
STORY = "Tell me a very long story about a fox and a crow. Write at least two thousand words."

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not STARTER or not TINY, reason="LOCALAGENT_TEST_STARTER and _TINY name no model files"),
]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A user with folders of their own, both models, and an engine that stays warm from test to test."""
    home = tmp_path_factory.mktemp("user")
    runtime = tempfile.mkdtemp(prefix="la-")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCALAGENT_", "XDG_"))}
    made = {f"LOCALAGENT_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    root = str(Path(__file__).resolve().parents[2])
    env = kept | made | {"HOME": str(home), "LOCALAGENT_RUNTIME_DIR": runtime, "PYTHONPATH": root}
    found = Cli(home, env)
    for name, file in (("starter", STARTER), ("tiny", TINY)):
        assert found("model", "pull", name, "--from", file, timeout=200).code == Exit.DONE
    yield found
    found.end()
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def at(user: Cli, tmp_path: Path) -> Iterator[Cli]:
    """The same user in a fresh folder."""
    work = tmp_path / "work"
    work.mkdir()
    here = Cli(work, user.env)
    yield here
    for process in here.started:
        if process.poll() is None:
            process.terminate()
            process.wait(10)


def do(at: Cli, model: str, goal: str, *more: str) -> dict[str, Any]:
    """One `do` that must succeed; its JSON envelope."""
    ran = at("do", "--yes", "--model", model, "--output-format", "json", *more, goal, timeout=300)
    assert ran.code == Exit.DONE, ran
    return json.loads(ran.out)


def engine(at: Cli) -> dict[str, Any]:
    return json.loads(at("engine", "status", "--json").out)


def until_idle(at: Cli, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (state := engine(at)["state"]) != "idle":
        assert time.monotonic() < end, f"the engine is still {state}"
        time.sleep(0.02)


def cancelled(at: Cli, ran: Ran) -> None:
    assert ran.code == Exit.INTERRUPTED and ran.seconds < 1, ran
    until_idle(at, 1.0)
    assert running(str(at.work)) == []
    last = transcript(at.env)[-1]
    assert (last["event"], last["status"]) == ("TurnEnded", "cancelled")


# ---------------------------------------------------------------- the starter


def test_it_writes_a_file_and_takes_it_back(at: Cli) -> None:
    made = do(at, "starter", "Create a file called hello.txt that contains exactly the line: good morning")
    assert (at.work / "hello.txt").read_text().strip() == "good morning"
    assert made["ok"] and made["model"] == "starter" and made["receipts"]
    assert at("undo").code == Exit.DONE
    assert os.listdir(at.work) == []


def test_a_warm_engine_evaluates_only_what_is_new(at: Cli, tmp_path: Path) -> None:
    at("engine", "stop")
    # Without what an earlier engine left on the disk.
    at = Cli(at.work, at.env | {"LOCALAGENT_CACHE_DIR": str(tmp_path / "cache")})
    cold = do(at, "starter", "What is the capital of France? Answer in one word.", "--max-turns", "1")
    warm = do(at, "starter", "What is the capital of Italy? Answer in one word.", "--max-turns", "1")
    assert cold["timings"]["load_ms"] > 0 and warm["timings"]["load_ms"] == 0
    fixed = fixed_tokens(dialects.by_name("coder"), tools(at.work))
    print(
        f"fixed prefix {fixed} tokens; cold {cold['usage']} {cold['timings']}; warm {warm['usage']} {warm['timings']}"
    )
    assert cold["usage"]["cached_tokens"] < fixed <= warm["usage"]["cached_tokens"]
    assert warm["usage"]["input_tokens"] - warm["usage"]["cached_tokens"] < 60
    assert warm["timings"]["prefill_ms"] < cold["timings"]["prefill_ms"] / 3
    assert "Paris" in cold["final"] and "Rome" in warm["final"]
    at("engine", "stop")
    back = do(at, "starter", "What is the capital of Spain? Answer in one word.", "--max-turns", "1")
    assert back["timings"]["load_ms"] > 0 and back["usage"]["cached_tokens"] >= fixed and "Madrid" in back["final"]
    at("engine", "stop")


def test_ctrl_c_in_the_middle_of_a_tool(at: Cli) -> None:
    goal = "Run this command: sleep 61.75"
    process = at.start("do", "--yes", "--model", "starter", "--output-format", "stream-json", goal)
    event = until(process, "ToolStarted")
    end = time.monotonic() + 10
    while not running("sleep 61.75") and time.monotonic() < end:
        time.sleep(0.02)
    assert running("sleep 61.75"), event
    ran = interrupt(process)
    assert running("sleep 61.75") == [] and os.listdir(at.work) == []
    cancelled(at, ran)


# ---------------------------------------------------------------- the prompt


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Any]:
    from localagent.engine.llama import Model

    model = Model(STARTER, vocab_only=True)
    yield model
    model.close()


def tools(work: Path) -> list[ToolSpec]:
    return list(asyncio.run(wiring.registry(work, work)).specs())


def fixed_tokens(dialect: Any, specs: list[ToolSpec], model: Any = None) -> int:
    """Tokens before the words of the first user message: what every conversation begins with."""
    from localagent.engine.llama import Model

    vocabulary = model or Model(STARTER, vocab_only=True)
    mark = "\N{OBJECT REPLACEMENT CHARACTER}"
    messages = [context.system_message(), Message("user", (Text(mark),))]
    count = 0
    for segment in dialect.render(messages, specs, thinking=False):
        text, found, _ = segment.text.partition(mark)
        count += len((vocabulary.template if isinstance(segment, Template) else vocabulary.untrusted)(text))
        if found:
            return count
    raise AssertionError("the user's words are not in the prompt")


@pytest.mark.parametrize("name", ["coder", "hermes", "qwen3", "qwen35"])
def test_the_fixed_prompt_is_short(name: str, vocabulary: Any, tmp_path: Path) -> None:
    dialect, specs = dialects.by_name(name), tools(tmp_path)
    whole = fixed_tokens(dialect, specs, vocabulary)
    without = {s.name: fixed_tokens(dialect, [o for o in specs if o is not s], vocabulary) for s in specs}
    parts = {tool: whole - rest for tool, rest in without.items()}
    print(f"{name}: {whole} tokens; without any tool {fixed_tokens(dialect, [], vocabulary)}; {parts}")
    assert whole <= FIXED_TOKENS
    assert len(specs) <= 12


# ---------------------------------------------------------------- the tiny model, where any will do


def test_an_engine_killed_in_the_middle_of_an_answer(at: Cli) -> None:
    process = at.start("do", "--model", "tiny", "--output-format", "stream-json", STORY)
    until(process, "TextDelta")
    pid = engine(at)["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    ran = ended(process, began)
    assert ran.code == Exit.FAILED and ran.seconds < 2
    assert ran.said.startswith("localagent: The engine stopped while answering. Run it again")
    assert len(ran.said.splitlines()) == 1
    assert do(at, "tiny", "What is the capital of France? Answer in one word.", "--max-turns", "1")["final"]
    assert engine(at)["pid"] != pid


def test_ctrl_c_in_the_middle_of_an_answer(at: Cli) -> None:
    process = at.start("do", "--model", "tiny", "--output-format", "stream-json", STORY)
    until(process, "TextDelta")
    cancelled(at, interrupt(process))


def test_two_at_once_on_one_engine(at: Cli) -> None:
    goals = ["What is the capital of France? Answer in one word.", "What is 2 + 2? Answer with the number alone."]
    began = time.monotonic()
    both = [at.start("do", "--model", "tiny", "--max-turns", "1", goal) for goal in goals]
    ran = [ended(one, began, 200) for one in both]
    assert [one.code for one in ran] == [Exit.DONE, Exit.DONE], ran
    assert "Paris" in ran[0].out and "4" in ran[1].out
    assert len([line for line in running("localagent.engine.host") if at.env["LOCALAGENT_RUNTIME_DIR"] in line]) == 1


def test_engine_status_and_stop(at: Cli) -> None:
    do(at, "tiny", "Say hello.", "--max-turns", "1")
    status = engine(at)
    assert status["state"] == "idle" and status["model"].endswith(Path(TINY).name)
    assert re.search(rf"memory +0\.[1-9][0-9]? GiB\n.*{Path(TINY).name}\n", at("engine", "status").out)
    assert "stopped" in at("engine", "stop").out
    end = time.monotonic() + 5
    while running(at.env["LOCALAGENT_RUNTIME_DIR"]):
        assert time.monotonic() < end, "the engine is still running"
        time.sleep(0.05)
    assert "not running" in at("engine", "stop").out
    assert "not running" in at("engine", "status").out
