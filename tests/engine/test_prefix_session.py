"""Nothing is computed twice: sessions of the product's own prompts, on both kinds of memory.

With LOCALAGENT_TEST_TURNS=20 they have as many turns, otherwise a few.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from localagent.engine.base import Options
from localagent.engine.prefix import ROLLING
from localagent.engine.snapshots import shared
from localagent.events import MessageDone
from localagent.values import Message, Text, ToolResult, ToolSpec

pytestmark = pytest.mark.slow

LONG = os.environ.get("LOCALAGENT_TEST_TURNS") == "20"


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


SPECS = [
    ToolSpec("list_files", "The names in a folder.", _object(depth={"type": "integer", "minimum": 0, "maximum": 9})),
    ToolSpec("set_flag", "Set it.", _object(on={"type": "boolean"}, kind={"enum": ["red", "green", "blue"]})),
]
SYSTEM = Message("system", (Text("You help. One step at a time."),))
RESULT = "report.txt 1204\nnotes.md 88\nphotos/ 41 files, the newest from yesterday"


class Talk:
    """A session: `spent` are (tokens of prompts computed, tokens that were new, divergences) of each request."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.history: list[Message] = []
        self.turns: list[int] = []
        self.spent: list[tuple[int, int, int]] = []
        self.before: list[int] = []
        self._calls = 0

    def turn(self, text: str, steps: int = 2) -> None:
        self.turns.append(len(self.history))
        self.history.append(Message("user", (Text(text),)))
        for step in range(steps):
            done = self.answer("required" if step + 1 < steps else "none")
            if done is None:
                return
            self.history.append(done.message)
            for call in done.message.calls:
                self._calls += 1
                result = ToolResult(call.id, (Text(f"{self._calls}\n{RESULT}"),), "ok")
                self.history.append(Message("tool", result.parts, result=result))

    def answer(self, choice: str, tokens: int = 24) -> MessageDone | None:
        """None where it was interrupted."""
        read = self.engine.prefix.read
        options = Options(thinking=True, max_tokens=tokens, tool_choice=choice, parallel=False)
        messages = [SYSTEM, *self.history]

        async def ask() -> list[Any]:
            return [delta async for delta in self.engine.stream(messages, SPECS, options)]

        done = asyncio.run(ask())[-1]
        prompt = self.engine.prompt
        common = min(shared(prompt, self.before), len(prompt) - 1)
        self.spent.append((self.engine.prefix.read - read, len(prompt) - common, int(common < len(self.before))))
        self.before = list(self.engine.prefix.tokens)
        return done if done.stop != "cancelled" else None

    def check(self) -> None:
        """The last answer is the one that a clean evaluation gives."""
        assert self.engine.answered
        assert self.engine.again()[: len(self.engine.answered)] == self.engine.answered

    def interrupted(self, text: str, after: int) -> None:
        self.engine.stop = lambda count: count >= after
        self.turn(text)
        self.engine.stop = lambda _: False


@pytest.fixture(params=["tiny", "dense"])
def talk(request: pytest.FixtureRequest, replayed: Any) -> Iterator[Talk]:
    engine = replayed.Direct(request.getfixturevalue(request.param))
    yield Talk(engine)
    engine.shut()


def _say(number: int) -> str:
    return f"Now do number {number}: " + "sort what lies there by its age. " * (1 + number % 4 * 2)


def test_a_session_computes_only_what_is_new(talk: Talk) -> None:
    for number in range(4 if LONG else 1):
        talk.turn(_say(number), steps=3)
    talk.interrupted(_say(4), after=10)
    assert len(talk.engine.answered) >= 10
    talk.turn(_say(5))
    if LONG:
        talk.check()
    del talk.history[talk.turns[-1] :]  # an edited message
    talk.turn(_say(6) + "And say why.")
    for number in range(7, 11 if LONG else 9):
        talk.turn(_say(number))
    del talk.history[talk.turns[-3] :]  # a rewind
    talk.turn(_say(11))
    fork, other = list(talk.history), list(talk.history)
    talk.turn(_say(12), steps=3)
    talk.history, fork = other, list(talk.history)
    talk.turn(_say(13))
    talk.history = fork  # back on the first branch
    talk.turn(_say(14))
    if LONG:
        talk.check()
    kept = talk.history[talk.turns[-1] :]
    talk.history = [Message("user", (Text("So far: everything was sorted. " * 20),)), *kept]  # a compaction
    for number in range(15, 20 if LONG else 16):
        talk.turn(_say(number))
    talk.check()
    assert len(talk.turns) == (20 if LONG else 11)
    recurrent = talk.engine.context.recurrent
    evaluated, new, divergences = (sum(column) for column in zip(*talk.spent, strict=True))
    allowed = new + (ROLLING * divergences if recurrent else 0)
    print(
        f"\nrecurrent={recurrent} evaluated={evaluated} new={new} divergences={divergences} ratio={evaluated / new:.3f}"
    )
    assert divergences > (15 if LONG else 5)
    assert evaluated <= 1.05 * allowed
    for spent, fresh, diverged in talk.spent:
        assert spent <= fresh + (ROLLING * diverged if recurrent else 0)
