"""Several requests on one engine, over real models: what is interrupted ends as if nothing had happened."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from localagent.engine import loaded as loaded_module
from localagent.engine import yielding
from localagent.engine.base import CallGrammar, Sampling, Template, Trigger, Untrusted
from localagent.engine.machine import Machine
from localagent.engine.protocol import Prepare, Prompted, Request, Score
from localagent.engine.runner import Job, Runner
from localagent.engine.yielding import Yielding
from localagent.values import Generated

pytestmark = pytest.mark.slow

WORDS = CallGrammar((Trigger("a", 'root ::= ([a-z]{3} " "){20} "."'),), "a", once=True)
LONG = (Template("<|im_start|>"), Untrusted("".join(f"{n} of them. " for n in range(140))), Template("<|im_end|>\n"))
OTHER = (Template("<|im_start|>"), Untrusted("something else " * 30), Template("<|im_end|>\n"))


class Asked:
    """One job and what it was told. `when(event, number so far of its kind)` is called in the inference thread."""

    def __init__(self, runner: Runner, request: Prompted, when: Callable[[str, int], None] | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self._over = threading.Event()
        self._when = when
        self.job = Job(request, id(self), self._emit)
        self.runner = runner
        self.before = runner.submit(self.job)

    def _emit(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if self._when:
            self._when(event["event"], sum(e["event"] == event["event"] for e in self.events))
        if event["event"] in ("done", "error"):
            self._over.set()

    def wait(self) -> dict[str, Any]:
        assert self._over.wait(120)
        return self.events[-1]

    @property
    def over(self) -> bool:
        return self._over.is_set()

    @property
    def ids(self) -> list[int]:
        return [i for e in self.events if e["event"] == "token" for i in e["ids"]]


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    assert made.close()


@pytest.fixture(params=["hybrid", "dense"])
def model(request: pytest.FixtureRequest, tiny: str, dense: str) -> str:
    return tiny if request.param == "hybrid" else dense


def _job(path: str, segments: Any = LONG, **options: Any) -> Request:
    given = {"context": 4096, "priority": 1, "threads": 1, "max_tokens": 60, "grammar": WORDS, "marks": (1,)}
    return Request(path=path, segments=segments, **{**given, **options})


@functools.cache
def _alone(request: Prompted) -> list[int]:
    """The tokens of an answer that nobody interrupts."""
    runner = Runner()
    asked = Asked(runner, request)
    assert asked.wait()["event"] == "done"
    assert runner.close()
    return asked.ids


def _interrupted(runner: Runner, request: Request, others: dict[tuple[str, int], Prompted]) -> tuple[Asked, list[Asked]]:
    """`others` come at the given events of the request: (kind, how many of that kind there were)."""
    came: list[Asked] = []
    left = dict(others)

    def when(kind: str, number: int) -> None:
        if (kind, number) in left:
            came.append(Asked(runner, left.pop((kind, number))))

    asked = Asked(runner, request, when)
    asked.wait()
    for other in came:
        assert other.wait()["event"] == "done", other.events[-1]
    assert not left
    return asked, came


@pytest.mark.parametrize(
    "sampling", [Sampling(temperature=1.0, seed=3), Sampling(repeat_penalty=1.3)], ids=["seed", "penalty"]
)
def test_a_person_interrupts_a_job_which_goes_on_as_if_alone(runner: Runner, model: str, sampling: Sampling):
    request = _job(model, sampling=sampling)
    person = Request(model, 4096, OTHER, threads=1, max_tokens=5, grammar=WORDS)
    places = [("prefill", 2), ("prefill", 3), ("token", 1), ("token", 2), ("token", 9)]
    asked, came = _interrupted(runner, request, dict.fromkeys(places, person))
    done = asked.events[-1]
    assert done["event"] == "done"
    assert asked.ids == _alone(request) and len(asked.ids) > 20
    assert all(other.before == 0 and other.ids == came[0].ids for other in came)
    assert done["usage"]["cached"] == 0
    # The context is as true as ever: the next turn of the job's conversation finds all of it.
    segments = (*LONG, Generated("", tuple(asked.ids)), Template("<|im_end|>\n"))
    usage = Asked(runner, replace(request, segments=segments)).wait()["usage"]
    assert usage["cached"] == done["usage"]["input"] + done["usage"]["output"] - 1


def test_an_interrupted_grammar_lives_on(runner: Runner, model: str):
    request = _job(model, max_tokens=300, sampling=Sampling(temperature=1.0, seed=5))
    score = Score(model, 4096, OTHER, threads=1, candidates=((Template("yes"),), (Untrusted("no"),)))
    asked, _ = _interrupted(runner, request, {("token", number): score for number in (1, 4, 20)})
    text = "".join(e["text"] for e in asked.events if e["event"] in ("token", "done"))
    assert asked.events[-1]["stop"] == "end" and len(text) == 1 + 20 * 4 + 1 and text.endswith(" .")


def test_a_long_batch_is_left_in_the_middle(runner: Runner, model: str, monkeypatch: pytest.MonkeyPatch):
    """Everywhere a batch can be left it is: the abort comes while llama.cpp computes."""
    request, person = _job(model), Request(model, 4096, OTHER, threads=1, max_tokens=3)
    monkeypatch.setattr(yielding, "LONG_S", 0.0)
    came: list[Asked] = []
    codes: list[int] = []
    plain_decode, plain_may = Yielding._decode, Yielding._may_leave

    def may_leave(self: Yielding, on: bool) -> None:
        plain_may(self, on)
        running = runner._frames[-1].job
        if on and running.priority == 1 and len(codes) - codes.count(2) >= len(came):
            self.pressing = lambda: False
            came.append(Asked(runner, person))

    def decode(self: Yielding, tokens: Any, outputs: int) -> int:
        code = plain_decode(self, tokens, outputs)
        if runner._frames[-1].job.priority == 1 and len(tokens) > 32:
            codes.append(code)
        return code

    with monkeypatch.context() as patched:
        patched.setattr(Yielding, "_may_leave", may_leave)
        patched.setattr(Yielding, "_decode", decode)
        asked = Asked(runner, request)
        assert asked.wait()["event"] == "done"
    assert codes[:4] == [2, 0, 2, 0] and len(came) >= 3
    assert all(other.wait()["event"] == "done" for other in came)
    assert asked.ids == _alone(request)


def test_clients_of_one_priority_do_not_interrupt_each_other(runner: Runner, tiny: str):
    request = _job(tiny, priority=0)
    asked, (other,) = _interrupted(runner, request, {("token", 3): replace(request, max_tokens=2, client="other")})
    assert other.before == 1 and asked.ids == _alone(request)


def test_a_stack_of_priorities(runner: Runner, model: str):
    lowest, middle, person = _job(model, priority=2), _job(model, OTHER, priority=1), _job(model, priority=0, max_tokens=4)
    order: list[str] = []
    asked: dict[str, Asked] = {}

    def ask(name: str, request: Request, then: Callable[[], None] | None = None) -> None:
        def when(kind: str, number: int) -> None:
            if kind == "token" and number == 5 and then:
                then()
            if kind == "done":
                order.append(name)

        asked[name] = Asked(runner, request, when)

    ask("lowest", lowest, lambda: ask("middle", middle, lambda: ask("person", person)))
    assert asked["lowest"].wait()["event"] == "done"
    assert order == ["person", "middle", "lowest"]
    assert asked["lowest"].ids == _alone(lowest) and asked["middle"].ids == _alone(middle)


def test_an_interrupted_job_is_cancelled_at_once(runner: Runner, model: str):
    asked: list[Asked] = []
    seen: list[str] = []

    def cancel(kind: str, number: int) -> None:
        if kind == "token" and number == 2:
            seen.extend(f"{one['state']} {one['priority']}" for one in runner.status()["queue"])
            runner.cancel(asked[0].job)
            assert asked[0].over

    def interrupt(kind: str, number: int) -> None:
        if kind == "token" and number == 3:
            asked.append(Asked(runner, _job(model, OTHER, priority=0, max_tokens=9), cancel))

    asked.append(Asked(runner, _job(model), interrupt))
    assert asked[0].wait()["stop"] == "cancelled"
    assert asked[1].wait()["stop"] == "length"
    assert seen == ["answering 0", "interrupted 1"]
    assert [e["event"] for e in asked[0].events].count("done") == 1
    after = Asked(runner, _job(model))
    assert after.wait()["event"] == "done" and after.ids == _alone(_job(model))
    status = runner.status()
    assert status["queue"] == [] and status["answered"] == 3 and status["state"] == "idle"


def test_conversations_take_turns_without_being_read_again(runner: Runner, model: str):
    told = {LONG: LONG, OTHER: OTHER}
    for turn in range(3):
        for name, segments in told.items():
            asked = Asked(runner, _job(model, segments, max_tokens=10))
            usage = asked.wait()["usage"]
            # The last token that was sampled was not computed yet.
            assert not turn or usage["input"] - usage["cached"] <= 1 + 3
            told[name] = (*segments, Generated("", tuple(asked.ids)), Template("<|im_end|>\n<|im_start|>"))


# ---------------------------------------------------------------- several models


def test_two_models_are_in_memory_side_by_side(runner: Runner, tiny: str, dense: str):
    assert [Asked(runner, _job(path, OTHER)).wait()["timings"]["load_ms"] > 0 for path in (tiny, dense, tiny, dense)] == [
        True, True, False, False,
    ]  # fmt: skip
    status = runner.status()
    assert [one["model"] for one in status["models"]] == [dense, tiny] and status["model"] == dense
    assert all(one["memory_bytes"] > 1 << 20 and one["used"] > 0 and not one["busy"] for one in status["models"])
    runner.unload_idle()
    again = Asked(runner, _job(tiny, OTHER)).wait()
    assert again["timings"]["load_ms"] > 0 and again["usage"]["cached"] == 0
    assert [one["model"] for one in runner.status()["models"]] == [tiny]


def test_a_person_with_another_model_interrupts_where_both_fit(runner: Runner, tiny: str, dense: str):
    request = _job(tiny)
    asked, (other,) = _interrupted(runner, request, {("token", 4): _job(dense, OTHER, priority=0)})
    assert asked.ids == _alone(request) and other.ids == _alone(_job(dense, OTHER))
    assert other.before == 0


def test_a_load_is_given_up_for_a_person_who_needs_another_model(runner: Runner, tiny: str, dense: str):
    person, seen = _job(dense, OTHER, priority=0, max_tokens=5), []
    came: list[Asked] = []

    def when(kind: str, number: int) -> None:
        if (kind, number) == ("loading", 1):
            came.append(Asked(runner, person))
        if (kind, number) == ("token", 1):
            seen.extend(one.over for one in came)

    asked = Asked(runner, _job(tiny), when)
    assert asked.wait()["event"] == "done" and seen == [True]
    assert came[0].ids == _alone(person) and asked.ids == _alone(_job(tiny))
    kinds = [event["event"] for event in asked.events]
    assert kinds.index("queued") > kinds.index("loading") and asked.events[kinds.index("queued")]["before"] == 1
    assert runner.status()["answered"] == 2


def test_a_load_goes_on_for_a_person_who_needs_the_same_model(runner: Runner, tiny: str):
    came: list[Asked] = []

    def when(kind: str, number: int) -> None:
        if (kind, number) == ("loading", 1):
            came.append(Asked(runner, _job(tiny, OTHER, priority=0)))

    asked = Asked(runner, _job(tiny), when)
    assert asked.wait()["event"] == "done" and came[0].wait()["event"] == "done"
    assert "queued" not in [event["event"] for event in asked.events]


def test_a_load_that_was_given_up_can_be_cancelled(runner: Runner, tiny: str, dense: str):
    came: list[Asked] = []

    def when(kind: str, number: int) -> None:
        if (kind, number) == ("loading", 1):
            came.append(Asked(runner, _job(dense, OTHER, priority=0), person))

    def person(kind: str, number: int) -> None:
        if (kind, number) == ("token", 1):
            runner.cancel(asked.job)

    asked = Asked(runner, _job(tiny), when)
    assert asked.wait()["stop"] == "cancelled" and came[0].wait()["event"] == "done"
    assert [one["model"] for one in runner.status()["models"]] == [dense]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose memory holds one model."""
    monkeypatch.setattr(loaded_module, "this_machine", lambda: Machine(400 << 20, 300 << 20, 0))


def test_where_only_one_fits_the_idle_one_goes(runner: Runner, small: None, tiny: str, dense: str):
    assert [Asked(runner, _job(path, OTHER)).wait()["timings"]["load_ms"] > 0 for path in (tiny, dense, tiny)] == [True] * 3
    assert [one["model"] for one in runner.status()["models"]] == [tiny]


def test_whoever_must_wait_for_memory_is_told_and_comes_next(runner: Runner, small: None, tiny: str, dense: str):
    request, seen = _job(tiny), []

    def person(kind: str, number: int) -> None:
        if kind == "waiting":
            seen.extend(one["state"] for one in runner.status()["queue"])

    came: list[Asked] = []
    over: list[bool] = []

    def when(kind: str, number: int) -> None:
        if kind == "token" and number == 3:
            came.append(Asked(runner, _job(dense, OTHER, priority=0), person))
        if kind == "token" and number == 6:
            came.append(Asked(runner, _job(tiny, OTHER, priority=0, max_tokens=2)))
        if kind == "done":
            over.extend(one.over for one in came)

    asked = Asked(runner, request, when)
    assert asked.wait()["event"] == "done" and asked.ids == _alone(request)
    assert [one.wait()["event"] for one in came] == ["done", "done"]
    kinds = [e["event"] for e in came[0].events]
    assert kinds[0] == "waiting" and kinds.count("waiting") == 1 and came[0].events[0]["for"] == "memory"
    assert seen == ["answering", "waiting for memory"]
    # Another person, whose model is there, was not held up by the one who waits.
    assert over == [False, True]


def test_an_unknown_file_fails_for_whoever_asked_alone(runner: Runner, tiny: str):
    request = _job(tiny)
    asked, came = Asked(runner, request, lambda kind, number: when(kind, number)), []

    def when(kind: str, number: int) -> None:
        if kind == "token" and number == 3:
            came.append(Asked(runner, _job("/nowhere.gguf", priority=0)))

    assert asked.wait()["event"] == "done" and asked.ids == _alone(request)
    assert came[0].wait()["kind"] == "model_missing"


def test_a_bug_in_an_answer_costs_no_other_its_model(runner: Runner, model: str, monkeypatch: pytest.MonkeyPatch):
    request = _job(model)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    from localagent.engine import score

    monkeypatch.setattr(score.Scoring, "_check", broken)
    came: list[Asked] = []

    def when(kind: str, number: int) -> None:
        if kind == "token" and number == 3:
            came.append(Asked(runner, Score(model, 4096, OTHER, threads=1)))

    asked = Asked(runner, request, when)
    assert asked.wait()["event"] == "done" and asked.ids == _alone(request)
    assert "its log says why" in came[0].wait()["message"]


# ---------------------------------------------------------------- reading ahead


def _ahead(path: str, *segments: Any, marks: tuple[int, ...] = (1,)) -> Prepare:
    return Prepare(path, 4096, segments, threads=1, marks=marks)


def test_what_is_read_ahead_is_there_when_the_request_comes(runner: Runner, model: str):
    start, text = Template("<|im_start|>"), "".join(f"{n} of them. " for n in range(60))
    assert Asked(runner, _ahead(model)).wait()["stop"] == "end"
    assert runner.status()["model"] == model and runner.status()["answered"] == 0
    for length in (300, 600, len(text)):
        Asked(runner, _ahead(model, start, Untrusted(text[:length]))).wait()
    assert len(runner.status()["models"]) == 1 and runner.status()["snapshots"] <= 3
    request = _job(model, (start, Untrusted(text + "And now?"), Template("<|im_end|>\n")))
    asked = Asked(runner, request)
    usage = asked.wait()["usage"]
    assert usage["cached"] > 400 and usage["input"] - usage["cached"] < 16
    assert asked.wait()["timings"]["load_ms"] == 0
    # Reading a part of what is there already is no work and changes nothing.
    used = runner.status()["used"]
    assert Asked(runner, _ahead(model, start, Untrusted(text[:300]))).wait()["usage"]["input"] == 0
    assert runner.status()["used"] == used


@pytest.mark.parametrize("goes_on", [True, False])
def test_reading_ahead_is_dropped_for_anything_else(runner: Runner, model: str, goes_on: bool):
    request = _job(model, LONG if goes_on else OTHER)
    came: list[Asked] = []
    waited = threading.Event()

    def dropped(self: Yielding, on: bool) -> None:
        plain(self, on)
        if on and not came:
            came.append(Asked(runner, request))
            waited.set()

    plain = Yielding._may_leave
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Yielding, "_may_leave", dropped)
        ahead = Asked(runner, _ahead(model, *LONG))
        assert ahead.wait()["stop"] == "cancelled" and waited.is_set()
        assert came[0].wait()["event"] == "done"
    usage = came[0].wait()["usage"]
    # A newcomer that goes on from it has what was read by then, the batch in hand included.
    assert usage["cached"] in ((512, 513) if goes_on else (0, 1))
    assert came[0].ids == _alone(request) or goes_on


def test_only_the_newest_text_waits_to_be_read(runner: Runner, tiny: str):
    asked: list[Asked] = []

    def when(kind: str, number: int) -> None:
        if kind == "token" and number == 2:
            asked.append(Asked(runner, _ahead(tiny, *OTHER)))
            asked.append(Asked(runner, _ahead(tiny, *LONG)))
            assert asked[0].over

    done = Asked(runner, _job(tiny), when)
    assert done.wait()["event"] == "done"
    assert [one.wait()["stop"] for one in asked] == ["cancelled", "end"]
    assert done.ids == _alone(_job(tiny))


@pytest.mark.parametrize(("request_of", "batch"), [(lambda path: _ahead(path, *LONG), 2), (_job, 3)], ids=["ahead", "job"])
def test_what_was_read_when_it_was_cancelled_stays_read(
    runner: Runner, model: str, monkeypatch: pytest.MonkeyPatch, request_of: Any, batch: int
):
    """Reading ahead ends its batch, since whoever types on needs that; a request breaks it off, and loses no more."""
    monkeypatch.setattr(yielding, "LONG_S", 0.0)
    plain, batches = Yielding._may_leave, []

    def cancel(self: Yielding, on: bool) -> None:
        plain(self, on)
        batches.append(on)
        if batches.count(True) == batch and on:
            runner.cancel(asked.job)

    monkeypatch.setattr(Yielding, "_may_leave", cancel)
    asked = Asked(runner, request_of(model))
    assert asked.wait()["stop"] == "cancelled"
    assert Asked(runner, _job(model)).wait()["usage"]["cached"] in (1024, 1025)
