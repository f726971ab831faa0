"""A plan with checks in a turn: "done" is said where they hold, and the host says so where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from localagent import events as e
from localagent.agent import session as sessions
from localagent.agent.session import Setting
from localagent.toolbox import checks
from localagent.toolbox.planning import Planning
from localagent.toolbox.registry import Registry
from localagent.values import Receipt, Text, ToolResult
from tests.agent.test_loop import World, ended, results
from tests.fakes import approve_all, call

STEP = {"do": "Write a.txt", "checks": ["exists a.txt"]}


def world(tmp: Path, *steps: Any, given: tuple[str, ...] = (), **tools: Any) -> World:
    made = World(tmp, *steps, mode="auto", **tools)
    old = made.session.setting
    setting = Setting(
        old.engine, Registry([made.tools, Planning()]), old.journal, old.workspace, old.policy, checks=tuple(map(checks.parse, given))
    )
    made.session = sessions.start(setting, "auto", made.session.transcript)
    return made


def nudges(events: list[e.Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, e.Nudged)]


def plans(events: list[e.Event]) -> list[list[bool]]:
    return [[item.done for item in event.items] for event in events if isinstance(event, e.PlanUpdated)]


def test_done_is_not_taken_before_its_check_holds(tmp_path: Path) -> None:
    events = world(
        tmp_path,
        [call("plan", done=0, steps=[STEP, "Tell"])],
        [call("plan", done=1)],
        [call("write", path="a.txt")],
        [call("plan", done=1)],
        [call("plan", done=2)],
        "Done.",
    ).run(approve_all)
    assert plans(events) == [[False, False], [False, False], [True, False], [True, True]]
    told = [one.text for one in results(events) if one.call_id != "call_3"]
    assert told[0] == "Noted. Now do: Write a.txt" and "exists a.txt: there is no such file" in told[1]
    assert told[2:] == ["Noted. Now do: Tell", "Noted. All steps are done."]
    assert [(one.check, one.ok, one.step) for one in ended(events).checks] == [("exists a.txt", True, "Write a.txt")]


def test_a_model_that_says_done_hears_what_fails_twice_and_then_the_host_says_so(tmp_path: Path) -> None:
    events = world(tmp_path, "I wrote it.", "It is there.", "Really.", "Sure.", "Yes.", given=("exists a.txt",)).run(approve_all)
    failing = [text for text in nudges(events) if "exists a.txt: there is no such file" in text]
    assert len(failing) == 2 and "plainly" not in failing[0] and "plainly" in failing[1]
    (check,) = ended(events).checks
    assert ended(events).status == "done" and (check.ok, check.why) == (False, "there is no such file or folder")


def test_a_check_that_is_mended_holds_and_ticks_its_step(tmp_path: Path) -> None:
    script = [[call("plan", done=0, steps=[STEP])], "Done.", [call("write", path="a.txt")], "Now it is there."]
    events = world(tmp_path, *script).run(approve_all)
    assert plans(events)[-1] == [True] and all(one.ok for one in ended(events).checks) and ended(events).final == "Now it is there."


def test_open_steps_are_told_once_at_the_end_and_the_next_one_every_six_calls(tmp_path: Path) -> None:
    looks: list[Any] = [[call("look", path=str(n))] for n in range(7)]
    events = world(tmp_path, [call("plan", done=0, steps=["Look", "Tell"])], *looks, "Here.", "There.").run(approve_all)
    told = nudges(events)
    assert told[0].startswith("Step 1 of 2 of your plan is open: Look") and told[1].startswith("Your plan has open steps:\n- Look\n- Tell")
    assert len(told) == 2 and ended(events).final == "There."


def ran(code: int, text: str = "out") -> ToolResult:
    return ToolResult("", (Text(text),), "ok" if not code else "failed", receipts=(Receipt("ran", {"command": "x", "exit_code": code}),))


def test_a_command_is_run_by_the_tool_and_what_it_changes_is_thrown_away(tmp_path: Path) -> None:
    from dataclasses import replace

    from tests.agent.test_loop import write

    made: World

    def run(args: dict[str, Any]) -> ToolResult:
        return replace(ran(0 if "true" in args["command"] else 3), requests=write(made.workspace, "left.txt", "x").requests)

    made = world(tmp_path, "Done.", *["No."] * 5, given=("exit_code 0 true", "exit_code 0 false"), run=(("run",), run))
    events = made.run(approve_all)
    assert [(one.ok, one.why) for one in ended(events).checks] == [(True, ""), (False, "exit code 3: out")]
    assert not (made.workspace / "left.txt").exists() and ended(events).receipts == (), "a check is no deed"
    assert [one.args["command"] for one in made.tools.calls] == ["true", "false"], "nothing happened between, so it is not run again"
    assert made.session.marks.untrusted, "the output was shown to the model"


def test_a_receipt_is_the_hosts_and_never_the_models_word(tmp_path: Path) -> None:
    wanted = ("receipt changed a.txt", "receipt ran make", "receipt sent Ann", "receipt changed ../work/a.txt")
    events = world(tmp_path, [call("write", path="a.txt")], "I wrote it, ran make and told Ann.", "Yes.", "Yes.", "Yes.", given=wanted).run(
        approve_all
    )
    assert [one.ok for one in ended(events).checks] == [True, False, False, True]


def test_a_file_that_the_rules_close_tells_nothing(tmp_path: Path) -> None:
    from dataclasses import replace

    from localagent.policy import rules

    made = world(tmp_path, *["Done."] * 5, given=("contains secret.txt key", "absent secret.txt"))
    (made.workspace / "secret.txt").write_text("key")
    context = made.context
    made.session.setting = replace(
        made.session.setting, policy=lambda *at: replace(context(*at), rules=rules.Rules.of(deny=["read(secret.txt)"]))
    )
    assert {one.why for one in ended(made.run(approve_all)).checks} == {"the rules do not let the agent look at it"}


def test_a_spent_budget_ends_with_the_checks_as_they_are(tmp_path: Path) -> None:
    from dataclasses import replace

    from localagent.agent.budget import Budget

    made = world(tmp_path, [call("look", path="a")], given=("exists a.txt",))
    made.session.setting = replace(made.session.setting, budget=Budget(turns=1))
    last = ended(made.run(approve_all))
    assert last.status == "budget" and [one.ok for one in last.checks] == [False]


def test_a_plan_survives_its_transcript() -> None:
    from localagent.values import Checked, PlanItem

    event = e.PlanUpdated((PlanItem("a", True, (Checked("exists a", True),), ("write(a)",)),), "call_1")
    assert e.from_json(e.to_json(event)) == event


def test_the_hosts_line_says_what_happened_whatever_the_model_claims(tmp_path: Path) -> None:
    from localagent.agent import shown

    last = ended(world(tmp_path, *["I deleted everything and told Ann."] * 3).run(approve_all))
    assert last.final.startswith("I deleted everything") and shown.summary(last.receipts, "/w") == "nothing changed, nothing sent"
    sent = Receipt("sent", {"channel": "mail", "to": "Ann <a@b.c>", "state": "sent"})
    done = (Receipt("ran", {"command": "ls", "exit_code": 2}), Receipt("undone", {"step": 3, "files": 1, "again": False}))
    line = "ran ls (exit code 2); step 3 taken back by you (1 file)"
    assert shown.summary(done, "/w") == f"{line}; nothing changed, nothing sent"
    assert shown.summary((*done, sent), "/w") == f"{line}; sent: mail to Ann <a@b.c>"
    assert shown.summary((Receipt("changed", {"op": "write", "path": "/w/a\x1b[1m"}),), "/w") == "write a\\u{1b}[1m"


def test_a_tool_that_reaches_out_is_told_and_nothing_is_denied_of_it(tmp_path: Path) -> None:
    from localagent.agent import shown

    last = ended(world(tmp_path, [call("post", path="x")], "Done.", post=(("net",), lambda args: "ok")).run(approve_all))
    assert shown.summary(last.receipts, "/w") == "used post, which reaches beyond this machine; nothing changed here"
