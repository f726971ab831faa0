"""One of ours asks another of ours: the remote engine against `serve`, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from localagent.engine.base import Options
from localagent.engine.entry import Entry, Remote
from localagent.engine.remote import RemoteEngine, wire
from localagent.errors import EngineError, ModelError
from localagent.events import MessageDone, TextDelta, ThinkingDelta
from localagent.values import Message, Text, ToolCall, ToolResult, ToolSpec
from tests.serve.support import KEY, Engine, call, done, real_thread, shelf

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec("weather", "The weather of a city.", CITY)
ASKED = [Message("system", (Text("You know the weather."),)), Message("user", (Text("Rome?"),))]


@pytest.fixture(scope="module")
def far() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def address(far: Engine) -> Iterator[str]:
    with real_thread(shelf(far, thinks=True)) as found:
        yield found


def ask(address: str, far: Engine, messages: list[Message], *steps: object, key: str = KEY, **more: object) -> list[object]:
    far.steps[:] = steps  # type: ignore[assignment]
    far.asked.clear()
    remote = Remote(address.rstrip("/"), "", "small", "chat_template_kwargs", "reasoning_content", "localagent")
    engine = RemoteEngine(Entry("localagent/small", "small", thinks=True, remote=remote), key)

    async def run() -> list[object]:
        try:
            return [delta async for delta in engine.stream(messages, (WEATHER,), Options(**more))]  # type: ignore[arg-type]
        finally:
            await engine.close()

    return asyncio.run(run())


def test_a_call_and_its_result_there_and_back(far: Engine, address: str) -> None:
    deltas = ask(address, far, ASKED, done("", call("weather", city="Rome"), ids=(1, 2)))
    made = deltas[-1]
    assert isinstance(made, MessageDone) and made.message.calls == (ToolCall("call_1", "weather", {"city": "Rome"}),)
    assert (made.usage.input_tokens, made.usage.cached_tokens, made.usage.output_tokens) == (10, 4, 3)
    assert far.asked[0].specs[0].parameters["properties"] == CITY["properties"] and far.asked[0].messages[0].text == ASKED[0].text
    result = Message("tool", result=ToolResult("call_1", (Text("21 degrees"),)))
    deltas = ask(address, far, [*ASKED, made.message, result], "It is 21 degrees.")
    assert "".join(one.text for one in deltas if isinstance(one, TextDelta)) == "It is 21 degrees."
    assert [message.result.text for message in far.asked[0].messages if message.result] == ["21 degrees"]


def test_thinking_is_switched_and_told_apart(far: Engine, address: str) -> None:
    thought = MessageDone(Message("assistant", (Text("Sunny."),), "It is June."))
    deltas = ask(address, far, ASKED, thought, thinking=True)
    assert far.asked[0].options.thinking and any(isinstance(one, ThinkingDelta) for one in deltas)
    made = deltas[-1]
    assert isinstance(made, MessageDone) and (made.message.thinking, made.message.text) == ("It is June.", "Sunny.")
    ask(address, far, ASKED, "Sunny.")
    assert not far.asked[0].options.thinking


def test_options_arrive(far: Engine, address: str) -> None:
    ask(address, far, ASKED, done("", call("weather", city="Rome")), tool="weather", max_tokens=50, parallel=False, stop=("x",))
    options = far.asked[0].options
    assert (options.tool, options.max_tokens, options.parallel, options.stop) == ("weather", 50, False, ("x",))


def test_trouble_arrives_as_trouble(far: Engine, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_WAIT_S", 0.01)
    with pytest.raises(ModelError, match="model key localagent"):
        ask(address, far, ASKED, key="wrong")
    with pytest.raises(EngineError, match="The engine died"):
        ask(address, far, ASKED, *[EngineError("The engine died.", "Run it again.")] * 4)
