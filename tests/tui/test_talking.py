"""Words while the agent works, going back, undo that the model hears of, and the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import shown
from localagent.store.steps import Step
from localagent.tui import plan, rewind, waiting
from localagent.tui.view import Asked, Planned, Said, Told, Tool, View, reduce, replayed
from localagent.values import Change, Decision, Message, PlanItem, Text, ToolCall, ToolResult

from .scenes import call, said, with_plan
from .support import Playing, idle, later, painted, run, say, screen, shows, until
from .test_view import BEGUN, view
from .test_view import said as answered

pytestmark = pytest.mark.slow

STEPS = (PlanItem("Look at the files", True), PlanItem("Write the report"), PlanItem("Check it"))


def planned(done: int) -> ToolCall:
    return call("plan", steps=[step.text for step in STEPS], done=done)


# ------------------------------------------------------------ while the agent works


def test_enter_tells_the_running_request_and_tab_queues_the_next_one() -> None:
    engine = Playing(
        [e.TextDelta("Looking"), ..., *said("", call("look"))], [e.TextDelta("So"), ..., *said("One.")], said("Two.")
    )

    async def play(pilot: Any) -> None:
        await say(pilot, "first")
        await shows(pilot, "Looking")
        assert "Enter tells it now" in screen(pilot.app)
        await pilot.press(*"only the new")
        await shows(pilot, "Enter tells it now · Tab queues it")
        await pilot.press("enter")
        await later(pilot, "second")
        await shows(pilot, "at the next step: only the new")
        assert "next: second" in screen(pilot.app)
        engine.go()
        await shows(pilot, "So")
        assert "at the next step" not in screen(pilot.app)
        engine.go()
        await idle(pilot)

    app = run(engine, play)
    asked = [item for item in app.driver.view.all if isinstance(item, Asked)]
    assert [(item.text, item.steer) for item in asked] == [("first", False), ("only the new", True), ("second", False)]
    assert engine.asked[1][0][-1].role == "steer" and [m.text for m in engine.asked[2][0] if m.role == "steer"]
    stored = [event for event in app.house.made[0].transcript.read() if isinstance(event, e.Steered)]  # type: ignore[attr-defined]
    assert [event.message.text for event in stored] == ["only the new"]


def test_up_on_an_empty_prompt_takes_back_what_waits_and_so_does_a_stop() -> None:
    engine = Playing([e.TextDelta("Looking"), ...], said("Two."))

    async def play(pilot: Any) -> None:
        prompt = pilot.app.prompt
        await say(pilot, "first")
        await shows(pilot, "Looking")
        await say(pilot, "now this")
        await later(pilot, "then that")
        await pilot.press("up")
        assert prompt.text == "now this\nthen that" and not pilot.app.driver.queue and not pilot.app.driver.meanwhile
        prompt.set_text("")
        await pilot.press("up")
        assert prompt.text == "then that", "nothing waits any more: the earlier texts"
        await say(pilot, "again")
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.driver.view.busy)
        assert prompt.text == "again"
        await pilot.press("enter")
        await idle(pilot)

    app = run(engine, play)
    assert [item.text for item in app.driver.view.all if isinstance(item, Asked)] == ["first", "again"]
    assert [m.role for m in engine.asked[1][0]].count("steer") == 0


def test_what_came_too_late_for_a_request_is_the_next_one() -> None:
    from localagent.errors import EngineError

    engine = Playing([e.TextDelta("Half"), ..., EngineError("It died.")], said("Here."))

    async def play(pilot: Any) -> None:
        await say(pilot, "first")
        await shows(pilot, "Half")
        await say(pilot, "one")
        await say(pilot, "two")
        engine.go()
        await shows(pilot, "Here.")
        await idle(pilot)

    app = run(engine, play)
    asked = [item for item in app.driver.view.all if isinstance(item, Asked)]
    assert [(item.text, item.steer) for item in asked] == [("first", False), ("one\ntwo", False)]


def test_the_lines_of_what_waits() -> None:
    assert waiting.lines((), (), 80) == ""
    assert waiting.lines(("a\nb",), ("c",), 80) == "at the next step: a b\nnext: c  (Up takes it back)"
    many = waiting.lines(("a",) * 3, ("\x1b[31mc",) * 3, 30).split("\n")
    assert len(many) == 4 and many[-1].startswith("… and 3 more") and all(len(line) <= 30 for line in many)


# ------------------------------------------------------------ going back


def test_escape_twice_goes_back_and_undoes_what_was_changed_since(work: Path) -> None:
    engine = Playing(
        said("One."),
        said("", call("write", path="a.txt", content="x\n")),
        said("Two."),
        said("", call("write", path="b.txt", content="x\n")),
        said("Three."),
        said("Anew."),
    )

    async def play(pilot: Any) -> None:
        await pilot.press("escape", "escape")
        await shows(pilot, "Nothing was asked yet.")
        for text in ("first", "second", "third"):
            await say(pilot, text)
            await idle(pilot)
        pilot.app.prompt.set_text("draft")
        await pilot.press("escape")
        assert len(pilot.app.screen_stack) == 1
        await pilot.press("escape")
        await shows(pilot, "Go back to an earlier message")
        await shows(pilot, "Since then one step changed 1 file: b.txt")
        await pilot.press("down")
        await shows(pilot, "Since then 2 steps changed 2 files: a.txt, b.txt")
        await pilot.press("u")
        await shows(pilot, "Undid step 1")
        await painted(pilot)
        assert not list(work.iterdir()) and "Three." not in screen(pilot.app) and "One." in screen(pilot.app)
        assert pilot.app.prompt.text == "second"
        await say(pilot, "second, better")
        await idle(pilot)
        await pilot.press("up", "up")
        assert pilot.app.prompt.text == "draft"

    app = run(engine, play, mode="auto")
    last = engine.asked[-1][0]
    assert [m.role for m in last] == ["system", "user", "assistant", "host", "host", "user"]
    assert "undone step 2: b.txt" in last[3].text and "undone step 1: a.txt" in last[4].text
    assert [item.text for item in app.driver.view.all if isinstance(item, Asked)] == ["first", "second, better"]
    stored = replayed(app.house.made[0].transcript.read())  # type: ignore[attr-defined]
    assert [item.text for item in stored.all if isinstance(item, Asked | Said)] == [
        "first",
        "One.",
        "second, better",
        "Anew.",
    ]


def test_rewind_leaves_the_files_and_tells_the_model_so(work: Path) -> None:
    engine = Playing(said("", call("write", path="a.txt", content="x\n")), said("One."), said("Anew."))

    async def play(pilot: Any) -> None:
        await say(pilot, "first")
        await idle(pilot)
        await say(pilot, "/rewind")
        await shows(pilot, "the files stay as they are")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.prompt.text == "first")
        await pilot.press("enter")
        await idle(pilot)

    run(engine, play, mode="auto")
    assert (work / "a.txt").exists()
    assert [m.role for m in engine.asked[-1][0]] == ["system", "host", "user"] and "a.txt" in engine.asked[-1][0][
        1
    ].text


def test_undo_and_redo_are_told_to_the_model(work: Path) -> None:
    engine = Playing(said("", call("write", path="a.txt", content="x\n")), said("Done."), said("I see."))

    async def play(pilot: Any) -> None:
        await say(pilot, "write")
        await idle(pilot)
        for command in ("/undo", "/redo", "/undo"):
            await say(pilot, command)
        await until(pilot, lambda: not (work / "a.txt").exists() and len(pilot.app.driver.session.history) == 7)
        await say(pilot, "well?")
        await idle(pilot)

    run(engine, play, mode="auto")
    told = [m.text for m in engine.asked[-1][0] if m.role == "host"]
    assert ["undone" in text for text in told] == [True, False, True] and all("a.txt" in text for text in told)


def test_the_steps_since_a_message() -> None:
    def step(number: int, at: float, **more: Any) -> Step:
        return Step(number, (Change("write", f"/w/{number}"),), at, "write", **{"session": "s", **more})

    items = [Asked("a", 1.0), Said("x"), Asked("more", steer=True), Asked("b", 5.0)]
    steps = [step(4, 7.0), step(3, 6.0, session="other"), step(2, 5.5, state="undone"), step(1, 2.0)]
    found = rewind.points(items, steps, "s")
    assert [(p.to, p.text, [s.number for s in p.steps]) for p in found] == [(1, "b", [4]), (0, "a", [4, 1])]
    assert found[1].paths == ("/w/1", "/w/4")
    assert rewind.since(rewind.Point(0, "", ()), "/w") == "Nothing was changed since."


def test_a_view_goes_back_like_the_conversation() -> None:
    turn = [answered("Hi."), e.Steered(Message("steer", (Text("more"),))), answered("Ho."), e.TurnEnded("done")]
    live = view(*turn, begin=view(*turn))
    back = reduce(live, e.Rewound(1), 9.0)
    assert back.all == live.all[:5] and back.talk != live.talk and back.used == 0
    assert reduce(live, e.Rewound(5), 9.0).all == live.all
    stored = replayed(
        [BEGUN, *turn, BEGUN, *turn, e.Rewound(1), e.TakenBack(1), BEGUN, *turn, e.Rewound(0), BEGUN, *turn]
    )
    assert stored.all[:4] == live.all[:4] and len(stored.all) == 5


# ------------------------------------------------------------ the plan


def test_a_plan_ticks_above_the_prompt_and_stays_in_the_conversation() -> None:
    engine = Playing(said("", planned(0)), [e.TextDelta("Reading"), ..., *said("", planned(2))], said("Done."))

    async def play(pilot: Any) -> None:
        await say(pilot, "report")
        await shows(pilot, "● Look at the files")
        assert "○ Check it" in screen(pilot.app) and "0 of 3 done" in screen(pilot.app)
        await say(pilot, "/plan")
        await until(pilot, lambda: "○ Check it" not in screen(pilot.app))
        assert "0 of 3 done  Look at the files" in screen(pilot.app)
        await pilot.click("#plan")
        await shows(pilot, "○ Check it")
        engine.go()
        await idle(pilot)
        await shows(pilot, "✓ Write the report")
        assert "▾" not in screen(pilot.app) and "2 of 3 done" in screen(pilot.app)
        await say(pilot, "/plan")
        await shows(pilot, "has made no plan")

    app = run(engine, play, have=with_plan())
    assert not [item for item in app.driver.view.all if isinstance(item, Tool)]
    assert engine.asked[1][0][-1].text == "Noted. Now do: Look at the files"


def test_a_plan_takes_the_place_of_its_card_and_ends_with_the_turn() -> None:
    made = ToolCall("call_1", "plan", {"steps": ["a", "b"], "done": 1})
    done = e.ToolFinished(made, ToolResult("call_1", (Text("Noted."),)))
    events = [
        e.ToolStarted(made, Decision("allow", "")),
        done,
        e.PlanUpdated((PlanItem("a", True), PlanItem("b")), "call_1"),
    ]
    running = view(*events)
    assert running.items == (Asked("build it"),) and [item.text for item in running.plan] == ["a", "b"]
    ended = reduce(running, e.TurnEnded("done"), 9.0)
    assert ended.items[1] == Planned(running.plan) and ended.plan == ()
    failed = reduce(view(e.ToolStarted(made, Decision("allow", ""))), e.TurnEnded("cancelled"), 9.0)
    assert isinstance(failed.items[1], Tool), "a call that made no plan is a card like any other"
    assert view(e.Notice("n"), begin=View()).items[1] == Told("n")


@pytest.mark.parametrize(("done", "shown_now"), [(0, "●○○○○○"), (3, "…✓✓●○○○"), (9, "…✓✓✓✓✓●"), (10, "…✓✓✓✓✓✓")])
def test_of_a_long_plan_the_steps_around_the_current_one_are_pinned(done: int, shown_now: str) -> None:
    steps = tuple(PlanItem(f"step {n}\x1b[31m", n < done) for n in range(10))
    lines = plan.pinned(steps, 60, False).plain.split("\n")
    assert lines[0] == f"▾ Plan  {done} of 10 done" and "".join(line[2] for line in lines[1:]).rstrip("…") == shown_now
    assert "\x1b" not in plan.pinned(steps, 60, False).plain and len(lines) <= 9
    assert plan.pinned(steps, 40, True).plain.count("\n") == 0


def test_a_plan_in_a_terminal_without_the_app(capsys: pytest.CaptureFixture[str]) -> None:
    from localagent.headless import Reporter

    report = Reporter("/w")
    report(e.ToolStarted(ToolCall("1", "plan", {}), Decision("allow", "")))
    report(e.PlanUpdated(STEPS, "1"))
    assert capsys.readouterr().err == "  ✓ Look at the files\n  ○ Write the report\n  ○ Check it\n"
    assert shown.plan_lines([PlanItem("a\n\x1b[1mb")]) == ["○ a \\u{1b}[1mb"]
