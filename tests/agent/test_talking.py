"""The person's words in the middle of a turn, and what they did between turns: told once, in order, replayed the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import session as sessions
from localagent.agent.budget import Budget
from localagent.agent.session import Session
from localagent.engine import dialects
from localagent.engine.base import Generated
from localagent.errors import EngineError, UsageError
from localagent.store.transcript import Transcript
from localagent.values import Answer, Message, Text, ToolCall, ToolResult, ToolSpec
from tests.agent.test_loop import READ, World, ended, kinds
from tests.fakes import approve_all, call, nobody


def again(world: World) -> Session:
    """The same session read from its transcript."""
    return sessions.start(world.session.setting, "ask", Transcript(world.session.id), resumed=True)


def talk(world: World, *steers: str, when: type = e.MessageDone, text: str = "do it") -> list[e.Event]:
    """A turn in which these words are said at its first event of that kind."""

    async def collect() -> list[e.Event]:
        waiting, seen = list(steers), []
        async for event in world.session.send(text, nobody):
            seen.append(event)
            while waiting and isinstance(event, when):
                assert world.session.steer(waiting.pop(0))
        return seen

    return asyncio.run(collect())


def test_words_said_meanwhile_reach_the_model_before_its_next_answer_as_the_persons_own(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path="x"), call("look", path="y")], "Done.")
    (world.workspace / "b.csv").write_text("1,2\n")
    events = talk(world, "Only b.csv", "and quickly")
    after = kinds(events)
    assert after.index("Steered") > max(at for at, kind in enumerate(after) if kind == "ToolFinished")
    last = world.engine.asked[-1][0]
    assert [m.role for m in last[-4:]] == ["tool", "tool", "steer", "steer"]
    assert last[-2].parts[0] == Text("Only b.csv") and "1,2" in last[-2].text and last[-1].text == "and quickly"
    said, seen = world.session.talk.spoken()
    assert "Only b.csv" in said and "1,2" in seen and "1,2" not in said
    assert world.session.withdraw() == [] and again(world).history == world.session.history


def test_an_answer_is_not_the_last_one_where_something_was_said_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path, "Paris.", "Rome.")
    events = talk(world, "of Italy")
    assert kinds(events) == ["TurnStarted", "MessageDone", "Steered", "MessageDone", "TurnEnded"]
    assert ended(events).final == "Rome."


def test_what_the_model_was_not_given_is_given_back_once(tmp_path: Path) -> None:
    for number, (steps, budget) in enumerate(((("Paris.",), Budget(turns=1)), ((EngineError("It died."),), Budget()))):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, *steps, budget=budget)
        events = talk(world, "one", "two", when=e.TurnStarted if number else e.MessageDone)
        # The engine failed after it was given the words; the budget was spent before.
        given = kinds(events).count("Steered")
        assert world.session.withdraw() == (["one", "two"][given:]) and world.session.withdraw() == []
        assert ended(events).status == ("failed" if number else "done")
    assert not world.session.steer("too late") and world.session.withdraw() == []


def test_a_repeated_call_is_made_again_after_new_words(tmp_path: Path) -> None:
    looked = [call("look", path="x")]
    world = World(tmp_path, looked, looked, looked, "ok")
    done: list[str] = []

    async def whole() -> None:
        async for event in world.session.send("look", nobody):
            if isinstance(event, e.ToolFinished):
                done.append(event.result.text)
                if len(done) == 2:
                    world.session.steer("Look again, I changed it.")

    asyncio.run(whole())
    assert [text == "nothing to see" for text in done] == [True, False, True] and len(world.tools.calls) == 2


@pytest.mark.parametrize("name", dialects.names())
def test_in_every_form_words_said_meanwhile_are_a_users(name: str) -> None:
    takes = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    spec = ToolSpec("run", "Runs it.", takes, ("run",))
    made = ToolCall("call_1", "run", {"command": "ls"})
    begun = [
        Message("system", (Text("Be kind."),)),
        Message("user", (Text("Count them."),)),
        Message("assistant", thinking="First I look.", calls=(made,)),
        Message("tool", (Text("a b"),), result=ToolResult("call_1", (Text("a b"),))),
    ]
    dialect = dialects.by_name(name)

    def told(*more: Message) -> str:
        segments = dialect.render([*begun, *more], [spec], thinking=True)
        return "".join(str(s.ids) if isinstance(s, Generated) else s.text for s in segments)

    steered, hosted = told(Message("steer", (Text("Not b."),))), told(Message("host", (Text("Not b."),)))
    assert steered == hosted and "Not b." in steered


def test_a_coders_reminder_of_the_request_holds_what_was_added() -> None:
    coder = dialects.by_name("coder")
    result = ToolResult("call_1", (Text("a"),))
    history = [
        Message("user", (Text("Count them."), Text("[Files: a]"))),
        Message("assistant", calls=(ToolCall("call_1", "ls", {}),)),
        Message("tool", result.parts, result=result),
        Message("steer", (Text("Only the new ones."),)),
        Message("assistant", calls=(ToolCall("call_2", "ls", {}),)),
        Message("tool", result.parts, result=ToolResult("call_2", result.parts)),
    ]
    told = "".join(s.text for s in coder.render(history, (), thinking=False) if not isinstance(s, Generated))  # type: ignore[union-attr]
    assert told.count("Request: Count them.\n") == 1 and told.count("Request: Count them. Only the new ones.\n") == 1


def test_the_model_hears_what_was_undone_before_the_next_request(tmp_path: Path) -> None:
    world = World(tmp_path, [call("write", path="a.txt")], "Done.", "Hello.", mode="auto")
    world.run()
    world.session.took_back(1, [str(world.workspace / "a.txt"), "/etc/b"])
    world.session.took_back(1, [str(world.workspace / f"{n}.txt") for n in range(40)], again=True)
    world.run(text="hi")
    asked = world.engine.asked[-1][0]
    assert [m.role for m in asked[-3:]] == ["host", "host", "user"]
    assert (
        "undone step 1: a.txt, /etc/b" in asked[-3].text
        and "put back" in asked[-2].text
        and "28 more" in asked[-2].text
    )
    assert again(world).history == world.session.history


def test_an_undo_that_ends_in_a_running_turn_is_told_at_the_next_boundary(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path="x")], "Done.", EngineError("It died."))

    async def whole(when: type) -> list[e.Event]:
        seen = []
        async for event in world.session.send("do it", nobody):
            seen.append(event)
            if isinstance(event, when):
                world.session.took_back(len(seen), [])
        return seen

    events = asyncio.run(whole(e.ToolStarted))
    assert kinds(events).index("TakenBack") == kinds(events).index("ToolFinished") + 1
    asyncio.run(whole(e.TurnEnded))
    assert "undone step" in world.session.history[-1].text and again(world).history == world.session.history


def test_an_empty_conversation_need_not_hear_of_undoing(tmp_path: Path) -> None:
    world = World(tmp_path, "Hello.")
    world.session.took_back(4, ["/x"])
    assert kinds(world.run()) == ["TurnStarted", "MessageDone", "TurnEnded"] and len(world.session.history) == 2


def test_a_rewound_conversation_goes_on_where_it_was(tmp_path: Path) -> None:
    world = World(
        tmp_path, "One.", [call("write", path="a.txt")], "Two.", [call("look", path="x")], "Three.", mode="auto"
    )
    world.run(text="first")
    world.run(text="second")
    world.session.took_back(1, ["/gone"])
    world.session.rewind(1, [str(world.workspace / "b.txt")])
    roles = [m.role for m in world.session.history]
    assert roles == ["user", "assistant", "host", "host"] and "undone step 1" in world.session.history[2].text
    assert "went back" in world.session.history[3].text and "b.txt" in world.session.history[3].text
    assert "second" not in world.session.talk.spoken()[0]
    world.run(text="third")
    calls = [c.id for m in world.session.history for c in m.calls]
    assert calls == ["call_2"], "an id is not used twice in a session"
    replayed = again(world)
    assert replayed.history == world.session.history and replayed.talk.calls == world.session.talk.calls
    stored = [type(event).__name__ for event in Transcript(world.session.id).read()]
    assert stored.count("TurnStarted") == 3 and "Rewound" in stored, "the transcript only grows"
    world.session.rewind(0)
    assert [m.role for m in world.session.history] == ["host"] and again(world).history == world.session.history


def test_nothing_is_gone_back_to_that_is_not_there_or_while_a_turn_runs(tmp_path: Path) -> None:
    world = World(tmp_path, "One.")
    with pytest.raises(UsageError):
        world.session.rewind(0)

    async def whole() -> None:
        async for _ in world.session.send("first", nobody):
            with pytest.raises(UsageError):
                world.session.rewind(0)

    asyncio.run(whole())
    for wrong in (-1, 1, 7):
        with pytest.raises(UsageError):
            world.session.rewind(wrong)
    assert len(world.session.history) == 2


def test_marks_stay_when_a_conversation_goes_back(tmp_path: Path) -> None:
    world = World(tmp_path, [call("look", path="x")], "Seen.", look=(READ, lambda args: "text of others"))
    world.run()
    assert world.session.marks.untrusted
    world.session.rewind(0)
    assert world.session.marks.untrusted and again(world).marks.untrusted


def test_the_time_of_a_call_is_without_the_persons(tmp_path: Path) -> None:
    async def slowly(*question: Any) -> Any:
        await asyncio.sleep(0.3)
        return await approve_all(*question)

    world = World(tmp_path, [call("write", path="a.txt")], "Done.")
    finished = next(event for event in world.run(slowly) if isinstance(event, e.ToolFinished))
    assert finished.result.status == "ok" and 0 < finished.seconds < 0.25


def test_do_streams_and_keeps_words_said_meanwhile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from localagent import headless

    def look(args: dict[str, Any]) -> str:
        assert world.session.steer("Only b.csv")
        return "nothing to see"

    world = World(tmp_path, [call("look", path="x")], "Done.", look=(READ, look))
    asyncio.run(headless.do(world.session, "go", "", "stream-json", quiet=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (steered,) = (line for line in lines if line["event"] == "Steered")
    assert steered["message"]["parts"] == [{"type": "text", "text": "Only b.csv"}]
    assert steered in [e.to_json(event) for event in Transcript(world.session.id).read()]


def test_the_list_of_sessions_counts_the_requests_that_stand_and_finds_words_said_meanwhile(tmp_path: Path) -> None:
    from localagent.store.sessions import rows, search

    world = World(tmp_path, "One.", "Two.", "Three.", "Four.")
    talk(world, "only the zebras", text="first")
    world.run(text="second")
    assert [(row.goal, row.requests) for row in rows(9)] == [("first", 2)]
    world.session.rewind(1)
    assert [row.requests for row in rows(9)] == [1] and len(search("zebras")) == 1
    world.session.rewind(0)
    assert [(row.goal, row.requests) for row in rows(9)] == [("first", 1)], "it can still be found"


def test_what_was_refused_is_asked_about_again_after_new_words(tmp_path: Path) -> None:
    writing = [call("write", path="a.txt")]
    world = World(tmp_path, writing, writing, "Done.")
    asked: list[str] = []

    async def answer(made: Any, *question: Any) -> Any:
        asked.append(made.name)
        if len(asked) == 1:
            assert world.session.steer("Well, do it.")
            return Answer("deny")
        return Answer("allow")

    world.run(answer)
    assert len(asked) == 2 and (world.workspace / "a.txt").exists()


def test_undo_and_going_back_are_not_taken_for_changes_by_others(tmp_path: Path) -> None:
    writing = [call("write", path="a.txt")]
    world = World(tmp_path, "One.", writing, "Two.", "Three.", writing, "Four.", "Five.", mode="auto")
    made = world.workspace / "a.txt"
    for text in ("first", "second"):
        world.run(text=text)
    made.unlink()
    world.session.took_back(1, [str(made)])
    assert kinds(world.run(text="third")).count("Nudged") == 0
    world.run(text="fourth")
    assert str(made) in world.session.reads.known
    made.unlink()
    world.session.rewind(1)
    assert str(made) not in world.session.reads.known and not again(world).reads.known
    assert kinds(world.run(text="fifth")).count("Nudged") == 0
