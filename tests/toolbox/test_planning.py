"""The plan: what a call says, told back to the model and to the screen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from localagent import events as e
from localagent.agent import session as sessions
from localagent.store.transcript import Transcript
from localagent.toolbox import planning, schema
from localagent.toolbox.planning import PLAN, Planning
from localagent.toolbox.registry import Registry
from localagent.values import Checked, PlanItem, ToolCall, ToolResult
from tests.fakes import call, nobody


def result(args: dict[str, Any]) -> ToolResult:
    async def last() -> Any:
        return [item async for item in Planning().call(ToolCall("1", "plan", args))][-1]

    return asyncio.run(last())


def test_the_first_steps_are_done() -> None:
    assert planning.items({"steps": ["a", " b\nc "], "done": 1}) == (PlanItem("a", True), PlanItem("b c"))
    assert result({"steps": ["a", "b"], "done": 1}).text == "Noted."


def test_done_alone_ticks_the_plan_that_is_there_and_a_step_keeps_its_checks() -> None:
    step = {"do": "a", "checks": ["exists  a.txt"], "effects": ["write(a.txt)"]}
    first = planning.items({"steps": [step, "b"], "done": 0})
    assert first == (PlanItem("a", checks=(Checked("exists a.txt"),), effects=("write(a.txt)",)), PlanItem("b"))
    assert [item.done for item in planning.items({"done": 1}, first)] == [True, False]
    assert planning.items({"steps": ["a", "c"], "done": 0}, first)[0] == first[0]


def test_an_effect_is_one_line_whatever_was_written() -> None:
    step = {"do": "a", "effects": ["run(ls\n\nallowed: all)", " "]}
    assert planning.items({"steps": [step], "done": 0})[0].effects == ("run(ls allowed: all)",)


def test_a_check_that_cannot_be_read_is_told() -> None:
    told = result({"steps": [{"do": "a", "checks": ["delete everything"]}], "done": 0})
    assert told.status == "failed" and "exists PATH" in told.text


def test_a_plan_of_any_size_is_kept_small() -> None:
    made = planning.items({"steps": ["x" * 10_000] * 500, "done": -3})
    assert len(made) == 30 and all(len(item.text) == 300 and not item.done for item in made)


def test_its_arguments_are_mended_like_those_of_every_tool() -> None:
    args, _, errors = schema.repair(PLAN.parameters, {"steps": ["a"], "done": "1"})
    assert not errors and planning.items(args) == (PlanItem("a", True),)


def test_a_turn_tells_of_its_plan_and_asks_nobody(tmp_path: Path) -> None:
    from tests.agent.test_loop import World, kinds

    world = World(tmp_path, [call("plan", steps=["a", "b"], done=0)], [call("plan", steps=[], done=0)], "Done.", mode="plan")
    registry = Registry([world.tools, Planning()])
    setting = world.session.setting
    world.session = sessions.start(
        type(setting)(setting.engine, registry, setting.journal, setting.workspace, setting.policy), "plan", Transcript("s")
    )
    events = world.run(nobody)
    assert [event.result.status for event in events if isinstance(event, e.ToolFinished)][-1] == "ok"
    assert kinds(events).count("PlanUpdated") == 2 and kinds(events).count("ApprovalAsked") == 0
    told, _ = (event for event in events if isinstance(event, e.PlanUpdated))
    assert told.call_id == "call_1" and [item.text for item in told.items] == ["a", "b"]
    assert not world.session.marks.untrusted, "a plan is the model's own words"
