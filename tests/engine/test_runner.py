"""Whose turn it is, without a model: the answers are made by the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from localagent.engine.protocol import Request
from localagent.engine.runner import Job, Runner


class Queue:
    """A runner whose answers take until the test says so; `order` are the clients in the order of their turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[int | str] = []
        self.steps, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        monkeypatch.setattr(Runner, "_answer", lambda _, frame: self._answer(frame.job))
        self.runner = Runner()
        self.connections = 0

    def _answer(self, job: Job) -> dict[str, Any]:
        self.order.append(job.turn)
        self.begun.release()
        assert self.steps.acquire(timeout=5)
        return {"event": "done"}

    def ask(self, client: str = "", priority: int = 0) -> None:
        self.connections += 1
        request = Request(path="", context=256, segments=(), client=client, priority=priority)
        self.runner.submit(Job(request, self.connections, lambda _: None))

    def step(self) -> None:
        """The running answer ends, and the next begins."""
        self.steps.release()
        assert self.begun.acquire(timeout=5)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    made = Queue(monkeypatch)
    yield made
    for _ in range(100):
        made.steps.release()
    assert made.runner.close()


def test_one_client_with_many_requests_holds_nobody_up(queue: Queue) -> None:
    queue.ask("many")
    assert queue.begun.acquire(timeout=5)
    for _ in range(5):
        queue.ask("many")
    queue.ask("one")
    queue.step()
    assert queue.order == ["many", "one"]


def test_clients_that_are_always_new_starve_nobody(queue: Queue) -> None:
    queue.ask("steady")
    assert queue.begun.acquire(timeout=5)
    queue.ask()
    queue.step()
    queue.ask("steady")
    for _ in range(6):
        queue.ask()
        queue.step()
    assert queue.order.index("steady", 1) <= 3


def test_a_person_goes_before_every_job(queue: Queue) -> None:
    queue.ask("job", priority=1)
    assert queue.begun.acquire(timeout=5)
    queue.ask("other job", priority=1)
    queue.ask("person")
    queue.step()
    queue.ask("person")
    queue.step()
    queue.step()
    assert queue.order == ["job", "person", "person", "other job"]
