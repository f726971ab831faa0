"""One table of scenarios, run through the app and through `do`: the same events, the same files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localagent import headless
from localagent.errors import EngineError
from localagent.events import to_json
from localagent.values import Answer, Mode

from .scenes import call, said
from .support import RUN, Hand, Home, Playing, asked, idle, ran, run, say, tools

pytestmark = pytest.mark.slow

WRITE = said("", call("write", path="a.txt", content="x\n"))


@dataclass(frozen=True, slots=True)
class Scenario:
    """`keys` answer the questions in the app, `answers` the same ones in `do`."""

    answers_of_model: Sequence[Sequence[Any]]
    keys: Sequence[str] = ()
    answers: Sequence[Answer] = ()
    mode: Mode = "ask"
    have: Callable[[], Hand] = tools


SCENARIOS = {
    "plain words": Scenario((said("Hello, **you**."),)),
    "a look": Scenario((said("I look.", call("look", path=".")), said("Nothing there."))),
    "yes once": Scenario((WRITE, said("Done.")), ("y",), (Answer("allow"),)),
    "yes for the session": Scenario((WRITE, WRITE, said("Done.")), ("s",), (Answer("allow", "session"),)),
    "no": Scenario((WRITE, said("Then not.")), ("escape",), (Answer("deny"),)),
    "auto": Scenario((WRITE, said("Done.")), mode="auto"),
    "plan": Scenario((WRITE, said("I may only look.")), mode="plan"),
    "many files": Scenario((said("", call("many")), said("Done.")), mode="auto"),
    "a program that fails": Scenario(
        (said("", call("run", command="make")), said("It fails."), said("It does fail.")),
        mode="auto",
        have=lambda: tools(run=(RUN, lambda args: ["no\n", ran("make", "no\n[exit code 2]", 2)])),
    ),
    "an unknown tool": Scenario((said("", call("fly")), said("I cannot fly."), said("No."))),
    "one question after the other": Scenario(
        (said("", call("write", path="a.txt"), call("write", path="b.txt")), said("Done.")),
        ("y", "escape"),
        (Answer("allow"), Answer("deny")),
    ),
    "the engine dies": Scenario(([EngineError("It stopped.", "Again.")],)),
}
# What is another value in every run.
_VOLATILE = {"session_id", "at", "seconds", "content"}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _VOLATILE}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _files(work: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(work.iterdir())}


def _seen(home: Home, work: Path) -> tuple[list[Any], dict[str, str]]:
    events = [_plain(to_json(event)) for event in home.made[0].transcript.read()]
    return events, _files(work)


def _in_the_app(one: Scenario) -> Home:
    async def play(pilot: Any) -> None:
        await say(pilot, "go")
        for key in one.keys:
            await asked(pilot)
            question = pilot.app.screen.question
            await pilot.press(key)
            while question in pilot.app.asking.questions:
                await pilot.pause(0.005)
        await idle(pilot)

    return run(Playing(*one.answers_of_model), play, mode=one.mode, have=one.have()).house  # type: ignore[return-value]


def _in_do(one: Scenario, monkeypatch: pytest.MonkeyPatch) -> Home:
    given = list(one.answers)

    async def approve(*question: Any) -> Answer:
        return given.pop(0)

    async def whole() -> Home:
        home = Home(Playing(*one.answers_of_model), one.have(), one.mode)
        await headless.do(await home.session(None, None, one.mode), "go", "", "text", quiet=True)
        return home

    monkeypatch.setattr(headless, "approver", lambda folder: approve)
    return asyncio.run(whole())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_app_and_do_see_the_same(name: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = SCENARIOS[name]
    app = _seen(_in_the_app(one), work)
    for path in work.iterdir():
        path.unlink()
    shutil.rmtree(Path.home() / "state" / "journal", ignore_errors=True)
    do = _seen(_in_do(one, monkeypatch), work)
    assert app == do
