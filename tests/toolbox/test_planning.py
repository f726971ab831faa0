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
from localagent.values import PlanItem, ToolCall, ToolResult
from tests.fakes import call, nobody


def result(args: dict[str, Any]) -> ToolResult:
    async def last() -> Any:
        return [item async for item in Planning().call(ToolCall("1", "plan", args))][-1]

    return asyncio.run(last())


def test_the_first_steps_are_done_and_the_next_one_is_told() -> None:
    assert planning.items({"steps": ["a", " b\nc "], "done": 1}) == (PlanItem("a", True), PlanItem("b c"))
    assert result({"steps": ["a", "b"], "done": 1}).text == "Noted. Now do: b"
    assert result({"steps": ["a"], "done": 7}).text == "Noted. All steps are done."
    assert result({"steps": [" "], "done": 0}).status == "failed"


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
    assert kinds(events).count("PlanUpdated") == 1 and kinds(events).count("ApprovalAsked") == 0
    (told,) = (event for event in events if isinstance(event, e.PlanUpdated))
    assert told.call_id == "call_1" and [item.text for item in told.items] == ["a", "b"]
    assert not world.session.marks.untrusted, "a plan is the model's own words"
