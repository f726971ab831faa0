"""Unique names over several sources, in a stable order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from localagent.toolbox.registry import Registry
from localagent.values import Text, ToolCall, ToolResult, ToolSpec


class Source:
    def __init__(self, file: str, *names: str) -> None:
        self._specs = [ToolSpec(name, "", {}, source=file) for name in names]
        self.closed = False

    def specs(self) -> list[ToolSpec]:
        return self._specs

    async def call(self, call: ToolCall) -> AsyncIterator[str | ToolResult]:
        try:
            yield "line"
            yield ToolResult(call.id, (Text(self._specs[0].source),))
        finally:
            self.closed = True


def test_the_first_keeps_its_name_and_the_second_is_refused() -> None:
    registry = Registry([Source("one.py", "a", "b"), Source("two.py", "b", "c")])
    assert [(spec.name, spec.source) for spec in registry.specs()] == [
        ("a", "one.py"),
        ("b", "one.py"),
        ("c", "two.py"),
    ]
    (problem,) = registry.problems
    assert problem.startswith("two.py: the tool 'b' is not loaded, for one.py has one of that name.")
    assert registry.spec("c") is not None
    assert registry.spec("d") is None


def test_a_call_goes_to_its_source_and_closes_it() -> None:
    source = Source("two.py", "b")
    registry = Registry([Source("one.py", "a"), source])

    async def first() -> str | ToolResult:
        output = registry.call(ToolCall("1", "b", {}))
        item = await anext(output)
        await output.aclose()
        return item

    assert asyncio.run(first()) == "line"
    assert source.closed


def test_release_reaches_the_sources_that_keep_something() -> None:
    class Keeping(Source):
        released: str = ""

        def release(self, call_id: str) -> None:
            self.released = call_id

    keeping = Keeping("one.py", "a")
    Registry([keeping, Source("two.py", "b")]).release("c7")
    assert keeping.released == "c7"


def test_an_unknown_tool_is_a_failed_result() -> None:
    async def only() -> list[str | ToolResult]:
        return [item async for item in Registry([Source("one.py", "a")]).call(ToolCall("1", "x", {}))]

    (result,) = asyncio.run(only())
    assert isinstance(result, ToolResult)
    assert (result.status, result.text) == ("failed", "There is no tool 'x'. The tools are: a.")
