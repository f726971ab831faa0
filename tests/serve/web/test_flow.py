"""What goes to a browser is bounded, whether it reads or not."""

from __future__ import annotations

import random

from localagent.serve.web.flow import Flow


def test_what_is_not_read_is_not_kept() -> None:
    flow = Flow(most=1000)
    assert flow.offer(b"x" * 600) and flow.offer(b"y" * 400)
    assert not flow.offer(b"z") and flow.behind
    assert not flow.waiting and flow.unread == 0


def test_it_is_drawn_anew_only_when_all_that_left_has_been_read() -> None:
    flow = Flow(most=1000)
    flow.offer(b"x" * 600)
    flow.waiting.popleft()  # sent
    flow.offer(b"y" * 300)
    assert not flow.offer(b"z" * 200) and flow.unread == 600
    flow.read(500)
    assert not flow.caught_up() and not flow.offer(b"z")
    flow.read(100)
    assert flow.caught_up() and not flow.caught_up() and flow.offer(b"z")


def test_one_that_wrote_too_much_before_anything_left_is_drawn_at_once() -> None:
    flow = Flow(most=100)
    flow.offer(b"x" * 90)
    assert not flow.offer(b"x" * 90)
    assert flow.caught_up() and flow.offer(b"x")


def test_a_browser_that_says_too_much_gains_nothing() -> None:
    flow = Flow(most=100)
    flow.read(10**9)
    assert flow.offer(b"x" * 100) and not flow.offer(b"x")


def test_memory_is_bounded_in_any_order() -> None:
    chance, flow, sent = random.Random(7), Flow(most=5000), 0
    for _ in range(5000):
        match chance.choice(("offer", "send", "read")):
            case "offer":
                flow.offer(b"." * chance.randrange(2000))
            case "send" if flow.waiting:
                sent += len(flow.waiting.popleft())
            case "read" if sent:
                count = chance.randrange(sent + 1)
                sent -= count
                flow.read(count)
        assert sum(map(len, flow.waiting)) + sent == flow.unread <= 5000
