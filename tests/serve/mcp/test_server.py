"""Our tools for another agent: the official client on the other end, in both generations of the protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters

from localagent import wiring
from localagent.commands import arguments
from localagent.serve.mcp import asking, server
from localagent.serve.mcp.caller import Caller
from localagent.serve.mcp.server import ToolServer
from localagent.store import settings, trusted
from localagent.toolbox import own
from localagent.values import Decision, Outgoing, ToolCall

pytestmark = pytest.mark.slow

Use = Callable[[Any], Awaitable[Any]]
MODES = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])


class Person:
    """Answers questions with `says`, and keeps them."""

    def __init__(self, says: str, action: str = "accept") -> None:
        self.asked: list[types.ElicitRequestFormParams] = []
        self._says, self._action = says, action

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params)
        return types.ElicitResult(action=self._action, content={asking.NAME: self._says})  # type: ignore[arg-type]


def talk(work: Path, use: Use, person: Person | None, mode: str, *words: str) -> Any:
    async def whole() -> Any:
        caller = Caller()
        session = await wiring.for_do(arguments.of_do(["-", "--cwd", str(work), *words]), caller, settings.load())
        tools = ToolServer(session, caller, "1")
        try:
            async with Client(tools.server, mode=mode, elicitation_callback=person) as client:  # type: ignore[arg-type]
                return await asyncio.wait_for(use(client), 30)
        finally:
            await tools.aclose()

    return asyncio.run(whole())


def text(result: Any) -> str:
    return result.content[0].text


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@MODES
def test_the_tools_are_listed_and_looking_asks_nothing(work: Path, mode: str) -> None:
    (work / "a.txt").write_text("forty-two\n")

    async def use(client: Any) -> Any:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"read_file", "write_file", "run"} <= set(tools) and "plan" not in tools
        assert tools["read_file"].annotations.read_only_hint and tools["write_file"].annotations.destructive_hint
        assert tools["read_file"].input_schema["properties"]["path"]["type"] == "string"
        return await client.call_tool("read_file", {"path": "a.txt"})

    result = talk(work, use, None, mode)
    assert not result.is_error and "forty-two" in text(result)


def test_plugins_are_listed_and_the_search_for_them_is_not(work: Path) -> None:
    file = trusted.plugins_folder() / "hello.py"
    file.parent.mkdir()
    code = "from localagent import tool\n\n@tool(effects=['compute'])\ndef hello(who: str) -> str:\n    'Greet.'\n    return 'Hi ' + who\n"
    file.write_text(code)
    for one in asyncio.run(own.look(unsandboxed=False)):
        own.confirm(one)

    async def use(client: Any) -> Any:
        assert {"hello", "tool_search"} & {tool.name for tool in (await client.list_tools()).tools} == {"hello"}
        return await client.call_tool("hello", {"who": "Ann"})

    assert "Hi Ann" in text(talk(work, use, None, "legacy"))


@MODES
@pytest.mark.parametrize(
    ("says", "action", "made"),
    [("Yes, this once", "accept", True), ("No", "accept", False), ("Yes, this once", "decline", False), ("yes", "accept", False)],
)
def test_a_change_is_made_where_the_person_says_yes(work: Path, mode: str, says: str, action: str, made: bool) -> None:
    person = Person(says, action)
    result = talk(work, lambda c: c.call_tool("write_file", {"path": "a.txt", "content": "new\n"}), person, mode)
    (asked,) = person.asked
    assert "create a.txt (4 bytes)" in asked.message and "+new" in asked.message
    assert result.is_error is not made
    assert (work / "a.txt").exists() is made


@MODES
def test_what_is_kept_while_the_server_runs_asks_once(work: Path, mode: str) -> None:
    person = Person("Yes, as long as this server runs")

    async def use(client: Any) -> None:
        for content in ("1\n", "2\n"):
            await client.call_tool("write_file", {"path": "a.txt", "content": content})

    talk(work, use, person, mode)
    assert len(person.asked) == 1 and (work / "a.txt").read_text() == "2\n"


@MODES
def test_where_nobody_can_be_asked_the_rule_that_would_do_is_named(work: Path, mode: str) -> None:
    result = talk(work, lambda c: c.call_tool("write_file", {"path": "a.txt", "content": "x"}), None, mode)
    assert result.is_error and "--allow 'write(a.txt)'" in text(result) and not (work / "a.txt").exists()
    allowed = talk(
        work, lambda c: c.call_tool("write_file", {"path": "a.txt", "content": "x"}), None, mode, "--allow", "write(a.txt)"
    )
    assert not allowed.is_error and (work / "a.txt").read_text() == "x"


@MODES
def test_calls_at_once_come_one_after_the_other(work: Path, mode: str) -> None:
    async def use(client: Any) -> list[Any]:
        calls = [client.call_tool("run", {"command": f"echo {n}"}) for n in range(5)]
        return await asyncio.gather(*calls)

    assert [text(one) for one in talk(work, use, None, mode)] == [str(n) for n in range(5)]


@MODES
def test_wrong_calls_are_failed_results(work: Path, mode: str) -> None:
    async def use(client: Any) -> list[Any]:
        return [await client.call_tool("no_such", {}), await client.call_tool("read_file", {"wrong": 1})]

    unknown, wrong = talk(work, use, None, mode)
    assert unknown.is_error and "no tool" in text(unknown)
    assert wrong.is_error and "path" in text(wrong)


def test_an_answer_counts_for_its_own_question_alone(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yes = {asking.NAME: types.ElicitResult(action="accept", content={asking.NAME: "Yes, this once"})}

    async def use(client: Any) -> None:
        async def ask(args: Any, **more: Any) -> Any:
            return await client.session.call_tool("write_file", args, allow_input_required=True, **more)

        one, other = {"path": "a.txt", "content": "x"}, {"path": "b.txt", "content": "x"}
        asked = await ask(one)
        assert isinstance(asked, types.InputRequiredResult)
        stolen = await ask(other, input_responses=yes, request_state=asked.request_state)
        assert stolen.is_error and "another one's" in text(stolen)
        again = await ask(one, input_responses=yes, request_state=asked.request_state)
        assert again.is_error, "a question that was answered wrongly is over"
        free = await client.call_tool("run", {"command": "echo free"})
        assert text(free) == "free", "it holds up no other call"
        made_up = await ask(one, input_responses=yes, request_state="x")
        assert made_up.is_error

    monkeypatch.setattr(server, "_EXPIRY_S", 0.2)
    talk(work, use, Person("never asked"), "2026-07-28")
    assert list(work.iterdir()) == []

    async def late(client: Any) -> Any:
        one = {"path": "a.txt", "content": "x"}
        asked = await client.session.call_tool("write_file", one, allow_input_required=True)
        await asyncio.sleep(0.5)
        more = {"input_responses": yes, "request_state": asked.request_state}
        return await client.session.call_tool("write_file", one, allow_input_required=True, **more)

    assert "is over" in text(talk(work, late, Person("never asked"), "2026-07-28"))
    assert list(work.iterdir()) == []


def test_what_cannot_be_seen_whole_cannot_be_allowed() -> None:
    decision = Decision("ask", "because", remember="run(x *)")
    call = ToolCall("1", "run", {"command": "x" * 30_000})
    told = asking.text(call, decision, (), "/w")
    assert asking.schema(decision, told)["properties"][asking.NAME]["enum"] == ["No"]
    message = Outgoing("mail", "anna@example.org", "Hello\u202e Anna", name="Anna")
    told = asking.text(ToolCall("1", "send_message", {}), decision, (message,), "/w")
    assert "Anna <anna@example.org>" in told and "Hello\\u{202e} Anna" in told


def test_as_a_process_for_any_client(work: Path) -> None:
    async def use() -> Any:
        argv = ["-P", "-m", "localagent", "mcp", "serve", "--cwd", str(work), "--mode", "auto"]
        import os

        params = StdioServerParameters(command=sys.executable, args=argv, env=dict(os.environ))
        async with Client(params) as client:
            return await client.call_tool("write_file", {"path": "a.txt", "content": "made\n"})

    result = asyncio.run(asyncio.wait_for(use(), 60))
    assert not result.is_error and (work / "a.txt").read_text() == "made\n"
