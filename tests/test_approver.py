"""Questions on a real terminal: a pseudo-terminal takes the place of the controlling one."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.headless import TerminalApprover
from localagent.values import Answer, Change, Decision, ToolCall

CALL = ToolCall("1", "write_file", {"path": "a.txt"})


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TerminalApprover, int]]:
    person, ours = pty.openpty()
    monkeypatch.setattr("localagent.headless.terminal.TTY", os.ttyname(ours))
    yield TerminalApprover("/w"), person
    os.close(person)
    os.close(ours)


def ask(terminal: tuple[TerminalApprover, int], *answers: str, decision: Decision, changes: tuple[Change, ...] = ()) -> tuple[Answer, str]:
    approver, person = terminal

    async def run() -> tuple[Answer, str]:
        task = asyncio.create_task(approver(CALL, decision, changes))
        said = b""
        for answer in answers:
            while not said.endswith((b"] ", b"(JSON): ")):
                await asyncio.sleep(0.01)
                os.set_blocking(person, False)
                try:
                    said += os.read(person, 65536)
                except BlockingIOError:
                    continue
            os.write(person, answer.encode() + b"\n")
            said += b"\n"
        return await asyncio.wait_for(task, 5), said.decode()

    return asyncio.run(run())


ASKED = Decision("ask", "changes ask first", remember="write(a.txt)")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["y"], Answer("allow")),
        (["s"], Answer("allow", "session")),
        (["f"], Answer("allow", "folder")),
        (["a"], Answer("allow", "always")),
        (["n"], Answer("deny")),
        (["", "", "n"], Answer("deny")),
        (["x", "y"], Answer("allow")),
        (["use b.txt instead"], Answer("deny", note="the user said: use b.txt instead")),
        (["e", '{"path": "b.txt"}'], Answer("allow", edited_args={"path": "b.txt"})),
        (["e", "not json", "n"], Answer("deny")),
    ],
)
def test_each_key_does_what_it_says(
    terminal: tuple[TerminalApprover, int], answers: list[str], expected: Answer
) -> None:
    assert ask(terminal, *answers, decision=ASKED)[0] == expected


def test_what_may_not_be_remembered_is_not_offered(terminal: tuple[TerminalApprover, int]) -> None:
    answer, said = ask(terminal, "a", "s", "f", "n", decision=Decision("ask", "sends a message"))
    assert answer == Answer("deny") and "always" not in said


def test_what_was_typed_before_the_question_is_no_answer(terminal: tuple[TerminalApprover, int]) -> None:
    os.write(terminal[1], b"y\n")
    assert ask(terminal, "n", decision=ASKED)[0] == Answer("deny")


def test_the_effect_is_shown_with_its_hidden_characters(terminal: tuple[TerminalApprover, int], tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_text("safe\u202etxt.exe\n\x1b[2J")
    change = Change("write", "/w/\u202egpj.a", content=str(blob), before="", size=12)
    _, said = ask(terminal, "n", decision=ASKED, changes=(change,))
    assert "\u202e" not in said and "\\u{202e}gpj.a" in said and "\\u{1b}[2J" in said


def test_the_rule_is_shown_before_it_is_kept_and_where_it_holds(terminal: tuple[TerminalApprover, int]) -> None:
    assert "f this folder: write(a.txt)" in ask(terminal, "n", decision=ASKED)[1]
    everywhere = Decision("ask", "reaching the network", remember="net(example.org)")
    assert "a always, in every folder: net(example.org)" in ask(terminal, "n", decision=everywhere)[1]


def test_two_questions_are_asked_one_after_the_other(terminal: tuple[TerminalApprover, int]) -> None:
    approver, person = terminal
    os.set_blocking(person, False)

    async def read_until(end: bytes) -> bytes:
        said = b""
        while not said.endswith(end):
            await asyncio.sleep(0.01)
            try:
                said += os.read(person, 65536)
            except BlockingIOError:
                continue
        return said

    async def run() -> list[Answer]:
        calls = [ToolCall(str(n), "write_file", {"path": f"{n}.txt"}) for n in (1, 2)]
        tasks = [asyncio.create_task(approver(one, ASKED, ())) for one in calls]
        assert b"2.txt" not in await read_until(b"] ")
        os.write(person, b"y\n")
        assert b"2.txt" in await read_until(b"] ")
        os.write(person, b"n\n")
        return list(await asyncio.wait_for(asyncio.gather(*tasks), 5))

    assert asyncio.run(run()) == [Answer("allow"), Answer("deny")]


def test_an_answer_to_a_cancelled_question_serves_no_other(terminal: tuple[TerminalApprover, int]) -> None:
    approver, person = terminal

    async def run() -> None:
        task = asyncio.create_task(approver(CALL, ASKED, ()))
        await asyncio.sleep(0.1)
        task.cancel()
        os.write(person, b"y\n")
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    os.set_blocking(person, False)
    os.read(person, 65536)
    assert ask(terminal, "n", decision=ASKED)[0] == Answer("deny")


def test_a_text_that_is_cut_is_said_to_be_and_can_be_seen_whole() -> None:
    from localagent.agent import shown

    long = ToolCall("1", "run", {"command": "echo a\n" * 4000 + "rm -rf ~"})
    block = shown.call_block(long)
    assert "CUT: command has 28,008 characters, of which 8,008 are not shown" in block and "rm -rf ~" not in block
    assert shown.call_block(long, limit=10**9).rstrip().endswith("rm -rf ~")
    short = ToolCall("1", "run", {"command": "echo a\n" * 2000 + "rm -rf ~"})
    assert shown.call_block(short).rstrip().endswith("rm -rf ~")


@pytest.mark.parametrize(
    "hidden",
    ["\u202e", "\u200b", "\u2066", "\U000e0041", "\x1b", "\x07", "\r",
     "\u3164", "\ufe0f", "\u2800", "\u00a0", "\u00ad", "\ufeff", "\x9b"],
)  # fmt: skip
def test_what_cannot_be_seen_is_written_out(hidden: str) -> None:
    from localagent.agent import shown

    block = shown.call_block(ToolCall("1", f"to{hidden}ol", {f"a{hidden}b": f"x{hidden}y", "c": ["p", f"{hidden}q"]}))
    assert hidden not in block and block.count(f"\\u{{{ord(hidden):x}}}") >= 3
    assert hidden not in shown.call_line(ToolCall("1", "run", {"command": f"a{hidden}b"}))


def test_letters_that_only_look_alike_are_told() -> None:
    from localagent.agent import shown

    assert shown.forged_words("p\u0430ypal \u043f\u0440\u0438\u0432\u0435\u0442 paypal stra\u00dfe") == ["p\u0430ypal"]
    assert "CAREFUL" in shown.call_block(ToolCall("1", "send", {"to": "p\u0430ypal"}))
    assert shown.visible("e\u0301") == "e\u0301" and "\\u{30" in shown.visible("e" + "\u0301" * 9)
def test_the_dangerous_part_of_a_command_is_pointed_at(
    terminal: tuple[TerminalApprover, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "CALL", ToolCall("1", "run", {"command": "ls && rm -rf build"}))
    _, said = ask(terminal, "n", decision=ASKED)
    assert "deletes files:" in said
    assert "\n          ^^^^^^^^^^^^" in said.replace("\r", "")
    assert "\x1b[" not in said


def test_what_a_change_makes_runnable_is_said() -> None:
    from localagent.agent import shown

    made = Change("write", "/w/tool", after="0" * 64, size=3, mode=0o755)
    assert shown.change_lines([made], "/w")[0].endswith("(3 bytes, executable, mode 755)")
    assert "mode" not in shown.change_lines([replace(made, mode=0o644)], "/w")[0]
