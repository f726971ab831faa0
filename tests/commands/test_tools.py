"""`localagent tools new|check|secret|trust`: written, tried, given what it needs, looked at."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from localagent import wiring
from localagent.commands import tools as command
from localagent.errors import UsageError
from localagent.store import instructions, toolkeys, trusted, trusted_folders
from localagent.toolbox import places
from tests.toolbox.test_own import HELLO

Capture = pytest.CaptureFixture[str]
SECRET = (
    "import os\nfrom localagent import tool, Write\n\n@tool(effects=['write:fs'], secrets=['MY_API_KEY'])\n"
    "def note(text: str):\n    'Keep a note.'\n    yield 'writing'\n    yield Write('note.txt', text + os.environ['MY_API_KEY'])\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tools(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    here = Path.cwd()
    return command.run(parser.parse_args(argv), asyncio.run(wiring.registry(here, here / "spill", plugins=True)))


def checked(capsys: Capture, *argv: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = tools("check", *argv, "--json")
    return code, json.loads(capsys.readouterr().out)


def test_a_new_plugin_is_on_and_its_test_passes(capsys: Capture) -> None:
    assert tools("new", "longest") == 0
    file = trusted.plugins_folder() / "longest.py"
    test = runpy.run_path(str(file.parent / "tests" / "test_longest.py"))
    test["test_the_longest_come_first"]()
    test["test_a_text_without_words_is_an_error_that_says_what_to_do"]()
    capsys.readouterr()
    assert tools("list", "--json") == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "longest")
    assert row["state"] == "on" and row["listed"] is False
    assert tools("info", "longest", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert 20 < row["tokens"] < 200 and row["parameters"]["required"] == ["text"] and row["state"] == "on"
    code, told = checked(capsys, str(file), "--call", '{"text": "a bee", "most": "1"}')
    assert code == 0 and told["call"]["text"] == "bee" and told["call"]["args"]["most"] == 1 and told["call"]["notes"]
    with pytest.raises(UsageError, match="there already"):
        tools("new", "longest")
    with pytest.raises(UsageError, match="no tool name"):
        tools("new", "../evil")


def test_check_tells_what_is_wrong_and_does_nothing_of_what_is_asked_for(here: Path, capsys: Capture) -> None:
    file = here / "note.py"
    file.write_text("def broken(:\n")
    code, told = checked(capsys, str(file))
    assert code == 1 and told["tools"] == [] and f"{file}:1: SyntaxError" in told["problems"][0]
    file.write_text(SECRET)
    code, told = checked(capsys, str(file))
    assert code == 0 and told["tools"][0]["secrets"] == ["MY_API_KEY"] and "call" not in told
    call = ("--call", '{"tool": "note", "args": {"text": "hi"}}')
    code, told = checked(capsys, str(file), *call)
    assert code == 1 and "would be given the secret MY_API_KEY, and nobody has confirmed these bytes" in told["problems"][0]
    code, told = checked(capsys, str(file), *call, "--grant")
    assert code == 1 and "localagent tools secret MY_API_KEY" in told["call"]["text"]
    toolkeys.store("MY_API_KEY", "my-own-secret")
    code, told = checked(capsys, str(file), *call, "--grant")
    assert code == 0 and told["call"]["asked"] == [{"kind": "write", "path": str(here / "note.txt"), "size": 15}]
    assert not (here / "note.txt").exists()
    code, told = checked(capsys, str(file), "--call", "{}", "--grant")
    assert code == 1 and "'text' is missing" in told["problems"][0]
    assert tools("check", str(file), *call, "--grant") == 0
    said = capsys.readouterr()
    assert "nothing of it was done" in said.out and "note.txt" in said.out and "writing" in said.err and "my-own-secret" not in str(said)
    for argv in ((str(file), "--call", "{"), (str(here / "none.py"),), (str(file), "--tool", "other", "--call", "{}")):
        with pytest.raises(UsageError):
            tools("check", *argv)


def test_a_secret_is_stored_listed_and_forgotten(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a-long-secret\nshort\n")
    os.close(writing)
    with os.fdopen(reading) as given:
        monkeypatch.setattr(sys, "stdin", given)
        assert tools("secret", "MY_API_KEY", "--stdin") == 0 and toolkeys.load("MY_API_KEY") == "a-long-secret"
        with pytest.raises(UsageError, match="fewer than 8 characters"):
            tools("secret", "OTHER_KEY", "--stdin")
    assert "a-long-secret" not in capsys.readouterr().out
    assert tools("secret") == 0 and capsys.readouterr().out == "MY_API_KEY\n"
    assert tools("secret", "MY_API_KEY", "--forget") == 0 and toolkeys.load("MY_API_KEY") is None and toolkeys.names() == set()
    with pytest.raises(UsageError, match="no name of a secret"):
        tools("secret", "LD_PRELOAD")


def test_a_project_is_trusted_by_a_person_at_a_terminal(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="has no plugins"):
        tools("trust", ".")
    places.project_folder(here).mkdir(parents=True)
    (places.project_folder(here) / "hello.py").write_text(HELLO.format("Hello"))
    with pytest.raises(UsageError, match="Only a person"):
        tools("trust", ".")
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert tools("trust", ".") == 0 and trusted_folders.trusts(here)
    assert tools("trust", "hello.py") == 0 and tools("trust", ".") == 0
    capsys.readouterr()
    assert tools("list") == 0 and f"hello.py  on (the project {here}): hello" in capsys.readouterr().out
    assert tools("trust", ".", "--off") == 0 and not trusted_folders.trusts(here)


def test_instructions_of_a_project_are_shown_whole_and_taken_or_not(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "AGENTS.md").write_text("Use tabs.\x1b[2J\nBe kind.\n")
    with pytest.raises(UsageError, match="Only a person"):
        tools("trust", ".")
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    said = iter(["n", "y", "y"])
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    assert tools("trust", ".") == 1 and instructions.look(here)[0].state == "off" and not trusted_folders.trusts(here)
    assert "Use tabs.\\u{1b}[2J\nBe kind.\n" in capsys.readouterr().out
    assert tools("trust", ".") == 0 and instructions.look(here)[0].state == "on" and trusted_folders.trusts(here)
    assert tools("trust", ".") == 0
    (here / "AGENTS.md").write_text("Use spaces.\n")
    capsys.readouterr()
    assert tools("trust", ".") == 0 and "+Use spaces." in capsys.readouterr().out and instructions.look(here)[0].counts == b"Use spaces.\n"
    assert tools("trust", ".", "--off") == 0 and instructions.look(here)[0].counts is None
    assert "does not count as instructions any more" in capsys.readouterr().out
