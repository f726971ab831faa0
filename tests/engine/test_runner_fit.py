"""The runner and the machine: power, memory that runs short, and other programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from localagent.engine import archive, llama, loading, pressure, runner
from localagent.engine.base import Template
from localagent.engine.governor import Governor, relieve
from localagent.engine.loaded import Models
from localagent.engine.machine import GIB
from localagent.engine.power import Mode
from localagent.engine.pressure import Pressure
from localagent.engine.protocol import Request
from localagent.engine.runner import Job, Runner
from localagent.errors import ModelError

if TYPE_CHECKING:
    from localagent.engine.contention import Free
    from localagent.engine.prefix import Prefix


@pytest.fixture
def made() -> Iterator[Runner]:
    one = Runner()
    yield one
    assert one.close()


def ask(one: Runner, path: str, power: Mode = "auto") -> dict[str, Any]:
    """The event that ends an answer of two tokens."""
    return last(one, Request(path, 512, (Template("user file name " * 40),), max_tokens=2, power=power))


def last(one: Runner, request: Request) -> dict[str, Any]:
    """The event that ends it."""
    ended, said = threading.Event(), {}

    def emit(event: dict[str, Any]) -> None:
        if event["event"] in ("done", "error"):
            said.update(event)
            ended.set()

    one.submit(Job(request, 1, emit))
    assert ended.wait(60)
    return said


def test_half_the_threads_save_power_and_what_was_loaded_is_told(made: Runner, tiny: str) -> None:
    from localagent.engine.cores import this_cores

    assert ask(made, tiny, "save")["event"] == "done"
    status = made.status()
    assert status["threads"] == max(1, this_cores().usable // 2)
    assert (status["kv"], status["note"], status["gpu_layers"]) == ("f16", "", "0")


def test_memory_that_runs_short_costs_the_snapshots_and_then_an_idle_model(
    made: Runner, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(made, tiny)
    assert made.status()["snapshots"] > 0
    monkeypatch.setattr(pressure, "this_pressure", lambda: Pressure(16 * GIB, GIB // 8))
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    ask(made, tiny)
    for _ in range(1200):
        if made.status()["model"] is None:
            break
        threading.Event().wait(0.05)
    assert made.status()["model"] is None
    # It is loaded again for whoever asks, and holds no snapshots while memory is short.
    assert ask(made, tiny)["event"] == "done"


def test_a_failure_between_two_answers_keeps_nobody_waiting(
    made: Runner, tiny: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Models, "write_down", fails)
    monkeypatch.setattr(runner, "PAUSE_S", 0.0)
    assert [ask(made, tiny)["event"] for _ in range(3)] == ["done"] * 3
    assert "between two answers" in caplog.text


def test_what_is_loaded_and_cannot_be_used_is_freed(
    made: Runner, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[str] = []
    close = llama.Model.close
    monkeypatch.setattr(llama.Model, "close", lambda self: (freed.append(self.path), close(self))[1])

    def fails(*_: Any) -> None:
        raise ModelError("The file is gone.")

    monkeypatch.setattr(archive, "key", fails)
    assert ask(made, tiny)["message"] == "The file is gone." and freed == [tiny]


def test_a_prompt_too_long_for_what_memory_left_of_the_context_says_so(
    made: Runner, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Request(path=tiny, context=4096, segments=(Template("x" * 3000),), max_tokens=1)
    planned = loading.planned
    monkeypatch.setattr(loading, "planned", lambda *given: replace(planned(*given), context=1024))
    told = last(made, long)
    assert "context holds 1024. For the 4096 that are set" in told["message"] and "engine stop" in told["hint"]
    monkeypatch.setattr(loading, "planned", planned)
    assert made.close()
    again = last(other := Runner(), replace(long, context=1024))
    assert "that are set" not in again["message"] and "larger context" in again["hint"] and other.close()


def test_the_snapshots_go_before_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: list[int] = []
    monkeypatch.setattr(pressure, "this_pressure", lambda: Pressure(16 * GIB, GIB // 8))
    holding = cast("Prefix", SimpleNamespace(used=GIB, shrink=budgets.append))
    assert not relieve([holding]) and budgets == [0]
    holds_none = cast("Prefix", SimpleNamespace(used=0, shrink=budgets.append))
    assert relieve([holds_none])
    monkeypatch.setattr(pressure, "this_pressure", lambda: Pressure(16 * GIB, 8 * GIB))
    assert not relieve([holding]) and budgets[-1] == GIB


class Threads:
    threads = 4

    def set_threads(self, threads: int) -> None:
        self.threads = threads


class Left:
    def __init__(self, free: list[float]) -> None:
        self._free = free

    def restart(self) -> None: ...

    def __call__(self) -> float:
        return self._free[0]


def governed(request: Request, events: list[str], free: list[float]) -> tuple[Threads, Any, Any]:
    context = Threads()
    told = Left(free)
    one = Governor(context, 4, cast("Free", told), cast("Free", told))
    step, emit = one.start(request, lambda event: events.append(f"{event['event']} {context.threads}"))
    return context, step, emit


def test_between_the_batches_of_a_prompt_it_looks_again_whether_others_are_busy() -> None:
    events, free = list[str](), [4.0]
    context, step, emit = governed(Request("", 256, ()), events, free)
    emit({"event": "prefill"})
    free[0] = 3.0
    emit({"event": "token"})
    emit({"event": "prefill"})
    free[0] = 4.0
    emit({"event": "prefill"})
    assert events == ["prefill 4", "token 4", "prefill 3", "prefill 4"]
    for _ in range(3):
        step(0.05)
    assert context.threads in (3, 4)


def test_threads_that_are_set_are_left_alone() -> None:
    events, free = list[str](), [1.0]
    context, step, emit = governed(Request("", 256, (), threads=3, power="save"), events, free)
    emit({"event": "prefill"})
    step(9.0)
    assert context.threads == 3 and events == ["prefill 3"]
