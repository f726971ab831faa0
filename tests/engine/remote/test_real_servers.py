"""Servers that others wrote, on this machine: llama.cpp's `llama-server`, and the server of llama-cpp-python, each with a real small model.

LOCALAGENT_TEST_TINY names the model's file, LOCALAGENT_TEST_LLAMA_SERVER the program, and
LOCALAGENT_TEST_LLAMA_CPP_PYTHON a Python that has `llama-cpp-python[server]`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from localagent.engine.base import Options
from localagent.engine.entry import Entry, Remote
from localagent.engine.remote import RemoteEngine
from localagent.errors import EngineError
from localagent.events import MessageDone, TextDelta
from localagent.values import Message, Text, ToolCall, ToolResult, ToolSpec

TINY = os.environ.get("LOCALAGENT_TEST_TINY", "")
PROGRAM = os.environ.get("LOCALAGENT_TEST_LLAMA_SERVER", "")
PYTHON = os.environ.get("LOCALAGENT_TEST_LLAMA_CPP_PYTHON", "")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
WEATHER = ToolSpec("weather", "The weather of a city.", CITY)
ASKED = [Message("system", (Text("You answer with tools."),)), Message("user", (Text("What is the weather in Rome?"),))]

pytestmark = [pytest.mark.model, pytest.mark.skipif(not TINY, reason="LOCALAGENT_TEST_TINY names no model file")]


def _commands(port: int) -> dict[str, list[str]]:
    found = {}
    if PROGRAM:
        found["llama-server"] = [PROGRAM, "-m", TINY, "--port", str(port), "-c", "4096", "--jinja", "-t", "2"]
    if PYTHON:
        found["llama-cpp-python"] = [PYTHON, "-m", "llama_cpp.server", "--model", TINY, "--port", str(port), "--n_ctx", "4096"]
    return found


@contextmanager
def _served(name: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = _commands(port).get(name)
    if command is None:
        pytest.skip(f"{name} is not here")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="module", params=["llama-server", "llama-cpp-python"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with _served(request.param) as found:
        yield found


def _ask(address: str, messages: list[Message], specs: tuple[ToolSpec, ...] = (), model: str = "tiny", **more: Any) -> list[Any]:
    engine = RemoteEngine(Entry("near/tiny", "tiny", remote=Remote(address, "", model, "", "", "test")), "")

    async def run() -> list[Any]:
        try:
            return [delta async for delta in engine.stream(messages, specs, Options(**more))]
        finally:
            await engine.close()

    return asyncio.run(run())


def test_words_are_streamed_and_counted(address: str) -> None:
    deltas = _ask(address, [Message("user", (Text("Say hello."),))], max_tokens=24)
    done = deltas[-1]
    assert isinstance(done, MessageDone) and done.message.text.strip()
    assert "".join(one.text for one in deltas if isinstance(one, TextDelta)) == done.message.text
    assert sum(isinstance(one, TextDelta) for one in deltas) > 1


def test_tools_are_taken_and_a_call_and_its_result_go_there(address: str) -> None:
    done = _ask(address, ASKED, (WEATHER,), tool_choice="required", max_tokens=60)[-1]
    # Neither server holds so small a model to a call; what it makes of it is words that name the tool then.
    assert isinstance(done, MessageDone) and ([call.name for call in done.message.calls] == ["weather"] or "weather" in done.message.text)
    call = ToolCall("call_1", "weather", {"city": "Rome"})
    result = Message("tool", result=ToolResult("call_1", (Text("21 degrees and sunny"),)))
    again = _ask(address, [*ASKED, Message("assistant", (), calls=(call,)), result], (WEATHER,), max_tokens=60)[-1]
    assert isinstance(again, MessageDone) and again.usage.input_tokens > done.usage.input_tokens


def test_a_prompt_that_is_too_long_is_an_error_of_ours(address: str) -> None:
    with pytest.raises(EngineError):
        _ask(address, [Message("user", (Text("word " * 20_000),))], max_tokens=4)
