"""How many threads decode while other programs want the cores: a machine with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from localagent.engine.contention import Free, Steady
from localagent.engine.pace import Pace


@dataclass
class Machine:
    """Decodes in time that passes only here. While others run, threads that lack a core make a token 20 times as long.

    `token` is what one thread takes in a quiet machine; `busy(t)` how many processors others use at time t.
    """

    cores: int = 2
    token: float = 0.19
    busy: Callable[[float], float] = lambda t: 0.0
    scaling: float = 1.83
    now: float = 0.0
    threads: int = 0
    others: float = 0.0
    own: float = 0.0
    tokens: list[tuple[float, int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.threads = self.cores

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def quiet(self, threads: int) -> float:
        return self.token / (1 + (self.scaling - 1) * (threads - 1))

    def free(self) -> Free:
        return Free(self.cores, lambda: self.others + self.own, lambda: self.own, lambda: self.now)

    def wait(self, seconds: float, threads: int = 0) -> None:
        """Time passes, others run, and so do our threads."""
        while seconds > 1e-9:
            part = min(0.01, seconds)
            self.others += part * self.busy(self.now)
            self.own += part * min(threads, self.cores - self.busy(self.now))
            self.now += part
            seconds -= part

    def decode(self, pace: Pace, tokens: int) -> None:
        for _ in range(tokens):
            lacking = self.threads > self.cores - self.busy(self.now)
            seconds = self.quiet(self.threads) * (20 if lacking else 1)
            self.tokens.append((self.now, self.threads, seconds))
            self.wait(seconds, self.threads)
            pace.step(seconds)

    def rate(self, since: float, until: float = 1e9) -> float:
        """Tokens a second of the tokens that began in this time."""
        took = [seconds for began, _, seconds in self.tokens if since <= began < until]
        return len(took) / sum(took)

    def pace(self, hints: bool) -> Pace:
        return Pace(self, self.cores, self.free()) if hints else Pace(self, self.cores)


HINTS = pytest.mark.parametrize("hints", [True, False])
TOKENS = pytest.mark.parametrize("token", [0.002, 0.068, 0.19])


@HINTS
@TOKENS
@pytest.mark.parametrize("cores", [2, 4, 8])
def test_on_a_quiet_machine_nearly_all_tokens_use_all_threads(hints: bool, token: float, cores: int) -> None:
    machine = Machine(cores, token)
    machine.decode(machine.pace(hints), 1000)
    assert sum(threads == cores for _, threads, _ in machine.tokens) >= 985
    assert machine.rate(0) > 0.97 / machine.quiet(cores)


@HINTS
@TOKENS
@pytest.mark.parametrize("cores", [2, 4, 8])
def test_the_first_slow_token_is_the_last(hints: bool, token: float, cores: int) -> None:
    machine = Machine(cores, token)
    pace = machine.pace(hints)
    machine.decode(pace, 50)
    began = machine.now
    machine.busy = lambda t: 1.0
    machine.decode(pace, 1500)
    slow = [took for at, _, took in machine.tokens if at >= began and took > 10 * machine.quiet(cores)]
    recovered = next(at for at, _, took in machine.tokens if at >= began and took < machine.token * 1.01)
    assert recovered - began < 20.5 * machine.quiet(cores)
    # From then on the tries to go back up cost little.
    assert machine.rate(recovered) > 0.9 / machine.token and len(slow) < 12


@HINTS
def test_two_seconds_after_another_program_starts_it_runs_at_its_one_thread_speed(hints: bool) -> None:
    """The small models: 0.068 s a token with one thread, 0.037 s with two."""
    machine = Machine(2, 0.068)
    pace = machine.pace(hints)
    machine.decode(pace, 100)
    began = machine.now
    machine.busy = lambda t: 1.0
    machine.decode(pace, 400)
    assert machine.rate(began + 2.0, began + 20.0) > 0.8 / 0.068
    assert machine.rate(began + 2.0) > 0.8 / 0.068


def test_an_answer_that_begins_while_others_are_busy_has_no_slow_token() -> None:
    machine = Machine(2, 0.19, busy=lambda t: 1.0)
    pace = machine.pace(hints=True)
    machine.wait(1.0)
    pace.begin()
    machine.decode(pace, 60)
    assert max(took for _, _, took in machine.tokens) < 0.2
    machine.decode(pace, 1000)
    assert max(took for _, _, took in machine.tokens) < 0.2


def test_without_a_hint_the_second_slow_token_of_the_first_answer_is_the_last() -> None:
    machine = Machine(2, 0.068, busy=lambda t: 1.0)
    pace = machine.pace(hints=False)
    pace.begin()
    machine.decode(pace, 100)
    assert sum(took > 0.1 for _, _, took in machine.tokens) <= 2


@pytest.mark.parametrize(("hints", "within"), [(True, 2.0), (False, 45.0)])
@pytest.mark.parametrize("cores", [2, 8])
def test_it_returns_to_all_threads_when_the_others_have_ended(hints: bool, within: float, cores: int) -> None:
    machine = Machine(cores, 0.068)
    pace = machine.pace(hints)
    machine.decode(pace, 50)
    began = machine.now
    machine.busy = lambda t: 1.0 if t < began + 10 else 0.0
    machine.decode(pace, 3000)
    back = next(at for at, threads, _ in machine.tokens if at > began + 10 and threads == cores)
    assert back - began - 10 < within
    assert machine.rate(back) > 0.95 / machine.quiet(cores)


@HINTS
def test_others_that_come_and_go_cost_less_than_one_thread_all_the_time(hints: bool) -> None:
    machine = Machine(2, 0.068, busy=lambda t: 1.0 if int(t) % 6 < 3 else 0.0)
    pace = machine.pace(hints)
    machine.decode(pace, 1500)
    assert machine.rate(0) > 0.8 / 0.068


def test_one_hiccup_is_over_after_a_second() -> None:
    machine = Machine(8, 0.1)
    pace = machine.pace(hints=True)
    machine.decode(pace, 50)
    machine.wait(1.0)
    pace.step(1.0)
    assert machine.threads < 8
    machine.decode(pace, 60)
    assert machine.threads == 8


def test_a_longer_context_that_makes_every_token_slower_does_not_hold_it_down() -> None:
    machine = Machine(4, 0.05)
    pace = machine.pace(hints=True)
    machine.decode(pace, 50)
    machine.token = 0.2
    machine.wait(2.0, 4)
    pace.begin()
    machine.decode(pace, 50)
    assert [threads for _, threads, _ in machine.tokens[50:]].count(4) >= 48


def test_fewer_threads_are_kept_where_they_are_faster_though_nobody_is_busy() -> None:
    machine = Machine(2, 0.002, scaling=0.8)
    machine.decode(machine.pace(hints=True), 1000)
    assert sum(threads == 1 for _, threads, _ in machine.tokens) > 950


def test_a_limit_holds_and_is_lifted() -> None:
    machine = Machine(8, 0.05)
    pace = machine.pace(hints=True)
    pace.limit(4)
    assert machine.threads == 4
    machine.decode(pace, 500)
    assert {threads for _, threads, _ in machine.tokens} <= {1, 2, 3, 4}
    pace.begin()
    assert machine.threads <= 4
    pace.limit(8)
    assert machine.threads == 8
    pace.limit(99)
    assert machine.threads == 8


def test_one_thread_is_left_alone() -> None:
    machine = Machine(1, 0.05, busy=lambda t: 0.5)
    machine.decode(machine.pace(hints=True), 1000)
    assert {threads for _, threads, _ in machine.tokens} == {1}


# ---------------------------------------------------------------- what others leave us


def test_what_others_leave_is_counted_without_our_own_work() -> None:
    clock, busy, own = [0.0], [0.0], [0.0]
    free = Free(4, lambda: busy[0], lambda: own[0], lambda: clock[0])
    assert free() is None
    clock[0], busy[0], own[0] = 1.0, 3.0, 1.5
    assert free() == pytest.approx(2.5)
    clock[0] = 1.1
    assert free() == pytest.approx(2.5)
    clock[0], busy[0], own[0] = 2.0, 4.0, 2.5
    assert free() == 4.0
    clock[0], busy[0] = 3.0, 8.0
    free.restart()
    assert free() is None
    clock[0], busy[0] = 3.5, 8.5
    assert free() == pytest.approx(3.0)
    steady = Free(4, lambda: busy[0], lambda: own[0], lambda: clock[0], window_s=2.0)
    clock[0], busy[0] = 5.0, 9.5
    assert steady() is None
    clock[0], busy[0] = 6.0, 11.0
    assert steady() == pytest.approx(3.0)


def test_a_count_that_does_not_hold_our_own_work_says_nothing() -> None:
    clock, own = [0.0], [0.0]
    free = Free(2, lambda: 0.0, lambda: own[0], lambda: clock[0])
    clock[0], own[0] = 1.0, 1.8
    assert free() is None
    unknown = Free(2, lambda: None, lambda: own[0], lambda: clock[0])
    clock[0] = 2.0
    assert unknown() is None


@pytest.mark.parametrize(
    ("over_time", "at_this_moment", "found"),
    [(4.0, 9, 4.0), (1.0, 0, 4.0), (1.0, 1, 3.0), (1.0, 3, 1.0), (1.0, None, 1.0), (None, 0, None)],
)
def test_a_window_that_reaches_far_back_does_not_hold_down_what_is_quiet_now(
    over_time: float | None, at_this_moment: int | None, found: float | None
) -> None:
    class Told(Free):
        def __call__(self) -> float | None:
            return over_time

    assert Steady(Told(4), lambda: at_this_moment)() == found
