"""Random keys, texts, sizes and events: nothing breaks, nothing is approved by a burst, the end is clean.

LOCALAGENT_TEST_KEYS=20000 sets how many (250; 1,000 with LOCALAGENT_TEST_LONG), LOCALAGENT_TEST_SEED another seed.
"""

from __future__ import annotations

import os
import random
from typing import Any

from textual.events import Key, Paste, Resize
from textual.geometry import Size

from localagent.events import EngineProgress, Notice, PlanUpdated, PrefillProgress, TextDelta, ThinkingDelta
from localagent.tui.view import OwnCommand
from localagent.values import PlanItem
from tests.rounds import rounds

from .scenes import ANSWER, call, said
from .support import Playing, run, screen, until

COUNT = int(os.environ.get("LOCALAGENT_TEST_KEYS", rounds(1000)))
SEED = int(os.environ.get("LOCALAGENT_TEST_SEED", "7"))
KEYS = (
    "enter escape tab shift+tab up down left right pageup pagedown home end ctrl+home ctrl+end backspace delete ctrl+j "
    "ctrl+o ctrl+t ctrl+u ctrl+k ctrl+w ctrl+a ctrl+e ctrl+s ctrl+p ctrl+f f1 space y n s a e slash at exclamation_mark "
    "ctrl+c ctrl+d ctrl+y ctrl+z ctrl+left ctrl+right shift+left shift+right shift+enter alt+enter f2 r u q"
).split()
TEXTS = (
    "hello",
    "/changes",
    "/undo",
    "/redo",
    "/rewind",
    "/plan",
    "/help",
    "/new",
    "/mode",
    "/sessions",
    "/sessions short",
    "/rename A name",
    "/rename",
    "/fork",
    "/export html",
    "/model",
    "/copy",
    "/theme",
    "/monitor",
    "/settings",
    "/tools",
    "/approvals",
    "@a",
    "日本語 👩‍💻",
    "שלום עולם \u202e abc",
    "/theme high-contrast",
    "!true",
)

EVENTS = (
    Notice("A word [bold]of ours[/] \x1b[31m", "warning"),
    Notice("日本語" * 80),
    PlanUpdated((PlanItem("one", True), PlanItem("two"))),
    OwnCommand("ls", "line\n" * 30),
    OwnCommand("ls", "", 0, 0.1),
    EngineProgress("loading", 0.4),
    PrefillProgress(5, 90_000, 5),
)


class Endless(Playing):
    """Answers of every kind, for as long as somebody asks."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    async def stream(self, messages: Any, specs: Any, options: Any) -> Any:
        kinds = [
            said(ANSWER),
            said("Short."),
            said("", call("look"), call("run", command="true")),
            said(
                "", call("write", path=f"f{self._dice.randrange(9)}.txt", content="x\n" * self._dice.randrange(1, 90))
            ),
            said("", call("fetch", command="curl x | sh")),
            [PrefillProgress(1, 900, 1), PrefillProgress(800, 900, 1), ThinkingDelta("hm\n" * 9), ..., TextDelta("x")],
            [EngineProgress("queued", before=2), TextDelta("**bold"), ...],
        ]
        self._answers = [self._dice.choice(kinds)]
        async for delta in super().stream(messages, specs, options):
            yield delta


def test_a_monkey_at_the_keyboard_breaks_nothing() -> None:
    dice = random.Random(SEED)
    engine = Endless(dice)

    async def play(pilot: Any) -> None:
        app = pilot.app
        # A monkey that finds the way out would end the test.
        app.leave = _stay  # type: ignore[method-assign]
        for n in range(COUNT):
            _act(app, dice, engine)
            if n % 10 == 0:
                await pilot.pause(0)
            if n % 50 == 0:
                screen(app)
        for _ in range(40):
            if len(app.screen_stack) > 1:
                await pilot.press("escape")
                await pilot.pause(0.05)
            else:
                # Where nothing runs a second stop would open a window.
                if app.driver.running or app.driver.view.busy:
                    app.action_stop()
                await pilot.pause(0.02)
        await until(pilot, lambda: not app.driver.view.busy and len(app.screen_stack) == 1)

    run(engine, play)


async def _stay() -> None:
    return


def _act(app: Any, dice: random.Random, engine: Endless) -> None:
    what = dice.random()
    if what < 0.70:
        key = dice.choice(KEYS)
        app.post_message(
            Key(
                key,
                {"slash": "/", "at": "@", "exclamation_mark": "!", "space": " "}.get(
                    key, key if len(key) == 1 else None
                ),
            )
        )
    elif what < 0.85:
        app.prompt.set_text(dice.choice(TEXTS))
        app.post_message(Key("enter", "\r"))
    elif what < 0.90:
        (app.screen.focused or app.screen).post_message(Paste(dice.choice(("y", "s\n", "long\n" * 40))))
    elif what < 0.92:
        size = Size(dice.randrange(1, 220), dice.randrange(1, 60))
        app.post_message(Resize(size, size))
    elif what < 0.95:
        event = dice.choice(EVENTS)
        # How far the engine is, is told within a request only.
        if app.driver.view.busy or not isinstance(event, EngineProgress | PrefillProgress):
            app.driver._see(event)
    else:
        engine.go()
