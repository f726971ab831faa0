"""A scripted engine with a context that holds so many tokens, and that refuses what is longer: four bytes are a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from localagent.agent import digest
from localagent.engine.base import Options
from localagent.engine.counting import Counted
from localagent.errors import PromptTooLong
from localagent.events import MessageDone, TextDelta
from localagent.values import Message, Text, Timings, ToolCall, ToolSpec, Usage

Say = Callable[[Sequence[Message], int], str | list[ToolCall]]


def texts(messages: Sequence[Message]) -> list[str]:
    """Each message as the engine reads it."""
    return [f"{m.role}:{m.text}{[(c.id, c.name, dict(c.args)) for c in m.calls] if m.calls else ''}" for m in messages]


def tokens(text: str) -> int:
    return (len(text.encode("utf-8", "replace")) + 3) // 4


class CountingEngine:
    """`say(messages, n)` gives the n-th answer. `evaluated` are the tokens that each answer had to read anew, `totals` all of them.

    With `exact` False it cannot count; `actual` is what the context really holds, where that is less than what is set.
    """

    model = "counting"

    def __init__(self, context: int, say: Say, *, exact: bool = True, actual: int = 0) -> None:
        self.context, self._actual = context, actual or context
        self._say = say
        self.asked: list[list[Message]] = []
        self.noted = self.answers = self.counts = 0
        self.evaluated: list[int] = []
        self.totals: list[int] = []
        self._last: list[str] = []
        if not exact:
            self.count = None  # type: ignore[method-assign, assignment]

    def _prompt(self, messages: Sequence[Message], specs: Sequence[ToolSpec]) -> list[str]:
        return [json.dumps([[s.name, s.description, s.parameters] for s in specs], default=dict), *texts(messages)]

    async def count(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options, texts: Sequence[str] = ()) -> Counted:
        self.counts += 1
        return Counted(sum(map(tokens, self._prompt(messages, specs))), self._actual, tuple(map(tokens, texts)))

    async def stream(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> AsyncIterator[Any]:
        prompt = self._prompt(messages, specs)
        total = sum(map(tokens, prompt))
        if total >= self._actual:
            raise PromptTooLong(f"The conversation has {total} tokens and the context holds {self._actual}.")
        pairs = list(zip(prompt, self._last, strict=False))
        same = next((n for n, (one, other) in enumerate(pairs) if one != other), len(pairs))
        new = sum(map(tokens, prompt[same:]))
        notes = messages[-1].role == "host" and messages[-1].text == digest.NOTES
        if notes:
            self.noted += 1
            made: str | list[ToolCall] = "Files were read; nothing failed."
        else:
            self.asked.append(list(messages))
            self.answers += 1
            made = self._say(messages, self.answers)
        self.evaluated.append(new)
        self.totals.append(total)
        answer = Message("assistant", (Text(made),)) if isinstance(made, str) else Message("assistant", calls=tuple(made))
        if isinstance(made, str):
            yield TextDelta(made)
        self._last = [*prompt, *texts([answer])] if isinstance(made, str) else prompt
        yield MessageDone(answer, Usage(total, total - new, 10), Timings(0.0, new * 2.0, 100.0))

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None: ...

    async def close(self) -> None: ...
