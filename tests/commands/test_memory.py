"""`localagent memory`, and who is told what is remembered."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from localagent import wiring
from localagent.commands import arguments
from localagent.commands import memory as command
from localagent.errors import UsageError
from localagent.store import memory, settings
from tests.fakes import ScriptedEngine

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(argv))


def told(capsys: Capture, *argv: str) -> list[dict[str, object]]:
    capsys.readouterr()
    run(*argv, "--json")
    return json.loads(capsys.readouterr().out)


def test_added_listed_searched_forgotten(capsys: Capture, here: Path) -> None:
    assert run() == 0 and "Nothing is remembered yet" in capsys.readouterr().out
    assert run("add", "my sister's name", "is Anna") == 0 and run("add", "--here", "the build is make all") == 0
    assert f"Remembered for {here}: the build is make all" in capsys.readouterr().out
    rows = told(capsys, "list")
    assert [(row["text"], row["source"], row["folder"]) for row in rows] == [
        ("my sister's name is Anna", "you", None),
        ("the build is make all", "you", str(here)),
    ]
    assert [row["file"] for row in told(capsys, "path")] == [row["file"] for row in rows]
    assert run("search", "what is my sister called?") == 0 and "  told      my sister's name is Anna" in capsys.readouterr().out
    assert run("search", "rain in Spain") == 1
    assert [(row["id"], row["shown"]) for row in told(capsys, "search", "how do I build this")] == [(rows[1]["id"], True)]
    assert run("forget", "sister") == 0 and run("forget", str(rows[1]["id"])) == 0 and told(capsys, "list") == []
    with pytest.raises(UsageError, match="Nothing that is remembered"):
        run("forget", "sister")


def test_a_terminal_is_safe_from_what_a_file_holds_and_secrets_stay_out(capsys: Capture) -> None:
    memory.begin(memory.own_book()).write_bytes(b"- \x1b]0;owned\x07tea\xc2\x9b2J <!-- \x1b[31m2026 -->\n- \xe2\x80\xaeabc\n")
    assert run("list") == 0
    printed = capsys.readouterr().out
    assert "tea" in printed and all(line.isprintable() for line in printed.splitlines())
    with pytest.raises(UsageError, match="looks like a secret"):
        run("add", "the token is ghp_abcdefghijklmnopqrstuvwxyz0123456789")
    assert b"ghp_" not in memory.own_book().path.read_bytes()


def test_an_editor_gets_the_file(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "edit -w")
    with pytest.raises(UsageError, match="needs a terminal"):
        run("edit")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(os, "execvp", lambda _, argv: started.append(argv))
    assert not run("edit")
    file = memory.own_book().path
    assert started == [["edit", "-w", str(file)]] and file.read_text().startswith("# What localagent remembers")
    monkeypatch.setenv("EDITOR", "'")
    with pytest.raises(UsageError, match=r"No editor is named.*"):
        run("edit")


@pytest.mark.parametrize(
    ("words", "how", "memory_setting", "books", "tool"),
    [
        ((), {}, True, 2, True),
        (("--no-memory",), {}, True, 0, False),
        ((), {}, False, 0, False),
        ((), {"narrow": True}, True, 0, False),
        ((), {"job": True}, True, 0, False),
    ],
)
def test_chats_jobs_and_who_wants_none_have_no_memory(
    here: Path, words: tuple[str, ...], how: dict[str, bool], memory_setting: bool, books: int, tool: bool
) -> None:
    async def made() -> None:
        args = arguments.of_do(["-", "--cwd", str(here), *words])
        session = await wiring.for_do(args, ScriptedEngine(), replace(settings.Settings(), memory=memory_setting), **how)
        try:
            beside = session.setting.beside
            assert (len(beside.books), beside.own) == (books, not how.get("narrow", False)) and beside.workspace == here
            assert (session.setting.registry.spec("remember") is not None) == tool
        finally:
            await session.setting.registry.aclose()

    asyncio.run(made())
