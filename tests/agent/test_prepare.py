"""What a session lets the engine read ahead is what its next request begins with."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from pathlib import Path

import pytest

from localagent import headless, wiring
from localagent.commands import arguments
from localagent.events import EngineProgress
from localagent.store import settings
from tests.fakes import ScriptedEngine


def test_a_draft_is_the_beginning_of_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("seven\n")
    engine = ScriptedEngine("Eight.", "Nine.")
    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args(["x", "--quiet"])

    async def run() -> None:
        session = await wiring.for_do(args, engine, settings.load())
        assert engine.prepared == [([], ())]
        await session.prepare("count the li")
        await headless.do(session, "count the lines of notes.txt", "", "text", quiet=True)
        await session.prepare("")
        await headless.do(session, "and now?", "", "text", quiet=True)

    asyncio.run(run())
    for (drafted, shown), (asked, specs) in zip(engine.prepared[1:], engine.asked, strict=True):
        assert shown == specs and len(specs) > 5
        assert drafted[:-1] == asked[:-1] and asked[-1].text.startswith(drafted[-1].text)
    assert [len(drafted) for drafted, _ in engine.prepared] == [0, 2, 4]


def test_who_waits_for_the_engine_is_shown_for_what(capsys: pytest.CaptureFixture[str]) -> None:
    report = headless.Reporter("/w")
    report._live = True
    for event in (
        EngineProgress("queued", before=2),
        EngineProgress("waiting"),
        EngineProgress("loading", 0.5),
    ):
        report(event)
    shown = capsys.readouterr().err.split("\r\x1b[K")
    assert shown[1:] == [
        "waiting for 2 other answers",
        "waiting: the memory is taken by a model that is still answering",
        "loading the model: 50%",
    ]
