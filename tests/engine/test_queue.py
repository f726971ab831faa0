"""Whose turn it is, as tables: nothing here runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from localagent.engine.base import ImageData, Segment, Template, Untrusted
from localagent.engine.protocol import Prepare, Request
from localagent.engine.queue import PREPARING, Job, Turns, before, goes_on
from localagent.values import Generated


def job(client: str = "", priority: int = 0, *, ahead: bool = False) -> Job:
    kind = Prepare if ahead else Request
    return Job(kind("m", 256, (), client=client, priority=priority), 1, lambda _: None)


def _names(jobs: Sequence[Job]) -> list[str]:
    return [one.request.client for one in jobs]


@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        ([("a", 0), ("b", 0), ("a", 0)], ["a", "b", "a"]),
        ([("a", 1), ("b", 0)], ["b", "a"]),
        ([("a", 9), ("b", 1), ("c", 0), ("d", 1)], ["c", "b", "d", "a"]),
        ([("a", 0), ("a", 0), ("a", 0), ("b", 0)], ["a", "b", "a", "a"]),
        ([], []),
    ],
)
def test_people_first_then_whoever_was_served_longest_ago(waiting: list[tuple[str, int]], order: list[str]):
    turns, jobs, served = Turns(), [job(*one) for one in waiting], []
    for one in jobs:
        turns.join(one)
    while jobs:
        first = turns.order(jobs)[0]
        jobs.remove(first)
        turns.serve(first)
        served.append(first)
    assert _names(served) == order


def test_reading_ahead_comes_last_and_counts_as_no_turn():
    turns = Turns()
    ahead, late = job("a", ahead=True), job("b", 9)
    for one in (ahead, late):
        turns.join(one)
    assert ahead.priority == PREPARING > late.priority
    assert turns.order([ahead, late]) == [late, ahead]
    turns.serve(ahead)
    one, two = job("a"), job("c")
    for each in (one, two):
        turns.join(each)
    assert turns.order([two, one]) == [one, two]


@pytest.mark.parametrize(
    ("waiting", "running", "priority", "count"),
    [
        ([], [], 0, 0),
        ([], [0], 0, 1),
        ([], [1], 0, 0),
        ([0, 1], [1], 0, 1),
        ([0, 1, 9], [0], 1, 3),
        ([], [1, 0], 1, 2),
        ([], [PREPARING], 0, 0),
    ],
)
def test_how_many_are_answered_before(waiting: list[int], running: list[int], priority: int, count: int):
    made = [job(priority=p) if p < PREPARING else job(ahead=True) for p in (*waiting, *running)]
    mine = job(priority=priority)
    assert before(mine, [*made[: len(waiting)], mine], made[len(waiting) :]) == count


A, B = Template("<s>"), Untrusted("read the fi")


@pytest.mark.parametrize(
    ("part", "whole", "yes"),
    [
        ((), (A,), True),
        ((A,), (A, B), True),
        ((A, B), (A, Untrusted("read the file"), A), True),
        ((A, B), (A, Untrusted("read a file")), False),
        ((A, B), (A, Template("read the file")), False),
        ((A, B), (A,), False),
        ((B, A), (A, B), False),
        ((Untrusted("re"), A), (Untrusted("read"), A), False),
        ((Generated("m", (1, 2)),), (Generated("m", (1, 2)), A), True),
        ((Generated("m", (1,)),), (Generated("m", (1, 2)), A), False),
        ((ImageData("ab"),), (ImageData("abc"),), False),
    ],
)
def test_whether_a_prompt_goes_on_from_what_is_read_ahead(
    part: tuple[Segment, ...], whole: tuple[Segment, ...], yes: bool
):
    assert goes_on(part, whole) == yes


def test_the_last_event_is_told_once():
    told: list[Any] = []
    one = Job(Request("m", 256, ()), 1, told.append)
    one.end({"event": "done"})
    one.end({"event": "error"})
    assert told == [{"event": "done"}]
