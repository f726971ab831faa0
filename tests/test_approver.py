"""Questions on a real terminal: a pseudo-terminal takes the place of the controlling one."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.headless import TerminalApprover
from localagent.values import Answer, Change, Decision, ToolCall

CALL = ToolCall("1", "write_file", {"path": "a.txt"})


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TerminalApprover, int]]:
    person, ours = pty.openpty()
    monkeypatch.setattr("localagent.headless.TTY", os.ttyname(ours))
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
    answer, said = ask(terminal, "a", "s", "n", decision=Decision("ask", "sends a message"))
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


def test_the_dangerous_part_of_a_command_is_pointed_at(
    terminal: tuple[TerminalApprover, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "CALL", ToolCall("1", "run", {"command": "ls && rm -rf build"}))
    _, said = ask(terminal, "n", decision=ASKED)
    assert "deletes files:" in said
    assert "\n          ^^^^^^^^^^^^" in said.replace("\r", "")
    assert "\x1b[" not in said
