"""From events to what is shown: pure, so told as lists."""

from __future__ import annotations

import time
from typing import Any

from localagent.events import (
    ApprovalAsked,
    ApprovalGiven,
    ChangesCommitted,
    Event,
    MessageDone,
    Notice,
    Nudged,
    PrefillProgress,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolOutput,
    ToolsOffered,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from localagent.tui.blocks import ended_lines
from localagent.tui.view import (
    OUTPUT_KEPT,
    Asked,
    DiffsRead,
    Ended,
    Own,
    OwnCommand,
    Said,
    Told,
    Tool,
    View,
    reduce,
    replayed,
)
from localagent.values import (
    Answer,
    Change,
    Checked,
    Decision,
    Failure,
    Message,
    Receipt,
    Text,
    Timings,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)

CALL = ToolCall("call_1", "run", {"command": "make"})
BEGUN = TurnStarted("s", Message("user", (Text("build it"), Text("surroundings"))), "m", "ask", "/w", 0.0)


def view(*events: Any, begin: View | None = None) -> View:
    made = begin or View()
    for at, event in enumerate((BEGUN, *events)):
        made = reduce(made, event, float(at))
    return made


def said(text: str, *calls: ToolCall, thinking: str = "") -> MessageDone:
    return MessageDone(Message("assistant", (Text(text),), thinking, calls), Usage(100, 50, 20), Timings(0, 10, 500))


def finished(status: Any = "ok", *receipts: Receipt) -> ToolFinished:
    return ToolFinished(CALL, ToolResult("call_1", (Text("told"),), status, receipts=receipts), 1.5)


def test_deltas_grow_one_answer_and_the_whole_message_takes_its_place() -> None:
    growing = view(ThinkingDelta("hm"), TextDelta("Hel"), TextDelta("lo"))
    assert growing.items == (Asked("build it"), Said("Hello", "hm", live=True)) and growing.phase == "answering"
    done = view(ThinkingDelta("hm"), TextDelta("Hel"), said("Hello.", thinking="hm"), TurnEnded("done"))
    assert done.items[:2] == (Asked("build it"), Said("Hello.", "hm")) and not done.busy
    assert (done.used, done.speed) == (120, 40.0)


def test_an_answer_that_was_only_a_call_leaves_no_empty_text() -> None:
    assert view(TextDelta("\n"), said("", CALL)).items == (Asked("build it"),)


def test_a_call_is_one_card_from_its_question_to_its_end() -> None:
    changed = (Change("write", "/w/a", before=""),)
    ask = Decision("ask", "changes ask")
    so_far = view(said("", CALL), ToolStarted(CALL, Decision("allow", "")), ToolOutput("call_1", "a\n"))
    assert so_far.phase == "tool" and isinstance(so_far.items[1], Tool) and so_far.items[1].output == "a\n"
    asking = reduce(so_far, ApprovalAsked(CALL, ask, changed), 9.0)
    assert asking.items[1].state == "asking" and asking.phase == "asking" and asking.questions == 1
    events: list[Event | DiffsRead] = [
        ApprovalGiven("call_1", Answer("allow")),
        ChangesCommitted("call_1", 7, changed),
        DiffsRead("call_1", ("a\n+x",)),
        finished("ok", Receipt("ran", {"command": "make", "exit_code": 0})),
    ]
    for event in events:
        asking = reduce(asking, event, 10.0)
    card = asking.items[1]
    assert len(asking.items) == 2 and (card.state, card.step, card.exit_code, card.seconds) == ("ok", 7, 0, 1.5)
    assert card.diffs == ("a\n+x",) and card.changes == changed


def test_a_denied_call_and_one_that_was_never_run_are_cards_too() -> None:
    denied = view(ApprovalAsked(CALL, Decision("ask", "x")), ApprovalGiven("call_1", Answer("deny")))
    assert denied.items[1].state == "denied"
    assert view(finished("failed")).items[1].told == "told"


def test_what_was_open_is_closed_when_the_turn_ends() -> None:
    ended = view(TextDelta("Hel"), ToolStarted(CALL, Decision("allow", "")), TurnEnded("cancelled"))
    assert ended.items[1] == Said("Hel") and ended.items[2].state == "cancelled"
    assert ended.items[3] == Ended("cancelled", seconds=3.0) and ended.phase == "idle"


def test_each_turn_ends_with_the_hosts_own_account() -> None:
    lied = view(said("I deleted everything."), TurnEnded("done")).items
    assert lied == (Asked("build it"), Said("I deleted everything."), Ended("done", seconds=2.0))
    assert ended_lines(lied[2], "/w") == ["nothing changed, nothing sent"]
    checks = (Checked("exists a", True), Checked("exists b", False, "there is no such file", "Write it"))
    assert ended_lines(view(TurnEnded("done", checks=checks)).items[1], "/w") == [
        "A check failed: exists b (step: Write it): there is no such file",
        "nothing changed, nothing sent; 1 of 2 checks hold",
    ]
    failed = view(TurnEnded("failed", error=Failure("engine", "It stopped.")))
    assert failed.items[1] == Ended("failed", "It stopped.", seconds=1.0)
    receipt = Receipt("changed", {"op": "write", "path": "/w/a"})
    assert view(TurnEnded("done", receipts=(receipt,))).items[1].receipts == (receipt,)


def test_the_time_left_is_that_of_the_tokens_still_to_be_read() -> None:
    reading = view(PrefillProgress(100, 1100, 100)).reading
    assert reading is not None and reading.left(1.1) is None, "nothing was read yet"
    reading = view(PrefillProgress(100, 1100, 100), PrefillProgress(350, 1100, 100)).reading
    assert reading is not None and reading.left(2.0) == 3.0
    assert reading.left(9.0) == 24.0


def test_a_second_prompt_is_measured_from_its_own_beginning() -> None:
    again = view(PrefillProgress(900, 1000, 0), PrefillProgress(10, 2000, 0)).reading
    assert again is not None and (again.first, again.since) == (10, 2.0)


def test_a_programs_output_keeps_its_end() -> None:
    lots = view(ToolStarted(CALL, Decision("allow", "")), *[ToolOutput("call_1", "x" * 99 + "\n")] * 1000)
    output = lots.items[1].output
    assert len(output) <= OUTPUT_KEPT and output.endswith("x\n")


def test_notices_are_shown_and_nudges_are_not() -> None:
    assert view(Notice("careful", "warning"), Nudged("go on")).items[1:] == (Told("careful", "warning"),)


def test_offered_tools_are_one_line_without_anything_hidden() -> None:
    tools = tuple(ToolSpec(name, "[b]Come[/b]", {}) for name in ("weather", "a\u202eb"))
    assert view(ToolsOffered(tools)).items[1:] == (Told("Tools offered: weather, a\\u{202e}b"),)


def test_the_persons_own_command_is_one_card() -> None:
    own = view(OwnCommand("ls"), OwnCommand("ls", "a\n"), Notice("n"), OwnCommand("ls", "", 0, 0.5))
    assert own.items[1] == Own("ls", "a\n", 0, 0.5) and len(own.items) == 3


def test_a_stored_session_shows_what_the_running_one_showed() -> None:
    turn = [said("Hi.", CALL), ToolStarted(CALL, Decision("allow", "")), finished(), said("Done."), TurnEnded("done")]
    live = view(*turn, begin=view(*turn))
    stored = replayed([BEGUN, *turn, BEGUN, *turn])

    def without_clock(items: Any) -> list[Any]:
        return [(type(i), getattr(i, "text", ""), getattr(i, "state", "")) for i in items]

    assert without_clock(stored.all) == without_clock(live.all) and not stored.busy


def test_a_session_that_was_cut_off_is_not_running() -> None:
    cut = replayed([BEGUN, said("", CALL), ToolStarted(CALL, Decision("allow", ""))])
    assert cut.phase == "idle" and cut.items[1].state == "cancelled"


def test_a_long_history_makes_a_token_no_dearer() -> None:
    long = replayed([BEGUN, said("Hi."), TurnEnded("done")] * 5000)

    def cost(begin: View) -> float:
        made = reduce(begin, BEGUN, 0.0)
        best = 1.0
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(300):
                made = reduce(made, TextDelta("x"), 0.0)
            best = min(best, time.perf_counter() - started)
        return best

    assert len(long.all) == 15_000 and cost(long) < 5 * cost(View())
