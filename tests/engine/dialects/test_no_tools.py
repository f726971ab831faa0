"""Where there are no tools nothing is a call, and text that looks like one stays text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from localagent.engine.base import Options, Said
from localagent.engine.dialects import by_name
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.values import Message, Text, ToolSpec

TEXTS = (
    'So it looks:\n<tool_call>\n{"name": "w", "arguments": {"a": 1}}\n</tool_call>\nThat is all.',
    "<tool_call>\n<function=w>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
    "<tool_call>w\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>",
    '<minimax:tool_call>\n<invoke name="w">\n<parameter name="a">1</parameter>\n</invoke>\n</minimax:tool_call>',
    '```json\n{"name": "w", "arguments": {"a": 1}}\n```',
    '{"name": "w", "arguments": {"a": 1}}',
    "In words: `<tool_call>` opens one, and </tool_call> closes it.",
)
STREAMED = ("hermes", "qwen3", "coder", "qwen35", "qwen3-coder", "glm", "glm46", "kimi", "kimi25", "minimax")
MARKED = {
    "harmony": '<|channel|>commentary to=functions.w<|constrain|>json<|message|>{"a": 1}<|call|>',
    "llama3": '<|python_tag|>{"name": "w", "parameters": {"a": 1}}',
    "mistral": '[TOOL_CALLS]w[ARGS]{"a": 1}',
    "gemma": "<|tool_call>call:w{a:1}<tool_call|>",
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("dialect", STREAMED)
def test_what_looks_like_a_call_is_said_as_it_was_written(dialect: str, text: str) -> None:
    for step in (1, 7, len(text)):
        parser, said = by_name(dialect).parser((), thinking=False), ""
        for at in range(0, len(text), step):
            said += "".join(piece.text for piece in parser.feed(text[at : at + step]) if isinstance(piece, Said))
        parsed = parser.finish()
        assert (parsed.text, parsed.calls, parsed.cut) == (text, (), False)
        assert text.startswith(said)


def test_thinking_is_still_no_text() -> None:
    parser = by_name("qwen35").parser((), thinking=True)
    parser.feed("Like <tool_call> this.</think>\n\n<tool_call>x</tool_call>")
    parsed = parser.finish()
    assert (parsed.thinking, parsed.text) == ("Like <tool_call> this.", "<tool_call>x</tool_call>")


@pytest.mark.parametrize("dialect", [*STREAMED, *MARKED])
def test_an_answer_without_tools_has_no_calls(dialect: str) -> None:
    engine = LocalEngine(ModelFile("m", "/m.gguf"), by_name(dialect), start=False)
    for text in (*TEXTS, MARKED.get(dialect, "")):
        parser = by_name(dialect).parser((), thinking=False)
        parser.feed(text)
        done = engine._done(parser, (), {"stop": "end"}, tools=False)
        assert not done.message.calls and not done.cut
        assert not text or "w" in done.message.text


@pytest.mark.parametrize("tools", [True, False])
def test_the_engine_gives_calls_only_where_it_was_given_tools(tools: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LocalEngine(ModelFile("m", "/m.gguf"), by_name("harmony"), start=False)

    async def events(request: Any) -> AsyncGenerator[dict[str, Any], None]:
        yield {"event": "done", "text": MARKED["harmony"], "stop": "end"}

    monkeypatch.setattr(engine, "_events", events)
    specs = (ToolSpec("w", "", {"type": "object", "properties": {"a": {"type": "integer"}}}),) if tools else ()

    async def answer() -> Any:
        return [delta async for delta in engine.stream([Message("user", (Text("Hi"),))], specs, Options())][-1]

    message = asyncio.run(answer()).message
    assert [(call.name, call.args) for call in message.calls] == ([("w", {"a": 1})] if tools else [])
    assert message.text == ("" if tools else '{"name": "w", "arguments": {"a": 1}}')
