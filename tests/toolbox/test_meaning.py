"""Ranking by meaning: what is added to the words, and that they decide alone where the model's process is slow, gone or absent."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import time

import pytest

from localagent.store import vectors
from localagent.toolbox import meaning
from localagent.toolbox.finding import embedder
from localagent.toolbox.finding.purposes import purposes
from localagent.toolbox.search import Finder, Nearness
from localagent.values import ToolSpec

WEATHER = ToolSpec("get_weather", "Tell the weather of a city.", {}, (), "mcp:sky-data")
MONEY = ToolSpec("convert_currency", "Convert money. At once.", {}, (), "mcp:bank")
SPECS = (WEATHER, MONEY)
# Speaks as the process does: the second tool is nearest, whatever is asked.
FAKE = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "tools" in asked:
        sys.stderr.write(str(sum(one[2] is not None for one in asked["tools"])))
        new = [[one[0], "AQID"] for one in asked["tools"] if one[2] is None]
        print(json.dumps({"made": new}), json.dumps({"ready": asked["set"]}), sep="\\n", flush=True)
    elif "examples" in asked:
        pass
    elif asked["query"] == "die":
        sys.exit(3)
    elif asked["query"] == "odd":
        print("no json", flush=True)
    elif asked["query"] != "slow":
        print(json.dumps({"id": asked["id"], "near": [[1, 2.5], [0, -1.0], [99, 9.0]], "like": [[0, 0.1], [9999, 0.9]]}), flush=True)
"""


async def both(monkeypatch: pytest.MonkeyPatch) -> tuple[meaning.Meanings, meaning.Both]:
    monkeypatch.setattr(meaning, "_BOOT", FAKE)
    monkeypatch.setattr(meaning, "installed", lambda: True)
    monkeypatch.setattr(meaning, "_SECONDS", 1.0)
    made = meaning.Meanings()
    ranker = made(SPECS)
    assert isinstance(ranker, meaning.Both)
    assert await ranker.find("nothing that is known") == ()
    assert await asyncio.wait_for(ranker.ready(), 20)
    return made, ranker


def test_meaning_finds_what_no_word_does_and_vectors_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made, ranker = await both(monkeypatch)
        assert [one.spec for one in await ranker.find("qwertz")] == [MONEY, WEATHER]
        assert (await ranker.find("weather in Oslo"))[0].spec == WEATHER
        await made.aclose()
        assert [one.spec for one in await ranker.find("weather")] == [WEATHER]

    asyncio.run(run())
    with sqlite3.connect(vectors.path()) as base:
        assert base.execute("SELECT value FROM made").fetchall() == [(b"\x01\x02\x03",)] * 2


@pytest.mark.parametrize("words", ["slow", "die", "odd"])
def test_the_words_decide_where_the_process_does_not_answer(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    async def run() -> None:
        made, ranker = await both(monkeypatch)
        monkeypatch.setattr(meaning, "_SECONDS", 0.06)
        began = time.monotonic()
        await ranker.find(words)
        assert [one.spec for one in await ranker.find("weather")][:1] == [WEATHER]
        assert time.monotonic() - began < 2
        await made.aclose()

    asyncio.run(run())


def test_without_the_extra_no_process_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "installed", lambda: False)
    assert isinstance(meaning.Meanings()(SPECS), Finder)


def test_words_purposes_and_meanings_are_added() -> None:
    finder = Finder(SPECS)
    asked = "what is it like outside?"
    assert [one.spec.name for one in finder.ranked(asked, near=Nearness({1: 3.0, 0: -1.0}, {}))] == ["convert_currency", "get_weather"]
    weather = next(at for at, row in enumerate(purposes().rows) if row.name == "weather-get")
    assert finder.ranked(asked, near=Nearness({1: 1.0, 0: -1.0}, {weather: 0.8}))[0].spec.name == "get_weather"
    assert meaning.texts(WEATHER)[1] == "sky data: get weather"


def test_vectors_that_are_damaged_are_thrown_away() -> None:
    vectors.keep({"a": b"1", "b": b"2"})
    assert vectors.kept(["a", "c"]) == {"a": b"1"}
    vectors.path().write_bytes(b"no database at all" * 100)
    assert vectors.kept(["a"]) == {}
    vectors.keep({"a": b"3"})
    assert vectors.kept(["a"]) == {"a": b"3"}


def test_what_the_process_makes_of_texts() -> None:
    numpy = pytest.importorskip("numpy")

    class Model:
        def encode(self, texts: list[str]) -> object:
            return numpy.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]] * (len(texts) // 3))

    told: list[dict[str, object]] = []
    original, embedder._say = embedder._say, told.append
    try:
        given = base64.b64encode(bytes([127, 0])).decode()
        first, second = embedder._vectors(Model(), [["k", ["a", "b", "c"], None], ["l", ["d"], given]], numpy)
    finally:
        embedder._say = original
    assert first.tolist() == [64, 64] and second.tolist() == [127, 0]
    assert told == [{"made": [["k", base64.b64encode(bytes([64, 64])).decode()]]}]
