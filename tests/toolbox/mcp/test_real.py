"""Five servers that we did not write, in the sandbox, listed from the disk, searched and called; one of them over HTTP too."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from localagent.sandbox import launch
from localagent.store import mcp, mcp_known
from localagent.store.mcp import Granted, Server
from localagent.toolbox import search
from localagent.toolbox.mcp import looking
from localagent.toolbox.mcp.source import McpSource
from localagent.values import ToolResult
from tests.toolbox.mcp.conftest import Place
from tests.toolbox.mcp.real import program
from tests.toolbox.mcp.test_source import going, undoing

# Each test runs without our variables: what is read here is read when they are collected.
_PROGRAMS = {name: program(name) for name in ("time", "git", "fetch", "sqlite", "filesystem", "everything")}
_REASON = "LOCALAGENT_TEST_MCP names no folder made by tests/toolbox/mcp/real.py, or this server could not be installed"


def server(name: str, *args: str, **granted: Any) -> Server:
    if not _PROGRAMS[name]:
        pytest.skip(f"{name}: {_REASON}")
    made = Server(name, _PROGRAMS[name], args, granted=Granted(**granted))
    return confirmed(made)


def confirmed(made: Server) -> Server:
    mcp.add(made)
    mcp_known.confirm(made.name, asyncio.run(looking.look(made)))
    return made


def call(place: Place, source: McpSource, tool: str, **args: Any) -> ToolResult:
    assert tool in {spec.name for spec in source.specs()}
    return going(source, lambda: place.call(source, tool, **args))


def test_time(place: Place) -> None:
    server("time", effects=("compute",))
    done = call(place, place.source(), "convert_time", source_timezone="Europe/Berlin", time="16:30", target_timezone="Asia/Tokyo")
    assert done.status == "ok" and "00:30" in done.text


def test_git(place: Place) -> None:
    for line in ("init -q -b main", "-c user.name=a -c user.email=a@b.test commit -q --allow-empty -m first"):
        subprocess.run(["git", *line.split()], cwd=place.workspace, check=True)
    server("git", effects=("read:fs",))
    done = call(place, place.source(), "git_log", repo_path=str(place.workspace))
    assert done.status == "ok" and "first" in done.text
    # It was granted to read: whatever it tries, nothing is written.
    (place.workspace / "a.txt").write_text("x")
    refused = call(place, place.source(), "git_add", repo_path=str(place.workspace), files=["a.txt"])
    kept = subprocess.run(["git", "ls-files"], cwd=place.workspace, capture_output=True, text=True, check=True).stdout
    assert refused.status == "failed" and not kept


def test_fetch_reaches_no_host_that_was_not_granted(place: Place) -> None:
    server("fetch", hosts=("example.org",))
    source = place.source()
    assert source.specs()[0].hosts == ("example.org",)
    done = call(place, source, "fetch", url="http://127.0.0.1:9/")
    assert done.status == "failed"


def test_sqlite_keeps_its_data_in_a_folder_of_its_own(place: Place) -> None:
    server("sqlite", "--db-path", "store.db", effects=("compute",))
    assert call(place, place.source(), "create_table", query="create table t (name text)").status == "ok"
    assert call(place, place.source(), "write_query", query="insert into t values ('Ada')").status == "ok"
    # Another process of it: what it kept is there.
    assert "Ada" in call(place, place.source(), "read_query", query="select name from t").text


def test_filesystem_works_on_the_files_and_can_be_undone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.workspace)
    made = server("filesystem", str(place.workspace), effects=("write:fs",))
    steps = undoing(place)
    source = place.source(undoing=steps)
    if launch.probe().name == "none":
        pytest.skip("there is no boundary here")
    target = place.workspace / "note.txt"
    done = call(place, source, "filesystem_write_file", path=str(target), content="hello")
    assert done.status == "ok" and target.read_text() == "hello"
    assert [dict(one.data) for one in done.receipts] == [{"op": "write", "path": str(target)}]
    assert "hello" in call(place, source, "read_text_file", path=str(target)).text
    steps._journal.undo(steps._journal.steps(1)[0].number)
    assert not target.exists()
    outside = call(place, source, "read_text_file", path="/etc/hostname")
    assert outside.status == "failed" and made.name == "filesystem"


def test_everything(place: Place) -> None:
    server("everything")
    source = place.source()

    async def work() -> list[ToolResult]:
        made = [await place.call(source, "trigger-long-running-operation", duration=0.5, steps=2)]
        assert len(place.said) == 2
        others = (("get-tiny-image", {}), ("everything_resource", {}), ("get-sum", {"a": 2, "b": 3}))
        return [*made, *[await place.call(source, name, **args) for name, args in others]]

    long, image, listed, summed = going(source, work)
    assert "completed" in long.text and "a picture, image/png" in image.text and "demo://" in listed.text and "5" in summed.text
    assert len(list(place.spill.glob("*.png"))) == 1


@contextmanager
def over_http() -> Iterator[str]:
    if not _PROGRAMS["everything"]:
        pytest.skip(f"everything: {_REASON}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {**os.environ, "PORT": str(port)}
    argv = [_PROGRAMS["everything"], "streamableHttp"]
    running = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for line in running.stderr or ():
            if str(port).encode() in line:
                break
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        running.terminate()
        running.wait(10)


def test_everything_over_http(place: Place) -> None:
    with over_http() as url:
        confirmed(Server("web", url=url))
        source = place.source()
        assert all(spec.effects == ("net",) for spec in source.specs())
        assert call(place, source, "echo", message="over there").text == "Echo: over there"


def test_tools_of_real_servers_are_found_without_starting_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("time", "git", "sqlite"):
        server(name)

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be started")

    monkeypatch.setattr(launch, "start", never)
    specs = tuple(place.source().specs())
    assert len(specs) >= 20
    asked = {"what time is it in Tokyo": "get_current_time", "show the git log": "git_log", "list the tables": "list_tables"}
    for words, wanted in asked.items():
        assert wanted in found(specs, words), words


def found(specs: tuple[Any, ...], words: str) -> list[str]:
    return [one.spec.name for one in search.Finder(specs).ranked(words)]

