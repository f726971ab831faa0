"""Answers broken off at any moment: the next one is what a clean context gives.

LOCALAGENT_TEST_CANCELS says how many times for each kind of memory (1,000 for a release).
"""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localagent.engine import llama, prefix, runner, yielding
from localagent.engine.base import Template, Untrusted
from localagent.engine.grammars import Grammars
from localagent.engine.protocol import Request

pytestmark = pytest.mark.slow

CANCELS = int(os.environ.get("LOCALAGENT_TEST_CANCELS", "8"))
LENGTH = 4


class Hosted:
    """A real runner and its thread over a random-weight model."""

    def __init__(self, path: str, replayed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(yielding, "Yielding", replayed.RecordedYielding)
        monkeypatch.setattr(prefix, "Prefix", replayed.Watched)
        self.path, self._replayed = path, replayed
        self.runner = runner.Runner()
        self.model = llama.Model(path)
        self.grammars = Grammars(self.model)

    def request(self, texts: list[str], tokens: int = LENGTH) -> Request:
        segments: list[Any] = [Template("<|im_start|>system\n"), Untrusted("You help. " * 30), Template("<|im_end|>\n")]
        for text in texts:
            segments += [Template("<|im_start|>user\n"), Untrusted(text), Template("<|im_end|>\n")]
        segments.append(Template("<|im_start|>assistant\n"))
        marks = (3, len(segments) - 3)
        return Request(self.path, 2048, tuple(segments), threads=1, marks=marks, fixed=3, max_tokens=tokens)

    def begin(self, request: Request) -> tuple[runner.Job, queue.Queue[dict[str, Any]]]:
        events: queue.Queue[dict[str, Any]] = queue.Queue()
        job = runner.Job(request, 1, events.put)
        self.runner.submit(job)
        return job, events

    def ids(self, request: Request) -> list[int]:
        _, events = self.begin(request)
        found: list[int] = []
        while (event := events.get(timeout=60))["event"] != "done":
            assert event["event"] != "error", event
            found += event.get("ids", ())
        return found

    def clean(self, request: Request) -> list[int]:
        """What a clean context gives after the batches that the runner's own holds."""
        (loaded,) = self.runner._models.all()
        context = self._replayed.Recorded(self.model, n_ctx=2048, threads=1)
        try:
            held = self._replayed.Given(context)
            self._replayed.put_back(held, loaded.prefix.made)
            found: list[int] = []
            emit = lambda event: found.extend(event.get("ids", ()))  # noqa: E731
            self._replayed.Answer(context, held, self.grammars, request, emit, lambda: False, lambda _: None).run()
            return found
        finally:
            context.close()

    def close(self) -> None:
        assert self.runner.close()
        self.grammars.close()
        self.model.close()


@pytest.fixture(params=["tiny", "dense"])
def hosted(request: pytest.FixtureRequest, replayed: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosted]:
    made = Hosted(request.getfixturevalue(request.param), replayed, monkeypatch)
    yield made
    made.close()


def test_after_a_cancel_at_any_moment_the_next_answer_is_right(hosted: Hosted) -> None:
    rng = random.Random(3)
    began = time.monotonic()
    hosted.ids(hosted.request(["hello"]))
    span = min(0.15, time.monotonic() - began)
    texts: list[str] = []
    broken = 0
    for number in range(CANCELS):
        if len(texts) > 3:
            texts = texts[: rng.randrange(4)]
        texts.append(f"{number} " + "what lies there? " * rng.randrange(1, 12))
        job, events = hosted.begin(hosted.request(texts, 200))
        timer = threading.Timer(rng.random() * span, hosted.runner.cancel, [job])
        timer.start()
        while (event := events.get(timeout=60))["event"] != "done":
            pass
        timer.join()
        broken += event["stop"] == "cancelled"
        if rng.random() < 0.5:
            texts[-1] = f"{number} rather this"
        following = hosted.request(texts)
        assert hosted.ids(following) == hosted.clean(following)
    assert broken
