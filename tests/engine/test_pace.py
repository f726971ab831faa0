"""How many threads decode while other programs want the cores."""

from __future__ import annotations

import os

from localagent.engine.pace import Pace, default_threads


class Machine:
    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.times: dict[int, float] = {}

    def set_threads(self, threads: int) -> None:
        self.threads = threads


def _run(pace: Pace, machine: Machine, tokens: int) -> list[int]:
    used = []
    for _ in range(tokens):
        used.append(machine.threads)
        pace.step(machine.times[machine.threads])
    return used


def test_on_a_quiet_machine_all_threads_are_used():
    machine = Machine(4)
    machine.times = {4: 0.03, 2: 0.05, 1: 0.1}
    used = _run(Pace(machine, 4), machine, 300)
    assert used.count(4) > 290 and machine.threads == 4


def test_on_a_busy_machine_fewer_are_faster():
    machine = Machine(2)
    machine.times = {2: 1.7, 1: 0.07}
    assert _run(Pace(machine, 2), machine, 50).count(2) <= 6


def test_it_steps_back_when_the_machine_becomes_busy_and_returns():
    machine = Machine(2)
    pace = Pace(machine, 2)
    machine.times = {2: 0.037, 1: 0.068}
    _run(pace, machine, 100)
    assert machine.threads == 2
    machine.times = {2: 1.7, 1: 0.07}
    assert _run(pace, machine, 50).count(2) <= 4
    machine.times = {2: 0.037, 1: 0.068}
    _run(pace, machine, 800)
    assert machine.threads == 2


def test_one_thread_is_left_alone():
    machine = Machine(1)
    machine.times = {1: 0.1}
    assert set(_run(Pace(machine, 1), machine, 1000)) == {1}


def test_the_default_is_within_what_the_process_may_use():
    assert 1 <= default_threads() <= (os.cpu_count() or 1)
