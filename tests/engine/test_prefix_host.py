"""A host that begins again, in order or not, goes on where the last one was."""

from __future__ import annotations

import asyncio
import queue
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import local, runner
from localagent.engine.base import Options, Sampling, Template, Untrusted
from localagent.engine.dialects.qwen35 import Qwen35
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.engine.protocol import Request
from localagent.events import MessageDone
from localagent.store import paths
from localagent.values import Generated, Message, Text

pytestmark = pytest.mark.slow

HISTORY = (Message("system", (Text("You help. " * 60),)), Message("user", (Text("hello"),)))


def _files() -> list[Path]:
    return sorted((paths.cache_dir() / "snapshots").glob("*/[!.]*"))


@pytest.mark.parametrize("kind", ["tiny", "dense"])
def test_a_killed_host_leaves_what_every_conversation_begins_with(
    kind: str, running: Any, request: pytest.FixtureRequest
) -> None:
    file = ModelFile("random", request.getfixturevalue(kind), context=2048, sampling=Sampling())
    engine = LocalEngine(file, Qwen35(), threads=1, start=False)

    async def ask() -> MessageDone:
        found = [delta async for delta in engine.stream(HISTORY, [], Options(max_tokens=8))]
        assert isinstance(found[-1], MessageDone)
        return found[-1]

    async def killed(*, at_once: bool) -> tuple[MessageDone, Any]:
        async with running() as process:
            done = await ask()
            status = await local.status()
            # The file is there a moment before it is counted.
            while not at_once and not (status and status["disk_snapshots"]):
                await asyncio.sleep(0.02)
                status = await local.status()
            process.send_signal(signal.SIGKILL)
        local.socket_path().unlink(missing_ok=True)
        return done, status

    async def body() -> None:
        # In the middle of writing, or before: what is there then is whole, or not there.
        first, _ = await killed(at_once=True)
        second, status = await killed(at_once=False)
        third, _ = await killed(at_once=True)
        assert first.usage.cached_tokens == 0
        assert third.usage.cached_tokens > 600
        assert first.message.generated == second.message.generated == third.message.generated
        assert status["disk_snapshots"] == 1 and status["disk_bytes"] == _files()[0].stat().st_size

    asyncio.run(asyncio.wait_for(body(), 120))


@pytest.mark.parametrize("kind", ["tiny", "dense"])
def test_a_conversation_is_kept_when_nobody_asks_for_a_while(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    path = request.getfixturevalue(kind)
    head = (Template("<|im_start|>system\n"), Untrusted("You help. " * 30), Template("<|im_end|>\n<|im_start|>user\n"))
    tail = Template("<|im_end|>\n<|im_start|>assistant\n")

    def ask(one: runner.Runner, *more: Any, client: str = "") -> dict[str, Any]:
        events: queue.Queue[dict[str, Any]] = queue.Queue()
        asked = Request(path, 2048, (*head, *more, tail), threads=1, marks=(3,), fixed=3, max_tokens=8, client=client)
        one.submit(runner.Job(asked, 1, events.put))
        ids: list[int] = []
        while (event := events.get(timeout=60))["event"] != "done":
            ids += event.get("ids", ())
        return {**event, "ids": ids}

    def names() -> list[str]:
        return [file.name.split("-")[0] for file in _files()]

    one = runner.Runner()
    question = Untrusted("What lies there? " * 40)
    ask(one, Untrusted("a stranger's words " * 20), client="program")
    deadline = time.monotonic() + 60
    while not names() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    assert names() == ["fixed"]  # what other programs say is not written down
    said = ask(one, question)
    deadline = time.monotonic() + 60
    while names() != ["fixed", "session"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert names() == ["fixed", "session"]
    assert one.close()
    other = runner.Runner()
    answer = Generated("", tuple(said["ids"]))
    goes_on = ask(other, question, tail, answer, Template("<|im_end|>\n<|im_start|>user\n"), Untrusted("and then?"))
    assert goes_on["usage"]["cached"] >= said["usage"]["input"] + 7
    assert other.status()["tokens_restored"] == goes_on["usage"]["cached"]
    assert other.close()
