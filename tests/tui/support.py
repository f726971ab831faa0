"""The real app over a real session, with a scripted model and no terminal: keys in, screen out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from localagent import cli, wiring
from localagent.agent.session import Session
from localagent.sandbox.profile import Boundary
from localagent.store import settings
from localagent.tui.app import LocalAgentApp
from localagent.values import Mode
from tests.fakes import FakeTools, ScriptedEngine


class Home:
    """A House whose sessions are answered by a script. `tools` stand in for the real ones where given."""

    def __init__(self, engine: Any, tools: FakeTools | None = None, mode: Mode = "ask") -> None:
        self.folder = Path.cwd()
        self.context = 16384
        self.mode: Mode = mode
        self.engine = engine
        self.tools = tools
        self.made: list[Session] = []

    def boundary(self) -> Boundary:
        return Boundary("bubblewrap")

    def models(self) -> list[tuple[str, str]]:
        return [("starter", "Qwen2.5-Coder 1.5B"), ("qwen3.5-9b", "Qwen3.5 9B")]

    async def session(self, resume: str | None, model: str | None, mode: Mode) -> Session:
        args = cli._do_arguments(["-", *(["--resume", resume] if resume else []), "--mode", mode])
        if model:
            self.engine.model = model
        made = await wiring.for_do(args, self.engine, settings.load())
        if self.tools is not None:
            from localagent.toolbox.registry import Registry

            made.setting = replace(made.setting, registry=Registry([self.tools]))
        self.made.append(made)
        return made


def screen(app: LocalAgentApp) -> str:
    """The characters on the screen, as a person would see them."""
    height = app.size.height
    lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
    return "\n".join(lines[:height])


async def until(pilot: Any, met: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until something is so; fails with the screen where it never is."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            raise AssertionError(f"it never came true; the screen:\n{screen(pilot.app)}")
        await pilot.pause(0.01)
    await pilot.pause()


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.driver.session is not None)


async def painted(pilot: Any) -> None:
    """Everything seen so far is drawn."""
    await until(pilot, lambda: not pilot.app._dirty.is_set())
    await pilot.pause(0.05)


async def say(pilot: Any, text: str) -> None:
    pilot.app.prompt.set_text(text)
    await pilot.pause()
    await pilot.press("enter")


def run(
    engine: Any,
    play: Callable[[Any], Awaitable[None]],
    *,
    tools: FakeTools | None = None,
    size: tuple[int, int] = (100, 30),
    mode: Mode = "ask",
    resume: str | None = None,
) -> LocalAgentApp:
    """Start the app, let `play` use it, end it."""

    async def whole() -> LocalAgentApp:
        app = LocalAgentApp(Home(engine, tools, mode), resume)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await play(pilot)
            await app.driver.close()
        return app

    return asyncio.run(whole())


def scripted(*steps: Any, delay: float = 0.0) -> ScriptedEngine:
    return ScriptedEngine(*steps, delay=delay)


__all__: Sequence[str] = ("Home", "painted", "ready", "run", "say", "screen", "scripted", "until")
