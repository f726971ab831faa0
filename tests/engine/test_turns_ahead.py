"""A job that computes guessed tokens ahead is interrupted like any other, between what is said and what is guessed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localagent.engine.base import Sampling
from localagent.engine.lookup import Index
from localagent.engine.protocol import Prepare, Request
from localagent.engine.runner import Runner
from localagent.engine.worth import Worth
from tests.engine.test_turns import OTHER, WORDS, Asked, _alone, _interrupted, _job

pytestmark = pytest.mark.slow


@pytest.fixture(params=[15])
def guessing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As many tokens as this are guessed each time, right or wrong."""
    size: int = request.param
    monkeypatch.setattr(Worth, "count", lambda _, length, available: (2.0, min(size, available)))
    monkeypatch.setattr(Index, "find", lambda index: (8, len(index.tokens) // 2))
    return size


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    assert made.close()


@pytest.fixture(params=["tiny", "dense"])
def model(request: pytest.FixtureRequest) -> str:
    path: str = request.getfixturevalue(request.param)
    return path


def _person(path: str) -> Request:
    return Request(path, 4096, OTHER, threads=1, max_tokens=12, grammar=WORDS)


def test_it_goes_on_as_if_alone(runner: Runner, model: str, guessing: int):
    request = _job(model, sampling=Sampling(temperature=1.0, seed=3))
    places = [("prefill", 2), *(("token", number) for number in (1, 2, 5, 9, 17))]
    asked, came = _interrupted(runner, request, dict.fromkeys(places, _person(model)))
    assert asked.events[-1]["event"] == "done"
    assert asked.ids == _alone(request) and len(asked.ids) > 20
    assert len({tuple(one.ids) for one in came}) == 1


def test_given_up_while_interrupted_it_leaves_the_context_of_the_other_alone(runner: Runner, model: str, guessing: int):
    asked: list[Asked] = []
    left: list[list[int]] = []

    def person(kind: str, number: int) -> None:
        if (kind, number) == ("token", 8):
            runner.cancel(asked[0].job)
        if kind == "done":
            left.append(runner._models.all()[0].prefix.tokens.tolist())

    def when(kind: str, number: int) -> None:
        if (kind, number) == ("token", 9):
            asked.append(Asked(runner, _person(model), person))

    asked.append(Asked(runner, _job(model, sampling=Sampling(temperature=1.0, seed=3)), when))
    assert asked[0].wait()["stop"] == "cancelled"
    assert asked[1].wait()["event"] == "done"
    # Whoever comes next is answered when both have ended; loading ahead reads nothing.
    assert Asked(runner, Prepare(model, 4096, (), threads=1)).wait()["event"] == "done"
    (loaded,) = runner._models.all()
    assert loaded.prefix.tokens.tolist() == left[0] and len(left[0]) > 30
    assert not loaded.prefix.dirty and loaded.context.last_position() == len(left[0]) - 1
