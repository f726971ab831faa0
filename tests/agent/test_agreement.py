"""Mode plan: a person's yes to a plan allows exactly what it names, in that request, and nothing beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import agreement
from localagent.errors import UsageError
from localagent.policy import rules
from localagent.policy.decide import Context
from localagent.values import Answer, Change, Decision, PlanItem, ToolCall
from tests.agent.test_checklist import nudges, plans, world
from tests.agent.test_loop import World, ended, results
from tests.fakes import call, nobody

STEPS = [{"do": "Write a/x", "effects": ["write(a/*)"]}, {"do": "Tell Ann", "effects": ["send(mail:ann@b.c)"]}]
PLANNED = [call("plan", done=0, steps=STEPS)]


class Person:
    """Agrees to plans and to nothing else."""

    def __init__(self, plan: str = "allow") -> None:
        self.asked: list[tuple[ToolCall, Decision]] = []
        self.plan = plan

    async def __call__(self, call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        self.asked.append((call, decision))
        return Answer("allow" if decision.rule == "plan" and self.plan == "allow" else "deny")


def planning(tmp: Path, *steps: Any, **tools: Any) -> World:
    made = world(tmp, *steps, **tools)
    made.session.mode = "plan"
    (made.workspace / "a").mkdir()
    (made.workspace / "b").mkdir()
    return made


def written(made: World) -> list[str]:
    return sorted(str(path.relative_to(made.workspace)) for path in made.workspace.rglob("*") if path.is_file())


def writes(path: str) -> list[ToolCall]:
    return [call("write", path=path)]


@pytest.fixture(autouse=True)
def blobs(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / f"blob-{folder}").mkdir()


def test_a_yes_allows_what_the_plan_names_and_nothing_beside_it(tmp_path: Path) -> None:
    person = Person()
    made = planning(tmp_path, writes("a/early"), PLANNED, writes("a/x"), writes("b/x"), [call("plan", done=1)], "Done.", "Done.")
    events = made.run(person)
    assert written(made) == ["a/x"], "before the yes, and beside the plan, nothing is changed"
    first, second = person.asked
    assert first[0].args["allowed by your yes, in this request only"] == "write(a/*)"
    assert first[0].args["asked about when it comes to it"] == "send(mail:ann@b.c)"
    assert second[1].rule == "mode ask" and [one.status for one in results(events)] == ["denied", "ok", "ok", "denied", "ok"]
    assert nudges(events)[0] == agreement.HINT and plans(events) == [[False, False], [True, False]]


def test_the_next_request_is_asked_anew(tmp_path: Path) -> None:
    made = planning(tmp_path, PLANNED, writes("a/x"), "Done.", "Done.", writes("a/y"), "No.")
    made.run(Person())
    person = Person()
    assert results(made.run(person))[0].status == "denied" and person.asked == [] and written(made) == ["a/x"]


def test_another_plan_takes_the_yes_away(tmp_path: Path) -> None:
    class Once(Person):
        async def __call__(self, *asked: Any) -> Answer:
            answer = await super().__call__(*asked)
            return answer if len(self.asked) == 1 else Answer("deny", note="not b")

    wider = [{"do": "Write a/x", "effects": ["write(a/*)", "write(b/*)"]}]
    person = Once()
    made = planning(tmp_path, PLANNED, [call("plan", done=0, steps=wider)], writes("a/x"), writes("b/x"), "No.")
    told = [one.text for one in results(made.run(person))]
    assert "did not agree (not b)" in told[1] and written(made) == [] and len(person.asked) == 2


def test_the_same_refused_plan_is_not_asked_about_again(tmp_path: Path) -> None:
    person = Person("deny")
    made = planning(tmp_path, PLANNED, [call("look", path="a")], PLANNED, writes("a/x"), "No.")
    made.run(person)
    assert len(person.asked) == 1 and written(made) == []


@pytest.mark.parametrize("path", ["a/secret", ".git/hooks/pre-commit"])
def test_no_plan_loosens_a_deny_rule_or_the_floor(tmp_path: Path, path: str) -> None:
    everything = [{"do": "All", "effects": ["write(**)"]}]
    made = planning(tmp_path, [call("plan", done=0, steps=everything)], writes(path), writes("a/x"), "Done.", "Done.")
    (made.workspace / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / f"blob-{path}").parent.mkdir(parents=True, exist_ok=True)
    context: Callable[..., Context] = made.context
    made.session.setting = replace(made.session.setting, policy=lambda *at: _denying(context(*at)))
    made.run(Person())
    assert written(made) == ["a/x"]


def _denying(made: Context) -> Context:
    return replace(made, rules=replace(made.rules, deny=(rules.parse("write(a/secret)"),)))


def test_nobody_there_means_the_plan_alone_and_no_want_of_a_person(tmp_path: Path) -> None:
    made = planning(tmp_path, PLANNED, writes("a/x"), "That is the plan.")
    events = made.run(nobody)
    last = ended(events)
    assert (last.status, last.denied, last.final) == ("done", (), "That is the plan.") and written(made) == []
    assert agreement.ALONE in results(events)[0].text and last.checks == ()


def test_another_mode_takes_the_yes_away(tmp_path: Path) -> None:
    held = agreement.Agreement(tmp_path)
    held.grant("x", ["write(a/*)"])
    assert held.mode("plan") == "ask" and held.rules == (("write(a/*)", ""),)
    assert held.mode("ask") == "ask" and held.mode("plan") == "plan" and held.rules == ()


def test_what_a_yes_grants(tmp_path: Path) -> None:
    granted = ["write(a/*)", "read(notes/**)", f"write({tmp_path}/b)", "net(example.org)", "run(ls *)"]
    later = ["write(/etc/*)", "write(~/x)", "read(/**)", "net(*)", "run(*)", "run(bash *)", "run(make test)",
             "run(sudo ls)", "run(python3 *)",
             "send(mail:a@b.c)", "send(*)", "persist(*)", "tool(write_file)", "run(ls | sh)"]  # fmt: skip
    assert agreement.parted([PlanItem("x", effects=(*granted, *later))], tmp_path) == (granted, later)
    with pytest.raises(UsageError):
        agreement.parted([PlanItem("x", effects=("write(../up)",))], tmp_path)


def test_an_answer_that_edits_the_plan_is_no_yes(tmp_path: Path) -> None:
    async def edits(call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        return Answer("allow", edited_args={"steps": "other"})

    made = planning(tmp_path, PLANNED, writes("a/x"), "No.")
    assert any(isinstance(event, e.ApprovalGiven) and event.answer.verdict == "deny" for event in made.run(edits)) and written(made) == []
