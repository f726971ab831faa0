"""Stand-ins at the seams: an engine that says what a script says, tools that are plain functions, approvers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from localagent.engine.base import Options
from localagent.events import MessageDone, TextDelta
from localagent.values import (
    Answer,
    Change,
    Decision,
    Message,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)

Step = str | Sequence[ToolCall] | BaseException | MessageDone


def call(name: str, **args: Any) -> ToolCall:
    return ToolCall("", name, args)


class ScriptedEngine:
    """Each answer is the script's next step: a text, a list of calls, a whole MessageDone, or an error to raise."""

    model = "scripted"

    def __init__(self, *steps: Step, delay: float = 0.0) -> None:
        self._steps = list(steps)
        self._delay = delay
        self.asked: list[tuple[list[Message], tuple[ToolSpec, ...]]] = []
        self.options: list[Options] = []
        self.prepared: list[tuple[list[Message], tuple[ToolSpec, ...]]] = []
        self.closed = False

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncIterator[Any]:
        self.asked.append((list(messages), tuple(specs)))
        self.options.append(options)
        step = self._steps.pop(0) if self._steps else "The script is over."
        if self._delay:
            await asyncio.sleep(self._delay)
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, MessageDone):
            yield step
        elif isinstance(step, str):
            yield TextDelta(step)
            yield MessageDone(Message("assistant", (Text(step),)), Usage(10, 5, 3))
        else:
            yield MessageDone(Message("assistant", calls=tuple(step)), Usage(10, 5, 3))

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        self.prepared.append((list(messages), tuple(specs)))

    async def close(self) -> None:
        self.closed = True


class FakeTools:
    """A tool source made of functions `(args) -> ToolResult | str | list of str then str`, each with its effects or its spec."""

    def __init__(self, **tools: tuple[tuple[str, ...] | ToolSpec, Callable[[dict[str, Any]], Any]]) -> None:
        self._tools = tools
        self.calls: list[ToolCall] = []

    def specs(self) -> list[ToolSpec]:
        anything = {"type": "object", "properties": {"path": {"type": "string"}, "command": {"type": "string"}}}
        return [
            given if isinstance(given, ToolSpec) else ToolSpec(name, name, anything, given, "fake")  # type: ignore[arg-type]
            for name, (given, _) in self._tools.items()
        ]

    async def call(self, call: ToolCall) -> AsyncIterator[str | ToolResult]:
        self.calls.append(call)
        made = self._tools[call.name][1](dict(call.args))
        if asyncio.iscoroutine(made):
            made = await made
        if isinstance(made, list):
            for line in made[:-1]:
                yield line
                await asyncio.sleep(0)
            made = made[-1]
        if isinstance(made, str):
            made = ToolResult(call.id, (Text(made),))
        yield made if made.call_id == call.id else ToolResult(
            call.id, made.parts, made.status, made.requests, made.receipts, made.spill, made.messages
        )


async def approve_all(call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
    return Answer("allow")


async def deny_all(call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
    return Answer("deny", note="no", by_person=True)


async def nobody(call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
    return Answer("deny", note="nobody is here to ask", by_person=False)
