"""A model that sees: real pictures through a real projector of random weights, in the prompt and in what is kept of it."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localagent.engine import archive, llama, resident, seen
from localagent.engine.answer import Answer
from localagent.engine.base import ImageData, Options, Sampling, Segment, Template, Untrusted
from localagent.engine.dialects import by_name
from localagent.engine.grammars import Grammars
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.engine.prefix import Prefix
from localagent.engine.protocol import Request
from localagent.engine.score import Scoring
from localagent.engine.yielding import Yielding
from localagent.errors import EngineError, ModelError, PromptTooLong
from localagent.events import MessageDone
from localagent.store import picture
from localagent.values import Image, Message, Text
from tests import make_mmproj

ASK = Template("<|im_start|>user\n")
OPEN, CLOSE = Template("<|vision_start|>"), Template("<|vision_end|>")
REPLY = Template("<|im_end|>\n<|im_start|>assistant\n")


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_mmproj.make("tiny", tmp_path_factory.mktemp("models") / "mmproj.gguf"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def kept(folder: Path, seed: int, wide: int = 320, high: int = 200) -> ImageData:
    pixels = np.random.default_rng(seed).integers(0, 255, wide * high * 3, dtype=np.uint8).tobytes()
    return ImageData(picture.keep(folder, picture.encode(wide, high, pixels)))


class Looking:
    """One model with its projector, and an answer's every part."""

    def __init__(
        self, path: str, eye: str, folder: Path, kept: archive.Archive | None = None, make: type[llama.Context] = llama.Context
    ) -> None:
        self.model = llama.Model(path)
        self.context = make(self.model, n_ctx=1024, threads=1)
        self.context.eyes = llama.Eyes(self.model, eye, threads=1, gpu=False)
        self.prefix = Prefix(self.context, archive=kept)
        self.grammars, self.eye, self.folder = Grammars(self.model), eye, folder

    def request(self, segments: Sequence[Segment], tokens: int = 6) -> Request:
        return Request(
            self.model.path, 1024, tuple(segments), projector=self.eye, pictures=str(self.folder),
            sampling=Sampling(), max_tokens=tokens, marks=(1,),
        )  # fmt: skip

    def ask(self, *segments: Segment, tokens: int = 6) -> tuple[dict[str, int], str]:
        said: list[str] = []
        emit = lambda event: said.append(event["text"]) if event["event"] == "token" else None  # noqa: E731
        request = self.request(segments, tokens)
        done = Answer(self.context, self.prefix, self.grammars, request, emit, lambda: False, lambda _: None).run()
        return done["usage"], "".join(said) + done["text"]

    def close(self) -> None:
        self.grammars.close()
        self.context.close()
        self.model.close()


@pytest.fixture(params=["tiny", "dense"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def look(model: str, eye: str, folder: Path) -> Iterator[Looking]:
    made = Looking(model, eye, folder)
    yield made
    made.close()


def fresh(look: Looking, *segments: Segment) -> str:
    other = Looking(look.model.path, look.eye, look.folder)
    try:
        return other.ask(*segments)[1]
    finally:
        other.close()


def test_the_same_picture_is_kept_and_another_one_is_read(look: Looking, folder: Path) -> None:
    one, other = kept(folder, 1), kept(folder, 2)
    words = look.ask(ASK, Untrusted("what is it?"), REPLY)
    first = (ASK, Untrusted("what is it?"), OPEN, one, CLOSE, REPLY)
    usage, said = look.ask(*first)
    # 320 x 200 points at 32 a token: 10 x 6.
    assert usage["input"] == words[0]["input"] + 60 + 2 and usage["cached"] < 20
    again, same = look.ask(*first)
    assert same == said and again["input"] - again["cached"] <= 20 and again["cached"] >= 60
    longer = (*first, Untrusted(said), REPLY, ASK, Untrusted("and now?"), REPLY)
    grown, more = look.ask(*longer)
    assert grown["cached"] >= usage["input"] - 10 and more == fresh(look, *longer)
    changed = (ASK, Untrusted("what is it?"), OPEN, other, CLOSE, REPLY)
    missed, differs = look.ask(*changed)
    assert missed["cached"] < 60 and differs == fresh(look, *changed)
    assert differs != said
    assert look.ask(ASK, Untrusted("what is it?"), REPLY)[1] == words[1]


def test_two_pictures_and_going_back_between_them(look: Looking, folder: Path) -> None:
    one, two, three = (kept(folder, seed, 128, 96 + 32 * seed) for seed in (1, 2, 3))
    begin = (ASK, Untrusted("first"), OPEN, one, CLOSE, Untrusted("second"), OPEN)
    for last in (two, three, two):
        segments = (*begin, last, CLOSE, REPLY)
        assert look.ask(*segments)[1] == fresh(look, *segments)


def test_it_is_restored_from_the_disk_with_the_pictures_in_it(
    model: str, eye: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAGENT_CACHE_DIR", str(tmp_path / "cache"))
    one = kept(folder, 1)
    segments = (ASK, Untrusted("a question of many words " * 12), OPEN, one, CLOSE, REPLY)
    key = archive.key(model, "layout", "build", 1024)
    first = Looking(model, eye, folder, archive.Archive(key, 1 << 28))
    _, said = first.ask(*segments)
    first.prefix.park()
    assert first.prefix.archive is not None
    first.prefix.archive.work(lambda: False)
    first.close()
    later = Looking(model, eye, folder, archive.Archive(key, 1 << 28))
    usage, again = later.ask(*segments)
    assert again == said and later.prefix.restored > 256 and usage["cached"] > 256 + 60
    later.close()


def test_an_interrupted_answer_goes_on_behind_its_picture(look: Looking, folder: Path) -> None:
    one, two = kept(folder, 1), kept(folder, 2)
    segments = (ASK, OPEN, one, CLOSE, REPLY)
    whole = look.ask(*segments)[1]
    look.ask(*segments, tokens=2)
    at = array("i", look.prefix.tokens)
    held = look.prefix.suspend()
    assert held is not None
    look.ask(ASK, OPEN, two, CLOSE, Untrusted("others come between"), REPLY)
    look.prefix.resume(held)
    assert look.prefix.tokens == at and look.context.last_position() == seen.last_position(at)
    assert look.ask(*segments)[1] == whole


def test_a_text_behind_a_picture_is_left_and_gone_on_with(model: str, eye: str, folder: Path) -> None:
    """In the middle of the batch another conversation is read, whose positions are its own."""
    look = Looking(model, eye, folder, make=Yielding)
    context, prefix, left = look.context, look.prefix, [0]
    assert isinstance(context, Yielding)
    segments = (ASK, OPEN, kept(folder, 1), CLOSE, Untrusted("many words " * 20), REPLY)

    def others() -> None:
        held = prefix.suspend()
        assert held is not None
        prefix.sync([*look.model.template("<|im_start|>user\n"), *look.model.untrusted("something else " * 10)])
        prefix.resume(held)

    def pressing() -> bool:
        left[0] += (now := not left[0] and bool(prefix.tokens) and prefix.tokens[-1] < 0)
        return now

    context.left, context.pressing = others, pressing
    assert look.ask(*segments)[1] == fresh(look, *segments) and left == [1]
    look.close()


def test_a_state_right_behind_a_picture_can_be_gone_on_from(look: Looking, folder: Path) -> None:
    from localagent.engine.answer import tokenize

    one = kept(folder, 1)
    prompt = tokenize(look.model, look.request((ASK, OPEN, one, CLOSE, REPLY)), 1024, lambda: False, look.context.eyes)
    behind = prompt.ends[3]
    look.prefix.sync(prompt.tokens[:behind] + prompt.tokens[behind : behind + 1], views=prompt.views, marks=[behind])
    look.prefix.sync([*prompt.tokens[:behind], *look.model.untrusted("another way on")], views=prompt.views)
    assert look.prefix.tokens[:behind].tolist() == prompt.tokens[:behind]
    assert look.context.last_position() == len(look.prefix.tokens) - 1
    assert look.ask(ASK, OPEN, one, CLOSE, REPLY)[1] == fresh(look, ASK, OPEN, one, CLOSE, REPLY)


def test_through_the_host(tiny: str, eye: str, folder: Path, running: Any) -> None:
    one, other = (Image(kept(folder, seed).sha256) for seed in (1, 2))
    asked = [Message("user", (Text("What is it?"), Text("\n[picture 1: a.png]"), one))]

    async def body() -> None:
        async def ask(engine: LocalEngine, messages: list[Message], pictures: str = str(folder)) -> MessageDone:
            options = Options(max_tokens=4, sampling=Sampling(), pictures=pictures)
            return [delta async for delta in engine.stream(messages, [], options)][-1]

        async with running():
            sees = LocalEngine(ModelFile("tiny", tiny, 2048, "qwen35", projector=eye), by_name("qwen35"), threads=1)
            blind = LocalEngine(ModelFile("tiny", tiny, 2048, "qwen35"), by_name("qwen35"), threads=1)
            assert (sees.sees, blind.sees) == (True, False)
            await sees.prepare(asked, [], Options(pictures=str(folder)))
            first = await ask(sees, asked)
            again = await ask(sees, asked)
            assert again.message.text == first.message.text and again.usage.cached_tokens > 60
            changed = await ask(sees, [Message("user", (*asked[0].parts[:2], other))])
            assert changed.usage.input_tokens == first.usage.input_tokens and changed.usage.cached_tokens < 60
            goes_on = [*asked, first.message, Message("user", (Text("And now?"),))]
            assert (await ask(sees, goes_on)).usage.input_tokens > first.usage.input_tokens + 4
            # Without eyes, and where the file has gone, words stand in its place.
            told = await ask(blind, asked)
            assert told.usage.input_tokens < 200 and (await ask(sees, asked, "")).usage.input_tokens == told.usage.input_tokens
            status = await resident.status()
            assert status is not None and "mmproj.gguf" in [model["sees"] for model in status["models"]]

    asyncio.run(body())


def test_scores_behind_a_picture(look: Looking, folder: Path) -> None:
    from localagent.engine.protocol import Score

    one = kept(folder, 1)
    asked = look.request((ASK, OPEN, one, CLOSE, REPLY))
    score = Score(
        asked.path, 1024, asked.segments, projector=asked.projector, pictures=asked.pictures,
        candidates=((Template("yes"),), (Template("no"),)), said=(0, 5),
    )  # fmt: skip
    done = Scoring(look.context, look.prefix, score, lambda _: None, lambda: False).run()
    assert done["said"] == [] and [len(one) for one in done["scores"]] == [3, 2]


def test_looking_is_broken_off_within_a_moment(look: Looking, folder: Path) -> None:
    one = kept(folder, 1, 512, 512)
    segments = (ASK, OPEN, one, CLOSE, REPLY)
    eyes: Any = look.context.eyes
    seen_nodes = [0]
    evaluated = eyes._evaluated

    def counted(tensor: Any, asked: bool, user: Any) -> bool:
        seen_nodes[0] += asked
        if seen_nodes[0] == 50:
            look.context.abort(True)
        return bool(evaluated(tensor, asked, user))

    eyes.close()
    look.context.eyes = eyes = llama.Eyes.__new__(llama.Eyes)
    eyes._evaluated = counted
    eyes.__init__(look.model, look.eye, threads=1, gpu=False)
    evaluated = llama.Eyes._evaluated.__get__(eyes)
    assert look.ask(*segments)[1] == ""
    assert 50 <= seen_nodes[0] <= 50 + 48 and not any(token < 0 for token in look.prefix.tokens)
    look.context.abort(False)
    assert look.ask(*segments)[1] == fresh(look, *segments) and seen_nodes[0] > 60


def test_what_cannot_be_seen_is_refused(
    look: Looking, folder: Path, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match="no longer there"):
        look.ask(ASK, ImageData("0" * 64), REPLY)
    with pytest.raises(EngineError, match="no longer there"):
        look.ask(ASK, ImageData("../" + "0" * 61), REPLY)
    look.context.eyes.close()
    monkeypatch.setenv("LOCALAGENT_PICTURE_TOKENS", "1024")
    look.context.eyes = llama.Eyes(look.model, look.eye, threads=1, gpu=False)
    big = kept(folder, 3, 1024, 1024)
    with pytest.raises(PromptTooLong, match="1024"):
        look.ask(ASK, OPEN, big, CLOSE, REPLY)
    damaged = kept(folder, 4, 64, 64)
    path = picture.find(folder, damaged.sha256)
    assert path is not None
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EngineError, match="cannot be read"):
        look.ask(ASK, OPEN, damaged, CLOSE, REPLY)
    with pytest.raises(ModelError, match="vision projector"):
        llama.Eyes(look.model, model, threads=1, gpu=False)
    wide = make_mmproj.make("tiny", tmp_path / "wide.gguf", into=512)
    with pytest.raises(ModelError, match="mismatch"):
        llama.Eyes(look.model, str(wide), threads=1, gpu=False)
    look.context.eyes = None
    with pytest.raises(EngineError, match="cannot see"):
        look.ask(ASK, ImageData("0" * 64), REPLY)


def test_what_stands_for_a_picture_among_the_tokens() -> None:
    still, moving, other = (seen.ids(name, 5, still=kind) for name, kind in (("a", True), ("a", False), ("b", True)))
    assert all(token < 0 for token in still) and len({*still, *moving, *other}) == 15
    assert seen.ids("a", 5, still=True) == still != seen.ids("a", 6, still=True)[:5]
    tokens = array("i", [1, 2, *still, 3, *other, *moving])
    assert [seen.uncut(tokens, at) for at in range(18)] == [0, 1, 2, 2, 2, 2, 2, 7, 8, 8, 8, 8, 8, 13, 13, 13, 13, 13]
    assert seen.uncut(tokens, 18) == 18
    assert [seen.last_position(tokens, at) for at in (0, 2, 7, 8, 13)] == [-1, 1, 2, 7, 8]
    assert seen.last_position(tokens) == 17


def test_ten_pictures_cost_no_more_than_those_that_are_new(look: Looking, folder: Path) -> None:
    """More than the projector holds at a time: what was read is not looked at again."""
    begun, segments = time.monotonic(), [ASK]
    for seed in range(10):
        segments += [OPEN, kept(folder, seed, 96, 96), CLOSE]
        look.ask(*segments, REPLY, tokens=1)
    eyes: Any = look.context.eyes
    assert len(eyes._held) <= 4 and look.prefix.read < 10 * 60 and time.monotonic() - begun < 60
