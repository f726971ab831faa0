"""Cancels, deaths of the host and model switches at random moments: the next answer is right all the same.

LOCALAGENT_TEST_STORMS is how often each happens (a few times by default).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from localagent.engine import local
from localagent.engine.base import CallGrammar, Logprobs, Options, Sampling, Trigger
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.engine.runner import Job, Runner
from localagent.errors import EngineError
from localagent.values import Message, Text

pytestmark = pytest.mark.slow

TIMES = int(os.environ.get("LOCALAGENT_TEST_STORMS", "2"))
WAIT_S = 120.0
CLOSE = {"hybrid": 0.3, "dense": 0.8}
"""How far log probabilities may be apart because a prompt was read in other batches."""
Told = tuple[bytes, float]
ENDLESS = CallGrammar((Trigger("a", "root ::= " + "[a-z]{2000} " * 10),), "a")


def _user(text: str) -> list[Message]:
    return [Message("system", (Text("You help. " * 30),)), Message("user", (Text(text),))]


class Storm:
    """Engines on both models, and what each of them answers when nothing disturbs it."""

    def __init__(self, paths: dict[str, str], dialect: Callable[..., Any]) -> None:
        self.random = random.Random(7)
        self.engines = {
            name: LocalEngine(ModelFile(name, path, context=4096), dialect(ENDLESS), threads=1, idle_s=30)
            for name, path in paths.items()
        }
        self._runner = Runner()
        self._checks = 0

    def close(self) -> None:
        assert self._runner.close()

    async def ask(self, name: str, text: str, **options: Any) -> list[Told]:
        """The tokens of an answer, and their log probabilities."""
        given = Options(sampling=Sampling(), logprobs=0, **{"max_tokens": 12, **options})
        deltas = [delta async for delta in self.engines[name].stream(_user(text), [], given)]
        return [(t.piece, t.logprob) for delta in deltas if isinstance(delta, Logprobs) for t in delta.tokens]

    async def disturb(self) -> None:
        """A request of any kind, left at any moment or not at all."""
        name, chance = self.random.choice([*self.engines]), self.random.random()
        text = " ".join(f"{self.random.randrange(1000)} of them." for _ in range(self.random.randrange(1, 150)))
        if chance < 0.3:
            work = self.engines[name].prepare(_user(text), [], Options())
        elif chance < 0.5:
            work = self.engines[name].score(_user(text), [], ["yes", "no"], priority=self.random.randrange(3))
        else:
            work = self.ask(name, text, max_tokens=self.random.choice([1, 40, 4000]), priority=self.random.randrange(3))
        with suppress(TimeoutError):
            await asyncio.wait_for(work, self.random.random() ** 2)

    async def check(self) -> None:
        """What nobody asked before gets the answer it gets on an engine of its own."""
        name = self.random.choice([*self.engines])
        self._checks += 1
        text = f"{self._checks} things to know."
        found = await asyncio.wait_for(self.ask(name, text), WAIT_S)
        _same(found, await asyncio.to_thread(self._alone, name, text), CLOSE[name])

    def _alone(self, name: str, text: str) -> list[Told]:
        events: list[dict[str, Any]] = []
        over = threading.Event()

        def emit(event: dict[str, Any]) -> None:
            events.append(event)
            if event["event"] in ("done", "error"):
                over.set()

        options = Options(sampling=Sampling(), max_tokens=12, logprobs=0)
        request = self.engines[name]._request(_user(text), [], options)
        self._runner.submit(Job(request, 1, emit))
        assert over.wait(WAIT_S)
        told = [one for e in events if e["event"] == "token" for one in e.get("logprobs", ())]
        return [(piece.encode("latin-1"), value) for piece, value, _ in told]


def _same(found: list[Told], expected: list[Told], close: float) -> None:
    """Tokens may part where two are as likely."""
    assert len(found) == len(expected) > 0
    for (piece, value), (wanted, likely) in zip(found, expected, strict=True):
        assert abs(value - likely) < close
        if piece != wanted:
            return


@pytest.fixture
def storm(tiny: str, dense: str, plain: Any) -> Iterator[Storm]:
    made = Storm({"hybrid": tiny, "dense": dense}, plain)
    yield made
    made.close()


def _run(body: Callable[[], Any]) -> None:
    async def whole() -> None:
        try:
            await body()
        finally:
            await local.stop()

    asyncio.run(whole())


def test_after_requests_that_were_left_at_any_moment(storm: Storm):
    async def body() -> None:
        for _ in range(2 * TIMES):
            await storm.disturb()
            await storm.check()

    _run(body)


def test_with_many_clients_at_once(storm: Storm):
    async def body() -> None:
        for _ in range(TIMES):
            await asyncio.gather(*(storm.disturb() for _ in range(4)), storm.check(), storm.check())
        status = await local.status()
        for _ in range(600):
            # The host hears that somebody has left when it hears it.
            if status and not status["queue"]:
                break
            await asyncio.sleep(0.1)
            status = await local.status()
        assert status and status["queue"] == [] and len(status["models"]) == 2

    _run(body)


def test_after_the_host_was_killed_at_any_moment(storm: Storm):
    async def die(pid: int) -> None:
        await asyncio.sleep(storm.random.random() * 0.3)
        os.kill(pid, signal.SIGKILL)

    async def body() -> None:
        for _ in range(TIMES):
            await storm.check()
            status = await local.status()
            assert status
            long = storm.ask("dense", "long", max_tokens=3000)
            told = await asyncio.gather(storm.disturb(), long, die(status["pid"]), return_exceptions=True)
            # Whoever had heard nothing yet is answered by the next host, everybody else is told.
            broken = [one for one in told if isinstance(one, BaseException)]
            assert all(isinstance(one, EngineError) and "stopped while answering" in str(one) for one in broken), broken
            await storm.check()

    _run(body)
