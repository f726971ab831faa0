"""One turn, told as the list of its events: a scripted engine and fake tools, the real journal and policy."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import session as sessions
from localagent.agent.budget import Budget
from localagent.agent.dispatch import Approver
from localagent.agent.session import Session, Setting
from localagent.errors import EngineError
from localagent.policy import rules
from localagent.policy.decide import Context
from localagent.store.journal import Journal
from localagent.store.transcript import Transcript, new_id
from localagent.toolbox.registry import Registry
from localagent.values import Answer, Change, Decision, Message, Mode, Text, ToolCall, ToolResult, ToolSpec, Usage
from tests.fakes import FakeTools, ScriptedEngine, approve_all, call, deny_all, nobody

READ = ("read:fs",)
WRITE = ("write:fs",)


def write(workspace: Path, name: str, text: str) -> ToolResult:
    """What a write tool proposes."""
    blob = workspace.parent / f"blob-{name}"
    blob.write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    change = Change("write", str(workspace / name), content=str(blob), before="", after=digest, size=len(text))
    return ToolResult("", (Text(f"Wrote {name}."),), requests=(change,))


class World:
    """A workspace, tools that read and write it, and one session."""

    def __init__(self, tmp: Path, *steps: Any, mode: Mode = "ask", budget: Budget = Budget(), **tools: Any) -> None:
        self.workspace = tmp / "work"
        self.workspace.mkdir(exist_ok=True)
        self.engine = ScriptedEngine(*steps)
        self.tools = FakeTools(
            **{
                "look": (READ, lambda args: "nothing to see"),
                "write": (WRITE, lambda args: write(self.workspace, args["path"], "new\n")),
                **tools,
            }
        )
        setting = Setting(
            engine=self.engine,
            registry=Registry([self.tools]),
            journal=Journal(tmp / "journal"),
            workspace=self.workspace,
            policy=self.context,
            budget=budget,
        )
        self.session: Session = sessions.start(setting, mode, Transcript(new_id()))

    def context(self, mode: Mode, granted: tuple[str, ...], lost: int) -> Context:
        kept = tuple(rules.parse(text) for text in granted)
        return Context(mode, str(self.workspace), rules.Rules(kept=kept), True, str(Path.home()), lost_before=lost)

    def run(self, approve: Approver = nobody, text: str = "do it") -> list[e.Event]:
        async def collect() -> list[e.Event]:
            return [event async for event in self.session.send(text, approve)]

        return asyncio.run(collect())


def ends_slowly(journal: Journal, seconds: float) -> None:
    """The changes are on the disk already when this begins to wait."""
    finish = journal._finish

    def slowly(*args: Any, **named: Any) -> Any:
        time.sleep(seconds)
        return finish(*args, **named)

    journal._finish = slowly  # type: ignore[method-assign]


def kinds(events: Sequence[e.Event]) -> list[str]:
    return [type(event).__name__ for event in events if not isinstance(event, e.TextDelta | e.PrefillProgress)]


def ended(events: Sequence[e.Event]) -> e.TurnEnded:
    last = events[-1]
    assert isinstance(last, e.TurnEnded)
    return last


def results(events: Sequence[e.Event]) -> list[ToolResult]:
    return [event.result for event in events if isinstance(event, e.ToolFinished)]


def test_an_answer_without_calls_ends_the_turn(tmp_path: Path) -> None:
    events = World(tmp_path, "Paris.").run()
    assert kinds(events) == ["TurnStarted", "MessageDone", "TurnEnded"]
    assert (ended(events).status, ended(events).final) == ("done", "Paris.")


def test_a_reading_call_runs_unasked_and_its_result_goes_back(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path=".")], "Nothing there.")
    events = world.run()
    assert kinds(events) == ["TurnStarted", "MessageDone", "ToolStarted", "ToolFinished", "MessageDone", "TurnEnded"]
    assert world.engine.asked[1][0][-1].text == "nothing to see"
    assert ended(events).usage == Usage(20, 10, 6) and ended(events).turns == 2


def test_several_calls_of_one_answer_run_in_order(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path="a"), call("look", path="b")], "ok")
    world.run()
    assert [c.args["path"] for c in world.tools.calls] == ["a", "b"]
    assert len({c.id for c in world.tools.calls}) == 2


def test_a_change_is_asked_about_over_its_list_and_committed(tmp_path: Path) -> None:
    seen: list[tuple[Change, ...]] = []

    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        seen.append(changes)
        return Answer("allow")

    world = World(tmp_path, [call("write", path="a.txt")], "done")
    events = world.run(approve)
    assert "ApprovalAsked" in kinds(events) and "ChangesCommitted" in kinds(events)
    assert [c.path for c in seen[0]] == [str(world.workspace / "a.txt")]
    assert (world.workspace / "a.txt").read_text() == "new\n"
    assert ended(events).receipts[0].data["path"] == str(world.workspace / "a.txt")
    world.session.setting.journal.undo()
    assert not (world.workspace / "a.txt").exists()


def test_nobody_to_ask_means_no_and_names_the_rule_that_would_do(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "I was not allowed to.")
    end = ended(world.run(nobody))
    assert not (world.workspace / "a.txt").exists()
    assert end.status == "done" and end.final == "I was not allowed to."
    assert len(end.denied) == 1 and rules.parse(end.denied[0])
    again = World(tmp_path, [call("write", path="a.txt")], "ok")
    again.session._granted = tuple((rule, "") for rule in end.denied)
    assert ended(again.run(nobody)).denied == ()
    assert (again.workspace / "a.txt").exists()


def test_a_persons_no_throws_the_changes_away_and_is_not_counted_as_missing(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok")
    events = world.run(deny_all)
    assert results(events)[0].status == "denied"
    assert ended(events).denied == () and not (world.workspace / "a.txt").exists()


def test_auto_commits_without_a_question(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="auto")
    assert "ApprovalAsked" not in kinds(world.run(nobody))
    assert (world.workspace / "a.txt").exists()


def test_plan_mode_writes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="plan")
    events = world.run(approve_all)
    assert results(events)[0].status == "denied" and not (world.workspace / "a.txt").exists()


def test_a_session_grant_is_asked_for_once(tmp_path: Path) -> None:
    asked: list[str] = []

    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        asked.append(decision.remember)
        return Answer("allow", "session")

    world = World(tmp_path, [call("write", path="a.txt")], [call("write", path="a.txt")], "ok")
    world.tools._tools["write"] = (WRITE, lambda args: write(world.workspace, "a.txt", f"{time.monotonic_ns()}"))

    def fresh(args: dict[str, Any]) -> ToolResult:
        made = write(world.workspace, "a.txt", f"{time.monotonic_ns()}")
        current = world.workspace / "a.txt"
        before = hashlib.sha256(current.read_bytes()).hexdigest() if current.exists() else ""
        change = made.requests[0]
        return ToolResult(
            "",
            made.parts,
            requests=(
                Change(
                    "write", change.path, content=change.content, before=before, after=change.after, size=change.size
                ),
            ),
        )

    world.tools._tools["write"] = (WRITE, fresh)
    world.run(approve)
    assert len(asked) == 1 and asked[0]


def test_a_failing_tool_is_told_to_the_model(tmp_path: Path) -> None:
    def broken(args: dict[str, Any]) -> ToolResult:
        return ToolResult("", (Text("'x' does not exist. Files here: a.txt"),), "failed")

    world = World(tmp_path, [call("broken", path="x")], "It does not exist.", broken=(READ, broken))
    assert ended(world.run()).final == "It does not exist."
    assert "does not exist" in world.engine.asked[1][0][-1].text


def test_a_failed_deed_is_not_taken_for_done(tmp_path: Path) -> None:
    def broken(args: dict[str, Any]) -> ToolResult:
        return ToolResult("", (Text("exit code 1"),), "failed")

    world = World(tmp_path, [call("broken", path="x")], "I renamed it.", "It cannot be done.", broken=(WRITE, broken))
    events = world.run()
    assert kinds(events).count("Nudged") == 1 and ended(events).final == "It cannot be done."


def test_a_claim_of_change_without_any_change_is_questioned_once(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path=".")], "I wrote the file.", "I wrote the file.")
    events = world.run()
    assert kinds(events).count("Nudged") == 1 and ended(events).status == "done"


def test_an_unknown_tool_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    world = World(tmp_path, [call("fly")], "Sorry.")
    text = results(world.run())[0].text
    assert "fly" in text and "look" in text


def test_the_same_call_again_is_not_run_again(tmp_path: Path) -> None:
    same = [call("look", path=".")]
    world = World(tmp_path, same, same, same, "It is empty.")
    end = ended(world.run())
    assert len(world.tools.calls) == 1
    assert world.engine.asked[-1][1] == (), "the last answer is asked for without any tool in sight"
    assert end.final == "It is empty." and end.status == "done"


def test_the_same_call_is_run_again_after_a_change(tmp_path: Path) -> None:
    look = [call("look", path=".")]
    world = World(tmp_path, look, [call("write", path="a")], look, "ok", mode="auto")
    world.run()
    assert [c.name for c in world.tools.calls] == ["look", "write", "look"]


def test_code_that_was_only_described_is_asked_for_once(tmp_path: Path) -> None:
    world = World(tmp_path, "Use this:\n```python\nprint(1)\n```", "Use this:\n```python\nprint(1)\n```")
    events = world.run()
    assert kinds(events).count("Nudged") == 1 and ended(events).status == "done"


def test_a_cut_call_is_not_run(tmp_path: Path) -> None:
    cut = e.MessageDone(Message("assistant", calls=(call("write", path="a"),)), stop="length", cut=True)
    world = World(tmp_path, cut, "ok", mode="auto")
    events = world.run()
    assert world.tools.calls == [] and results(events)[0].status == "failed"


def test_an_engine_failure_ends_the_turn_with_its_sentence(tmp_path: Path) -> None:
    end = ended(World(tmp_path, EngineError("The engine stopped.", "Run it again.")).run())
    assert end.status == "failed" and end.error and "Run it again." in end.error.message


def test_budgets_of_turns_and_calls(tmp_path: Path) -> None:
    calls = [[call("look", path=str(n))] for n in range(9)]
    assert ended(World(tmp_path, *calls, budget=Budget(turns=3)).run()).status == "budget"
    world = World(tmp_path, *calls, budget=Budget(calls=2))
    assert ended(world.run()).status == "budget" and len(world.tools.calls) == 2


def test_the_time_budget_stops_a_slow_tool(tmp_path: Path) -> None:
    async def slow() -> str:
        await asyncio.sleep(30)
        return "late"

    world = World(tmp_path, [call("slow", path="x")], "ok", budget=Budget(seconds=0.3), slow=(READ, lambda a: slow()))
    started = time.monotonic()
    end = ended(world.run())
    assert end.status == "time" and time.monotonic() - started < 5
    assert world.session.history[-1].result is not None, "the open call is closed in the history"


def test_output_is_live(tmp_path: Path) -> None:
    world = World(tmp_path, [call("talk", path="x")], "ok", talk=(READ, lambda a: ["one\n", "two\n", "end"]))
    names = kinds(world.run())
    assert names.index("ToolOutput") < names.index("ToolFinished") and names.count("ToolOutput") == 2


def test_a_conflict_on_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="auto")
    (world.workspace / "a.txt").write_text("the user's own")
    result = results(world.run())[0]
    assert result.status == "failed" and "a.txt" in result.text
    assert (world.workspace / "a.txt").read_text() == "the user's own"


def test_cancelling_records_the_end_and_closes_the_open_call(tmp_path: Path) -> None:
    async def slow() -> str:
        await asyncio.sleep(30)
        return "late"

    world = World(tmp_path, [call("slow", path="x")], slow=(READ, lambda a: slow()))

    async def scenario() -> None:
        async def collect() -> None:
            async for _ in world.session.send("go", nobody):
                pass

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert world.session.ended and world.session.ended.status == "cancelled"
    assert world.session.history[-1].result and world.session.history[-1].result.status == "cancelled"


def test_a_commit_is_finished_and_told_even_when_interrupted(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="auto")
    ends_slowly(world.session.setting.journal, 0.5)
    seen: list[e.Event] = []

    async def scenario() -> None:
        async def collect() -> None:
            async for event in world.session.send("go", nobody):
                seen.append(event)

        task = asyncio.create_task(collect())
        for _ in range(2):
            await asyncio.sleep(0.15)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert (world.workspace / "a.txt").exists()
    assert "ChangesCommitted" in kinds(seen) and ended(seen).status == "cancelled"
    assert [r.data["op"] for r in ended(seen).receipts] == ["write"]


def test_the_time_budget_lets_a_commit_end_and_tells_it(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="auto", budget=Budget(seconds=0.3))
    ends_slowly(world.session.setting.journal, 0.6)
    events = world.run()
    assert ended(events).status == "time" and ended(events).receipts and (world.workspace / "a.txt").exists()
    assert results(events)[0].status == "ok", "the model is told on resume that it was done"


def test_arguments_edited_over_the_changes_make_a_new_call(tmp_path: Path) -> None:
    asked: list[str] = []

    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        asked.append(str(made.args["path"]))
        return Answer("allow", edited_args={"path": "b.txt"}) if len(asked) == 1 else Answer("allow")

    world = World(tmp_path, [call("write", path="a.txt")], "ok")
    world.run(approve)
    assert asked == ["a.txt", "b.txt"]
    assert [p.name for p in world.workspace.iterdir()] == ["b.txt"]


def test_a_torn_or_damaged_transcript_loses_only_its_damaged_lines(tmp_path: Path) -> None:
    world = World(tmp_path, "one", "two")
    world.run(text="first")
    lines = world.session.transcript.folder / "transcript.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(whole[:-20])
    (world.session.transcript.folder / "tokens.jsonl").write_text('{"message": 0}\n[]\n{"ids": 3}\nnonsense\n')
    again = sessions.start(world.session.setting, "ask", Transcript(world.session.id), resumed=True)
    world.session = again
    world.run(text="second")
    lines.write_bytes(lines.read_bytes() + b'{"event": "MessageDone", "message": 3}\n{"event": "TurnStarted"}\n')
    last = sessions.start(world.session.setting, "ask", Transcript(world.session.id), resumed=True)
    assert [m.role for m in last.history] == ["user", "assistant", "user", "assistant"]
    assert "second" in last.history[2].text


def test_a_resumed_session_has_the_same_history(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path=".")], "It is empty.")
    world.run()
    again = sessions.start(world.session.setting, "ask", Transcript(world.session.id), resumed=True)
    assert again.history == world.session.history
    assert again.ended == world.session.ended


def test_edited_arguments_are_judged_again(tmp_path: Path) -> None:
    asked: list[ToolCall] = []

    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        asked.append(made)
        return Answer("allow", edited_args={"path": "b.txt"}) if len(asked) == 1 else Answer("allow")

    world = World(tmp_path, [call("odd", path="a.txt")], "ok", odd=((), lambda args: args["path"]))
    events = world.run(approve)
    assert [c.args["path"] for c in asked] == ["a.txt", "b.txt"]
    assert results(events)[0].text.startswith("b.txt\n[The user changed this call")


def test_dry_run_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "ok", mode="auto")
    from dataclasses import replace

    world.session.setting = replace(world.session.setting, dry_run=True)
    events = world.run()
    assert not (world.workspace / "a.txt").exists() and ended(events).receipts == ()


class _Going:
    """A program on the files themselves, and a look at it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def specs(self) -> list[ToolSpec]:
        anything: dict[str, Any] = {"type": "object", "properties": {}}
        return [
            ToolSpec("start", "", anything, ("run",), "fake", staged=False),
            ToolSpec("watch", "", anything, ("compute",), "fake", staged=False),
            ToolSpec("tell", "", anything, ("send",), "fake"),
        ]

    async def call(self, made: ToolCall) -> AsyncIterator[str | ToolResult]:
        self.calls.append(made.name)
        if made.name == "start" and len(self.calls) > 3:
            await asyncio.sleep(60)
        yield ToolResult(made.id, (Text(f"look {len(self.calls)}"),))


def test_what_goes_on_by_itself_is_looked_at_again(tmp_path: Path) -> None:
    going, world = _Going(), World(tmp_path, *[[call("watch")]] * 3, "done")
    world.session.setting = replace(world.session.setting, registry=Registry([going]))
    assert [one.text for one in results(world.run())] == ["look 1", "look 2", "look 3"]


@pytest.mark.parametrize("name", ["start", "tell"])
def test_a_dry_run_does_nothing_that_no_commit_stands_behind(tmp_path: Path, name: str) -> None:
    async def approve(made: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        return Answer("allow")

    going, world = _Going(), World(tmp_path, [call(name)], "done")
    world.session.setting = replace(world.session.setting, registry=Registry([going]), dry_run=True)
    (told,) = results(world.run(approve))
    assert going.calls == [] and told.status == "ok" and "dry run" in told.text


def test_interrupted_while_it_worked_on_the_files_themselves_is_said(tmp_path: Path) -> None:
    going = _Going()
    going.calls = ["earlier"] * 3
    world = World(tmp_path, [call("start")], "done", mode="yolo")
    world.session.setting = replace(world.session.setting, registry=Registry([going]))

    async def main() -> list[e.Event]:
        seen: list[e.Event] = []

        async def turn() -> None:
            async for event in world.session.send("x", nobody):
                seen.append(event)

        task = asyncio.create_task(turn())
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return seen

    (told,) = results(asyncio.run(main()))
    assert told.status == "cancelled" and "nothing was changed" not in told.text and "stands" in told.text
