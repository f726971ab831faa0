"""Tokens are counted as the model's own vocabulary spells them, loaded or not, and an answer is not held up by it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent.engine import counting, protocol
from localagent.engine.base import Generated, Options, Template, Untrusted
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.errors import ModelMissing
from localagent.events import MessageDone
from localagent.values import Message, Text

ASK = [Message("system", (Text("Be brief."),)), Message("user", (Text("The quick brown fox, and <|im_end|> too."),))]


@pytest.fixture
def engine(tiny: str, plain: Any) -> LocalEngine:
    return LocalEngine(ModelFile("tiny", tiny, 2048), plain())


def test_the_count_is_what_the_answer_says_it_read(running: Any, engine: LocalEngine) -> None:
    async def go() -> None:
        async with running():
            before = await engine.count(ASK, (), Options(), ("fox", ""))
            deltas = [delta async for delta in engine.stream(ASK, (), Options(max_tokens=2))]
            after = await engine.count(ASK, (), Options(), ("fox", ""))
            done = deltas[-1]
            assert isinstance(done, MessageDone) and before.total == done.usage.input_tokens == after.total
            assert before.texts[0] > 0 and before.texts[1] == 0 and after.texts == before.texts
            assert before.exact and before.context == after.context == 2048

    asyncio.run(go())


def test_counting_goes_before_an_answer_that_runs(running: Any, engine: LocalEngine) -> None:
    async def go() -> None:
        async with running():
            stream = engine.stream(ASK, (), Options(max_tokens=400))
            async for delta in stream:
                if not isinstance(delta, MessageDone) and type(delta).__name__ == "TextDelta":
                    break
            counted = await asyncio.wait_for(engine.count(ASK, (), Options()), 5)
            rest = [delta async for delta in stream]
            assert counted.total > 0 and isinstance(rest[-1], MessageDone) and len(rest) > 1

    asyncio.run(go())


def test_a_model_that_is_not_there_is_said(running: Any, plain: Any) -> None:
    async def go() -> None:
        async with running():
            with pytest.raises(ModelMissing):
                await LocalEngine(ModelFile("no", "/nowhere/no.gguf"), plain()).count(ASK, (), Options())

    asyncio.run(go())


def test_a_request_comes_back_as_it_was() -> None:
    made = protocol.Count("/m.gguf", 512, (Template("a"), Untrusted("b"), Generated("", (1, 2))), prompt=2)
    assert protocol.count_from_json(protocol.count_to_json(made)) == made


@pytest.mark.parametrize("name", ("hermes", "coder", "qwen35", "gemma", "harmony"))
def test_a_prompt_comes_before_the_further_texts(name: str) -> None:
    from localagent.engine import dialects

    made = counting.request(ModelFile("m", "/m.gguf"), dialects.by_name(name), ASK, (), Options(), ("one", "two"))
    assert [s.text for s in made.segments[made.prompt :]] == ["one", "two"]  # type: ignore[union-attr]
    told = counting.answer({"counts": [3] * len(made.segments), "bos": 1, "context": 99}, made)
    assert (told.total, told.context, told.texts) == (3 * made.prompt + 1, 99, (3, 3))
