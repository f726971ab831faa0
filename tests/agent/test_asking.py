"""Questions: bound to what runs, never put twice for the same thing, each answer for its own call alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import binding
from localagent.policy import rules
from localagent.policy.context import Context
from localagent.store import audit, grants
from localagent.values import Answer, Change, Decision, Text, ToolCall, ToolResult, ToolSpec
from tests.agent.test_loop import World, ended, kinds, results, write
from tests.fakes import call, deny_all, nobody

RUN = ("run",)
SPEC = ToolSpec("run", "", {}, RUN)


class Open(World):
    """Without a boundary: a program asks before it runs."""

    def context(self, mode: Any, granted: tuple[str, ...], lost: int) -> Context:
        kept = tuple(rules.parse(text) for text in granted)
        return Context(mode, str(self.workspace), rules.Rules(kept=kept), False, str(Path.home()), lost_before=lost)


class Counting:
    """An approver that gives these answers one after the other, the last one again and again."""

    def __init__(self, *given: Answer) -> None:
        self._given = list(given)
        self.asked: list[tuple[ToolCall, Decision]] = []

    async def __call__(self, made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        self.asked.append((made, decision))
        return self._given.pop(0) if len(self._given) > 1 else self._given[0]


YES, NO = Answer("allow"), Answer("deny", note="the user said: not that one")


def open_world(tmp: Path, *steps: Any) -> Open:
    """Every second call changes something, so that no call is taken for a mere repetition."""
    world = Open(tmp, *steps, run=(RUN, lambda args: "ran"))
    number = iter(range(100))
    world.tools._tools["write"] = (("write:fs",), lambda args: write(world.workspace, f"{next(number)}.txt", "x"))
    return world


def test_a_denied_call_is_denied_again_unasked_and_the_model_hears_why(tmp_path: Path) -> None:
    again = [call("run", command="./x")]
    world = open_world(tmp_path, again, [call("write", path="a")], again, "ok")
    approve = Counting(NO, YES, NO)
    events = world.run(approve)
    assert [made.name for made, _ in approve.asked] == ["run", "write"]
    told = [one.text for one in results(events) if one.status == "denied"]
    assert len(told) == 2 and all("not that one" in text for text in told) and "asked the same before" in told[1]
    assert ended(events).questions == 2 and [c.name for c in world.tools.calls] == ["write"]


def test_what_was_allowed_once_is_not_asked_again_in_this_run_but_in_the_next(tmp_path: Path) -> None:
    again = [call("run", command="./x")]
    world = open_world(tmp_path, again, [call("write", path="a")], again, "ok", again, "ok")
    approve = Counting(YES)
    world.run(approve)
    assert [made.name for made, _ in approve.asked] == ["run", "write"] and len(world.tools.calls) == 3
    world.run(approve)
    assert [made.name for made, _ in approve.asked] == ["run", "write", "run"]


def test_the_same_call_with_another_effect_is_a_new_question(tmp_path: Path) -> None:
    contents = iter("ab")

    def changed(args: dict[str, Any]) -> ToolResult:
        made = write(world.workspace, "a.txt", next(contents))
        here = world.workspace / "a.txt"
        change = made.requests[0]
        before = hashlib.sha256(here.read_bytes()).hexdigest() if here.exists() else ""
        new = Change("write", change.path, content=change.content, before=before, after=change.after, size=change.size)
        return ToolResult("", made.parts, requests=(new,))

    same = [call("odd", path="a.txt")]
    world = World(tmp_path, same, [call("write", path="b")], same, "ok", odd=(("write:fs",), changed))
    approve = Counting(YES)
    world.run(approve)
    assert [made.name for made, _ in approve.asked] == ["odd", "write", "odd"] and (world.workspace / "a.txt").read_text() == "b"


def test_a_message_is_asked_about_each_time(tmp_path: Path) -> None:
    message = [call("tell", path="hello")]
    world = World(tmp_path, message, [call("write", path="a")], message, "ok", tell=(("send",), lambda args: "sent"))
    approve = Counting(YES)
    world.run(approve)
    assert [made.name for made, _ in approve.asked] == ["tell", "write", "tell"]


@pytest.mark.parametrize("changed", ["script", "program", "folder", "environment"])
def test_what_is_not_what_was_approved_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    world = open_world(tmp_path, [call("run", command="./x && bash setup.sh")], "ok")
    for name in ("x", "setup.sh"):
        (world.workspace / name).write_text("#!/bin/sh\n")
        (world.workspace / name).chmod(0o755)

    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        if changed == "folder":
            world.workspace.rename(tmp_path / "gone")
            world.workspace.mkdir()
        elif changed == "environment":
            monkeypatch.setenv("LC_ODD", "1")
        else:
            (world.workspace / ("x" if changed == "program" else "setup.sh")).write_text("#!/bin/sh\nrm -rf ~\n")
        return YES

    (result,) = results(world.run(approve))
    assert result.status == "failed" and "not what the user agreed to" in result.text and world.tools.calls == []


def test_the_hash_holds_everything_that_decides_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = Context("ask", str(tmp_path))
    (tmp_path / "Makefile").write_text("all:\n")
    made = ToolCall("1", "run", {"command": "make all"})
    first = binding.bind(made, SPEC, ctx, "tool")
    assert binding.bind(ToolCall("2", "run", {"command": "make all"}), SPEC, ctx, "tool") == first
    others = [
        binding.bind(ToolCall("1", "run", {"command": "make  all"}), SPEC, ctx, "tool"),
        binding.bind(ToolCall("1", "run", {"command": "make all", "timeout": 5}), SPEC, ctx, "tool"),
        binding.bind(made, SPEC, ctx, "another tool"),
        binding.bind(made, ToolSpec("run", "", {}, ("run", "net")), ctx, "tool"),
        binding.bind(made, SPEC, Context("ask", str(tmp_path.parent)), "tool"),
    ]
    (tmp_path / "Makefile").write_text("all:\n\trm -rf ~\n")
    others.append(binding.bind(made, SPEC, ctx, "tool"))
    monkeypatch.setenv("PATH", f"{tmp_path}")
    others.append(binding.bind(made, SPEC, ctx, "tool"))
    assert len({first, *others}) == 8


def test_an_answer_serves_its_own_call_alone(tmp_path: Path) -> None:
    """Two calls wait at once; answers come in the other order, twice, and after a cancel."""
    worlds = []
    for name in "abc":
        (tmp_path / name).mkdir()
        worlds.append(open_world(tmp_path / name, [call("run", command=f"./{name}")], "ok"))
    waiting: dict[str, asyncio.Future[Answer]] = {}
    everybody = asyncio.Event()

    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        waiting[made.args["command"]] = future = asyncio.get_running_loop().create_future()
        if len(waiting) == 3:
            everybody.set()
        return await asyncio.shield(future)

    async def turn(world: World) -> list[e.Event]:
        return [event async for event in world.session.send("go", approve)]

    async def run() -> list[Any]:
        tasks = [asyncio.create_task(turn(world)) for world in worlds]
        await everybody.wait()
        tasks[2].cancel()
        await asyncio.sleep(0.05)
        waiting["./c"].set_result(YES)
        waiting["./b"].set_result(NO)
        waiting["./a"].set_result(YES)
        with pytest.raises(asyncio.InvalidStateError):
            waiting["./b"].set_result(YES)
        return await asyncio.gather(*tasks, return_exceptions=True)

    done = asyncio.run(run())
    assert [[c.args["command"] for c in world.tools.calls] for world in worlds] == [["./a"], [], []]
    assert isinstance(done[2], asyncio.CancelledError)


@pytest.mark.parametrize("answer", [None, True, "yes", object()])
def test_an_answer_of_another_form_is_no(tmp_path: Path, answer: Any) -> None:
    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Any:
        return answer

    world = World(tmp_path, [call("write", path="a.txt")], "ok")
    assert results(world.run(approve))[0].status == "denied" and not (world.workspace / "a.txt").exists()


def test_a_kept_rule_holds_for_the_program_as_it_was(tmp_path: Path) -> None:
    one, two = [call("run", command="./x 1")], [call("run", command="./x 1")]
    world = open_world(tmp_path, one, [call("write", path="a")], "ok", two, "ok", two, "ok")
    script = world.workspace / "x"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    approve = Counting(Answer("allow", "folder"), YES)
    world.run(approve)
    assert len(approve.asked) == 2
    world.run(approve)
    assert len(approve.asked) == 2, "the rule holds in the next turn"
    (kept,) = grants.load(str(world.workspace))
    assert kept.rule == "run(./x 1)" and kept.folder == str(world.workspace) and str(script) in kept.bound
    script.write_text("#!/bin/sh\nrm -rf ~\n")
    world.run(approve)
    assert len(approve.asked) == 3, "another program of that name asks again"


@pytest.mark.parametrize(
    "command",
    ["sudo ls", "bash x.sh", "python3 -c 'print(1)'", "env FOO=1 ls", "timeout 5 ls", "xargs rm", "curl x | sh", "ls; id",
     "find . -exec rm {} +", "busybox ls", "perl -e 1", "node x.js", "$(id)", "doas id", "ls > x", "nice ls"],
)  # fmt: skip
def test_never_stored(command: str, tmp_path: Path) -> None:
    ctx = Context("ask", str(tmp_path), boundary=False)
    assert rules.remembered(ToolCall("1", "run", {"command": command}), SPEC, (), ctx) == ""


@pytest.mark.parametrize("rule", ["run(*)", "run(sudo ls)", "run(bash -c id)", "run(sh x)", "run(python3 -c 1)", "run(python3 *)",
                                  "run(env ls)", "run(curl x | sh)", "run(xargs rm)", "run(find . -delete)", "run(ls; id)"])  # fmt: skip
def test_not_even_by_hand(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    from localagent import cli

    assert cli.main(["approvals", "add", rule]) == 3
    assert "never stored" in capsys.readouterr().err and grants.load() == []


def test_every_decision_and_effect_is_recorded_without_contents(tmp_path: Path) -> None:
    def program(args: dict[str, Any]) -> ToolResult:
        from localagent.values import Receipt

        ran = Receipt("ran", {"command": args["command"], "exit_code": 3, "seconds": 0.1})
        return ToolResult("", (Text("private words"),), "failed", receipts=(ran,))

    steps = [call("run", command="FOO=1 git log | sort 'hush'")], [call("write", path="a.txt")], [call("look", path=".")]
    world = World(tmp_path, *steps, "ok", run=(RUN, program))
    world.run(Counting(YES))
    lines = list(audit.read())
    assert [(line["what"], line["tool"]) for line in lines] == [
        ("decided", "run"), ("ran", "run"), ("decided", "write"), ("decided", "write"), ("changed", "write"), ("decided", "look"),
    ]  # fmt: skip
    assert lines[1]["program"] == "git sort" and lines[1]["exit_code"] == 3 and lines[1]["bytes"] == len("private words")
    assert lines[3]["by"] == "person" and lines[3]["scope"] == "once" and lines[2]["by"] == "rules"
    assert lines[4]["changes"][0]["path"].endswith("a.txt") and len(lines[4]["changes"][0]["after"]) == 64
    text = json.dumps(lines)
    assert "private words" not in text and "hush" not in text and "new\\n" not in text
    assert audit.verify() == audit.Checked(6)


def test_where_nothing_can_be_recorded_nothing_is_done(tmp_path: Path) -> None:
    from dataclasses import replace

    from localagent.errors import StoreError

    def full(what: str, facts: Any) -> None:
        raise StoreError("the disk is full")

    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="auto")
    world.session.setting = replace(world.session.setting, record=full)
    (result,) = results(world.run())
    assert result.status == "failed" and "full" in result.text and not (world.workspace / "a.txt").exists()


def test_the_model_hears_which_call_it_was_in_the_end(tmp_path: Path) -> None:
    world = open_world(tmp_path, [call("run", command="rm -rf a")], "ok")
    approve = Counting(Answer("allow", edited_args={"command": "rm -rf b"}), YES)
    events = world.run(approve)
    assert [made.args["command"] for made, _ in approve.asked] == ["rm -rf a", "rm -rf b"], "judged and asked again"
    assert [c.args["command"] for c in world.tools.calls] == ["rm -rf b"]
    assert "The user changed this call" in results(events)[0].text and "rm -rf b" in results(events)[0].text
    assert kinds(events).count("ToolFinished") == 1


def test_nobody_there_counts_as_a_question(tmp_path: Path) -> None:
    end = ended(World(tmp_path, [call("write", path="a.txt")], "ok").run(nobody))
    assert end.questions == 1 and end.denied
    assert ended(World(tmp_path, [call("look", path="a.txt")], "ok").run(deny_all)).questions == 0


def test_where_nobody_was_asked_nobody_said_no(tmp_path: Path) -> None:
    again = [call("run", command="./x")]
    world = open_world(tmp_path, again, [call("write", path="a")], again, "ok")
    told = [one.text for one in results(world.run(nobody)) if one.status == "denied"]
    assert len(told) >= 2 and not any("the user" in text and "said no" in text for text in told), told
