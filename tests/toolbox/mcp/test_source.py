"""Servers that behave, and servers that do not: whatever they do costs one failed result, and the next call goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from localagent.sandbox import launch
from localagent.store import audit, credentials, mcp, mcp_known
from localagent.store.journal import Journal
from localagent.toolbox.mcp import owner, pipe
from localagent.toolbox.mcp.source import McpSource
from localagent.toolbox.mcp.undoing import Undoing
from localagent.toolbox.registry import Registry
from localagent.values import Receipt, ToolResult
from tests.agent.test_loop import World, ended, results
from tests.fakes import call
from tests.toolbox.mcp.conftest import Place, offered


def going(source: McpSource, work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        try:
            return await asyncio.wait_for(work(), 30)
        finally:
            await source.aclose()

    return asyncio.run(run())


def test_a_server_is_started_at_its_first_call_and_kept(place: Place) -> None:
    place.add("steps")
    source = place.source()
    assert [(spec.name, spec.effects, spec.source) for spec in source.specs()] == [
        ("say", (), "mcp:steps"),
        ("wipe", (), "mcp:steps"),
        ("steps_resource", (), "mcp:steps"),
    ]

    async def work() -> list[ToolResult]:
        first = await place.call(source, "say", text="hello")
        assert place.said == ["1/2 step 1\n", "2/2 step 2\n"]
        began = time.perf_counter()
        again = await place.call(source, "say", text="fail")
        assert time.perf_counter() - began < 0.5
        return [first, again, await place.call(source, "steps_resource"), await place.call(source, "steps_resource", uri="note://one")]

    first, again, listed, read = going(source, work)
    assert (first.text, first.status) == ("hello", "ok") and (again.text, again.status) == ("fail", "failed")
    assert listed.text.startswith("note://one") and "what the note says" in read.text


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("dies", "broke off: it ended with exit code 3. It said: out of cheese"),
        ("broken", "broke off: it sent a message that cannot be read"),
        ("floods", "broke off: it wrote more than is allowed"),
        ("chatters", "broke off: it wrote more than is allowed"),
        ("odd", "cannot be used"),
        ("hangs", "did not answer within 0.3 seconds"),
    ],
)
def test_what_a_server_does_wrong_costs_one_failed_result(
    place: Place, how: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipe, "LINE_BYTES", 4 << 20)
    monkeypatch.setattr(pipe, "BURST_BYTES", 8 << 20)
    place.add(how, timeout=0.3 if how == "hangs" else 20)
    place.add("steps", name="good")
    world = World(tmp_path, [call("say", text="x")], [call("good_say", text="still here")], "Done.", mode="yolo")
    source = place.source()
    world.session.setting.registry.add(source)

    async def work() -> list[Any]:
        return [event async for event in world.session.send("do it", lambda *_: None)]  # type: ignore[arg-type, return-value]

    events = going(source, work)
    bad, good = results(events)
    assert bad.status == "failed" and told in bad.text and len(bad.text) < 1000, bad
    assert (good.status, good.text) == ("ok", "still here") and ended(events).final == "Done."


@pytest.mark.parametrize(
    ("how", "told"), [("leaves", "exit code 1. It said: no settings found"), ("mute", "did not answer within 0.4 seconds")]
)
def test_one_that_does_not_start_is_tried_again_later_and_later(
    place: Place, how: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "START_S", 0.4)
    monkeypatch.setattr(owner, "_PATIENCE_S", 0.0)
    place.add(how)
    source = place.source()

    async def work() -> list[ToolResult]:
        return [await place.call(source, "say", text="x") for _ in range(3)]

    first, second, third = going(source, work)
    assert first.status == second.status == third.status == "failed"
    assert told in first.text and told in second.text and "has failed 2 times in a row and is tried again in" in third.text
    if how == "leaves":
        assert "no settings found" in mcp_known.log(how).read_text()


def test_text_that_is_no_message_is_left_out(place: Place) -> None:
    place.add("chatty")
    source = place.source()
    assert going(source, lambda: place.call(source, "say", text="hello")).text == "hello"


def test_a_call_that_is_given_up_is_told_to_the_server(place: Place) -> None:
    folder = place.workspace.parent / "shared"
    folder.mkdir()
    place.add("hangs", str(folder / "noted"), write=(str(folder),))
    source = place.source(undoing=undoing(place))

    async def work() -> None:
        running = asyncio.ensure_future(place.call(source, "say", text="x"))
        for _ in range(200):
            await asyncio.sleep(0.02)
            if any(one.running for _, one in source._connections.values()):
                break
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.wait([running])
        for _ in range(100):
            if (folder / "noted").exists():
                return
            await asyncio.sleep(0.02)

    going(source, work)
    assert (folder / "noted").read_text() == "cancelled\n"


def test_a_changed_tool_is_not_called_until_it_is_looked_at(place: Place) -> None:
    place.add("turns")
    source = place.source()

    async def work() -> list[ToolResult]:
        first = await place.call(source, "say", text="x")
        for _ in range(100):
            if not any(spec.name == "say" for spec in source.specs()):
                break
            await asyncio.sleep(0.02)
        return [first]

    (first,) = going(source, work)
    assert first.status == "ok" and [spec.name for spec in source.specs()] == ["wipe", "turns_resource"]
    assert source.problems == (
        "The MCP server turns offers 1 tool that you have not seen since you confirmed it. Look at it: localagent mcp trust turns",
    )
    # Changed while nobody looked: found out at the call.
    other = place.add("other")
    source = place.source()
    assert mcp_known.load("other").changes(other.identity) == 0 and "other_say" in {spec.name for spec in source.specs()}
    refused = going(source, lambda: place.call(source, "other_say", text="x"))
    assert refused.status == "failed" and "has changed say since the user confirmed it, so it was not called" in refused.text
    assert mcp_known.load("other").changes(other.identity) == 1


def test_another_command_under_the_same_name_has_to_be_confirmed_anew(place: Place) -> None:
    place.add("steps")
    mcp.remove("steps")
    source = place.source()
    assert source.specs() == []
    mcp.add(mcp.Server("steps", "/bin/sh"))
    assert source.specs() == [] and "is another one since you confirmed it" in source.problems[0]


def undoing(place: Place) -> Undoing:
    scratch = place.workspace.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Undoing(Journal(place.workspace.parent / "journal"), "s1", place.workspace, scratch, audit.append)


@pytest.mark.skipif(launch.probe().name == "none", reason="there is no boundary here")
def test_a_server_sees_and_gets_what_it_was_granted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_of_the_user")
    seen = place.workspace / "seen.txt"
    seen.write_text("mine")
    credentials.store("mcp:blind", "KEY", "s3cret-of-the-server")
    place.add("tells", str(seen), name="blind", env={"API_KEY": "${secret:KEY}"})
    place.add("tells", str(seen), name="reader", effects=("read:fs",))
    place.add("writes", str(place.workspace / "new.txt"), name="reading", effects=("read:fs",))

    def mask(text: str) -> str:
        return text.replace("s3cret-of-the-server", "[hidden]")

    source = place.source(mask=mask)
    by_name = {spec.name: spec for spec in source.specs()}
    # A destructive one asks whatever was granted.
    assert by_name["reader_say"].effects == ("read:fs",) and by_name["reader_wipe"].effects == ()

    async def work() -> list[ToolResult]:
        return [await place.call(source, name, text="x") for name in ("say", "reader_say", "reading_say")]

    blind, reader, refused = going(source, work)
    assert "sees=False" in blind.text and "GITHUB_TOKEN" not in blind.text and "API_KEY=[hidden]" in blind.text
    assert f"cwd={place.workspace}" in reader.text and "sees=True" in reader.text
    assert refused.status == "failed" and not (place.workspace / "new.txt").exists()
    assert "s3cret" not in blind.text + mcp.path().read_text()


@pytest.mark.skipif(launch.probe().name == "none", reason="there is no boundary here")
def test_what_a_server_writes_is_a_step_that_can_be_undone(place: Place) -> None:
    target = place.workspace / "new.txt"
    place.add("writes", str(target), effects=("write:fs",))
    assert place.source().specs() == []
    steps = undoing(place)
    source = place.source(undoing=steps)
    spec = source.specs()[0]
    assert spec.effects == ("read:fs", "run") and not spec.staged
    done = going(source, lambda: place.call(source, "say", text="made"))
    assert target.read_text() == "made" and done.receipts == (Receipt("changed", {"op": "write", "path": str(target)}),)
    journal = Journal(place.workspace.parent / "journal")
    assert [step.call for step in journal.steps(5)] == ["c1"]
    journal.undo(journal.steps(1)[0].number)
    assert not target.exists()


def test_arguments_are_checked_against_the_servers_own_schema_before_anybody_is_asked(place: Place, tmp_path: Path) -> None:
    place.add("steps")
    world = World(tmp_path, [call("say", text="x" * 21)], [call("say")], "Done.", mode="ask")
    world.session.setting.registry.add(place.source())
    long, missing = results(world.run())
    assert "'text': 'xxxxxxxxxxxxxxxxxxxxx' is too long" in long.text and "'text' is missing" in missing.text
    # Nobody was asked, and nothing was started.
    assert long.status == missing.status == "failed"


def test_nobody_to_ask_means_no_for_one_that_was_granted_nothing(place: Place, tmp_path: Path) -> None:
    place.add("steps")
    world = World(tmp_path, [call("say", text="x")], "Done.", mode="auto")
    world.session.setting.registry.add(place.source())
    events = world.run()
    assert [one.status for one in results(events)] == ["denied"] and ended(events).denied == ("tool(say)",)


def test_a_long_answer_goes_to_a_file(place: Place) -> None:
    place.add("long")
    source = place.source()
    done = going(source, lambda: place.call(source, "say", text="x"))
    assert len(done.text) < 7000 and done.spill and len(Path(done.spill).read_text()) == 50_000


def test_names_of_our_own_tools_are_never_taken(place: Place) -> None:
    place.add("steps", include=("s*",))
    source = place.source(taken={"say"})
    assert [spec.name for spec in source.specs()] == ["steps_say", "steps_resource"]
    # Once given it stays, whatever else comes and goes.
    assert [spec.name for spec in place.source().specs()] == ["steps_say", "steps_resource"]
    registry = Registry([source])
    assert registry.specs() == () and [spec.name for spec in registry.findable()] == ["steps_say", "steps_resource"]
    assert offered(mcp.one("steps")).tools[0].name == "say"
