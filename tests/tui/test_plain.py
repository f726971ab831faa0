"""The conversation in plain lines: through a pseudo-terminal, and the sentences by themselves."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from localagent import cli, interactive
from localagent.engine import models
from localagent.events import MessageDone, Notice, PrefillProgress, TextDelta, ThinkingDelta, TurnEnded, TurnStarted
from localagent.store import grants, settings
from localagent.tui import lasting, plain
from localagent.tui.telling import Telling
from localagent.tui.view import View, reduce
from localagent.values import Message, Text, Timings, Usage

from .terminal import Terminal

pytestmark = pytest.mark.slow

DONE = (Usage(10, 5, 0), Timings(0.0, 1.0, 1.0))


def _answer(app: Terminal, text: str) -> None:
    app.until("Your answer: ")
    app.read_for(0.6)
    app.type(text)


def test_a_conversation_in_plain_lines(work: Path) -> None:
    with Terminal("plain", "dumb") as app:
        app.until("ask> ")
        app.type("hello\n")
        app.until("Answer: Short and **good**.\r\n  Second line.\r\n")
        app.until("ask> ")
        app.type("write\n")
        told = app.until("Enter alone means no.")
        assert "create a.txt (8 bytes)" in told and "+two" in told and "1 or y: yes, once" in told
        _answer(app, "\n")
        app.until("write was denied.")
        assert not (work / "a.txt").exists()
        app.until("ask> ")
        app.type("write\n")
        app.until("Your answer: ")
        app.type("y\n")
        app.until("too soon")
        _answer(app, "perhaps\n")
        app.until("Please answer with one of these")
        _answer(app, "1\n")
        app.until("write is done.")
        assert (work / "a.txt").read_text() == "one\ntwo\n"
        app.until("ask> ")
        app.type("/changes\n")
        assert "1: " in app.until("Number, or Enter for none: ")
        app.type("1\n")
        assert "+two" in app.until("Your choice, or Enter for none: ")
        app.read_for(0.6)
        app.type("u\n")
        app.until("Undid step")
        assert not (work / "a.txt").exists()
        app.until("ask> ")
        app.type("write\n")
        _answer(app, "e\n")
        app.until("Call: ")
        app.type('{"path": "b.txt", "content": "edited"}\n')
        assert "b.txt" in app.until("Enter alone means no.")
        _answer(app, "a\n")
        app.until("Rule: ")
        app.until("write(b.txt)")
        app.type("\n")
        app.until("write is done.")
        assert (work / "b.txt").read_text() == "edited" and grants.load(str(work))[0].rule == "write(b.txt)"
        app.until("ask> ")
        app.type("remove\n")
        told = app.until("Enter alone means no.")
        assert "Dangerous: rm -rf build" in told and "Dangerous: curl https://x.sh" in told
        _answer(app, "n not this one\n")
        app.until("the user said: not this one")
        app.until("ask> ")
        app.type("forever\n")
        app.until("Answer: It begins")
        app.type("\x03")
        app.until("Interrupted.")
        app.until("ask> ")
        app.type("!echo own\n")
        app.until("  own\r\n")
        app.until("Your command ended: exit 0")
        app.until("ask> ")
        app.type("/rename\n")
        app.until("A title for this conversation: ")
        app.type("Plain talk\n")
        app.until("called \"Plain talk\" now")
        app.until("ask> ")
        app.type("/sessions\n")
        assert "1: Plain talk" in app.until("Number, or Enter for none: ")
        app.type("\n")
        app.until("ask> ")
        app.type("/theme\n")
        app.until("needs the app with a screen")
        app.until("ask> ")
        app.type("\x04")
        assert app.ends() == 0
        assert "\x1b" not in app.seen and not set(app.seen) & set("─━│╭╰⠋█")


def test_a_terminal_that_goes_ends_it_with_what_was_said_kept() -> None:
    with Terminal("plain", "dumb") as app:
        app.until("ask> ")
        app.type("forever\n")
        app.until("It begins")
        app.hang_up()
        assert app.ends() == 129
    lines = _transcript().read_text().splitlines()
    assert '"cancelled"' in lines[-1]


def _transcript() -> Path:
    (found,) = (Path.home() / "state" / "sessions").glob("*/transcript.jsonl")
    return found


@pytest.mark.parametrize(
    ("asked", "setting", "term", "is_plain"),
    [(True, False, "xterm", True), (False, True, "xterm", True), (False, False, "dumb", True), (False, False, "xterm", False)],
)
def test_plain_lines_are_chosen_by_option_setting_and_terminal(monkeypatch, asked, setting, term, is_plain) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(models, "ready", lambda *_: SimpleNamespace())
    settings.set_value("plain", "true" if setting else "false")
    ran: list[str] = []
    monkeypatch.setattr(plain.Plain, "run", lambda self: ran.append("plain") or 0)
    monkeypatch.setattr(lasting, "run", lambda app: ran.append("screen") or 0)
    interactive.start(lambda argv: SimpleNamespace(), plain=asked)
    assert ran == ["plain" if is_plain else "screen"]


def test_plain_lines_need_a_person_at_a_terminal(capsys) -> None:
    assert cli.main(["--plain"]) == cli.Exit.USAGE
    assert "--plain needs a terminal" in capsys.readouterr().err


def _told(*events: object) -> list[list[str]]:
    telling, view, told = Telling("/w"), View(), []
    for event in events:
        view = reduce(view, event, time.monotonic())  # type: ignore[arg-type]
        told.append(telling.new(view))
    return told


def test_every_sentence_is_told_once_and_whole_lines_as_they_come() -> None:
    told = _told(
        TurnStarted("1", Message("user", (Text("go"),)), "m", "ask", "/w", 0.0),
        PrefillProgress(0, 4000, 0),
        PrefillProgress(900, 4000, 0),
        PrefillProgress(2100, 4000, 0),
        ThinkingDelta("hm"),
        ThinkingDelta("hm"),
        TextDelta("one "),
        TextDelta("line\ntwo"),
        TextDelta(" lines"),
        MessageDone(Message("assistant", (Text("one line\ntwo lines"),)), *DONE),
        Notice("Mind \x1b[31mthis.", "warning"),
        TurnEnded("time"),
    )
    assert told == [
        [],
        ["Reading 4,000 tokens: 0%"],
        [],
        ["Reading 4,000 tokens: 50%"],
        ["Thinking."],
        [],
        [],
        ["Answer: one line"],
        [],
        ["  two lines"],
        ["Careful: Mind \\u{1b}[31mthis."],
        ["The time budget is spent.", "nothing changed, nothing sent"],
    ]
