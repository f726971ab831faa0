"""The user's own plugins: off until their bytes are confirmed, and never other bytes than those."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from localagent import wiring
from localagent.agent import offering
from localagent.agent.offering import Offering
from localagent.commands import tools as command
from localagent.errors import ConfigError, UsageError
from localagent.jobs import frozen
from localagent.policy import floor
from localagent.policy.decide import Context
from localagent.policy.rules import Rules
from localagent.sandbox import launch
from localagent.store import paths, trusted
from localagent.toolbox import own
from localagent.toolbox.plugins import PluginSource
from localagent.toolbox.registry import Registry
from localagent.values import Text, ToolCall, ToolResult
from localagent.wiring import standing

HELLO = 'from localagent import tool\n\n@tool(effects=["compute"])\ndef hello(name: str) -> str:\n    "Greet."\n    return "{} " + name\n'


@pytest.fixture
def folder(isolated: Path) -> Path:
    made = trusted.plugins_folder()
    made.mkdir()
    return made


def look(*taken: str, unsandboxed: bool = False) -> list[own.Own]:
    return asyncio.run(own.look(taken, unsandboxed=unsandboxed))


def says(tmp_path: Path) -> str:
    """What the tool that is on answers."""

    async def ask() -> str:
        given, _ = await own.running(unsandboxed=False)
        folders = {"workspace": tmp_path, "scratch": tmp_path / "scratch", "spill": tmp_path / "spill"}
        source = PluginSource((), given=given, **folders)
        assert await source.load() == []
        results = [item async for item in source.call(ToolCall("c", "hello", {"name": "Ann"}))]
        assert isinstance(results[-1], ToolResult) and isinstance(results[-1].parts[0], Text)
        return results[-1].text

    return asyncio.run(ask())


def test_a_file_is_off_until_confirmed_and_then_exactly_those_bytes_run(folder: Path, tmp_path: Path) -> None:
    assert launch.probe().name == "bubblewrap"
    file = folder / "hello.py"
    file.write_text(HELLO.format("Hello"))
    (one,) = look()
    assert (one.state, [s.name for s in one.now.specs], one.running, one.problems) == ("off", ["hello"], None, ())
    assert asyncio.run(own.running(unsandboxed=False)) == ([], ())
    own.confirm(one)
    assert look()[0].state == "on" and says(tmp_path) == "Hello Ann"

    file.write_text(HELLO.format("Bye"))
    (one,) = look()
    assert one.state == "changed" and says(tmp_path) == "Hello Ann"
    # Changed again after it was looked at: what was looked at is what is confirmed.
    file.write_text(HELLO.format("Evil"))
    own.confirm(one)
    assert says(tmp_path) == "Bye Ann" and look()[0].state == "changed"

    file.write_text("def broken(:\n")
    (one,) = look()
    assert one.state == "changed" and one.running and f"{file}:1:" in one.problems[0] and says(tmp_path) == "Bye Ann"
    with pytest.raises(ConfigError, match="cannot be confirmed"):
        own.confirm(one)
    assert len(list((paths.state_dir() / "plugins").glob("*.py"))) == 1
    file.unlink()
    assert asyncio.run(own.running(unsandboxed=False)) == ([], ())


def test_a_confirmed_copy_that_was_tampered_with_does_not_run(folder: Path) -> None:
    (folder / "hello.py").write_text(HELLO.format("Hello"))
    own.confirm(look()[0])
    (copy,) = (paths.state_dir() / "plugins").glob("*.py")
    copy.write_text(HELLO.format("Evil"))
    made, problems = asyncio.run(own.running(unsandboxed=False))
    assert made == [] and "the copy that was confirmed is gone" in problems[0] and look()[0].state == "off"
    (paths.state_dir() / "plugins" / "trusted.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        look()
    here = Path.cwd()
    known = asyncio.run(wiring.registry(here, here, plugins=True))
    assert any("damaged" in problem for problem in known.problems) and known.spec("read_file") is not None


def test_they_are_found_and_not_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = Path.cwd()
    bare = asyncio.run(wiring.registry(here, here, plugins=True))
    (folder / "hello.py").write_text(HELLO.format("Hello"))
    own.confirm(look()[0])
    known = asyncio.run(wiring.registry(here, here, plugins=True))
    assert [spec.name for spec in known.findable()] == [*(spec.name for spec in bare.findable()), "hello"]
    assert known.specs() == (*bare.specs(), offering.SEARCH), "what we ship is no reason to list a search"
    job = {name for name, _ in frozen.tools(known, ["hello"])}
    assert job == {"hello", "tool_search"} and "hello" in dict(frozen.tools(known))
    assert _command("list") == 0
    told = capsys.readouterr().out
    assert told.index("Always there:") < told.index("tool_search") < told.index("Found when they fit") < told.index("Greet.")
    assert _command("search", "greet", "Ann", "with", "hello") == 0 and "offered" in capsys.readouterr().out
    assert _command("search", "--json", "greet") == 0
    assert [(row["name"], row["offered"]) for row in json.loads(capsys.readouterr().out)] == [("hello", False)]
    assert _command("search", "pullover") == 1 and f"None of the {len(known.findable())} tools fits." in capsys.readouterr().out


def test_names_that_collide_are_refused(folder: Path) -> None:
    (folder / "a.py").write_text(HELLO.format("A"))
    (folder / "b.py").write_text(HELLO.format("B"))
    (folder / "_helper.py").write_text("1/0")
    first, second = look()
    assert not first.problems and "is taken by" in second.problems[0] and str(first.file) in second.problems[0]
    assert "is taken by localagent" in look("hello")[0].problems[0]


def test_without_a_boundary_nothing_runs_before_it_is_confirmed(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (folder / "hello.py").write_text(f"open({str(mark)!r}, 'w')\n" + HELLO.format("Hello"))
    (one,) = look(unsandboxed=True)
    assert one.state == "off" and not one.now.specs and not mark.exists()
    assert any("without a sandbox" in line for line in own.told(one))


def test_what_is_confirmed_is_taken_into_a_running_conversation(folder: Path, tmp_path: Path) -> None:
    known = asyncio.run(wiring.registry(tmp_path, tmp_path / "spill", plugins=True))
    offering = Offering(known)
    assert known.spec("hello") is None and known.specs() == Registry(known.sources).specs()
    file = folder / "hello.py"
    file.write_text(HELLO.format("Hello"))
    (one,) = look()
    own.confirm(one)
    assert known.exchange(one.now) and "hello" in [spec.name for spec in known.findable()]
    offered = asyncio.run(offering.fitting("greet Ann with hello"))
    assert offered is not None and [spec.name for spec in offered.tools] == ["hello"]
    offering.note(offered, 1)
    assert offering.changed() is None

    file.write_text(HELLO.format("Bye").replace("name: str", "who: str").replace("+ name", "+ who"))
    (one,) = look()
    own.confirm(one)
    assert known.exchange(one.now)
    changed = offering.changed()
    # Told anew behind what was shown, which stays as it is.
    assert changed is not None and changed.changed == ("hello",) and "who" in changed.tools[0].parameters["properties"]

    async def says() -> str:
        return [item async for item in known.call(ToolCall("c", "hello", {"who": "Ann"}))][-1].text  # type: ignore[union-attr]

    assert asyncio.run(says()) == "Bye Ann"
    assert known.exchange(replace(one.now, specs=())) and known.spec("hello") is None


def test_no_rule_lets_the_agent_write_there(folder: Path, isolated: Path) -> None:
    protected = tuple(str(made()) for made in standing.OWN_FOLDERS)
    ctx = Context("auto", str(isolated), Rules(), True, str(isolated), protected=protected)
    for path in (folder / "new.py", paths.state_dir() / "plugins" / "trusted.json"):
        assert "localagent's own files" in floor.writing(str(path), ctx)


def _command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    here = Path.cwd()
    return command.run(parser.parse_args(argv), asyncio.run(wiring.registry(here, here, plugins=True)))


def test_the_command_asks_a_person_at_a_terminal(folder: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "hello.py").write_text(HELLO.format("Hello"))
    with pytest.raises(UsageError, match="Only a person"):
        _command("trust", "hello.py")
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    for said, code in (("", 1), ("n", 1), ("yes", 0)):
        monkeypatch.setattr("builtins.input", lambda _, said=said: said)
        assert _command("trust", str(folder / "hello.py")) == code
    told = capsys.readouterr().out
    assert "sha256   " in told and "tool     hello (compute): Greet." in told and "On, from the next conversation" in told
    assert _command("list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["hello"]["state"] == "on" and "state" not in rows["read_file"]
    (folder / "hello.py").write_text(HELLO.format("Bye"))
    assert _command("list") == 0 and "hello.py  changed since it was confirmed" in capsys.readouterr().out
    assert _command("info", "hello") == 0 and '"name"' in capsys.readouterr().out
    assert _command("trust", "hello", "--off") == 0 and look()[0].state == "off"
    with pytest.raises(UsageError, match="no plugin"):
        _command("trust", "nothing.py")
