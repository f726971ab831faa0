"""`localagent` alone: hands the terminal app what it is made of. Textual is loaded here and not before."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from .errors import ModelMissing, UsageError
from .store import settings, transcript, workspace

if TYPE_CHECKING:
    # What a session is made of is loaded behind the first frame.
    from .agent.session import Session
    from .engine.base import Engine
    from .engine.catalogue import Entry
    from .engine.offers import Offer
    from .jobs.running import Runner
    from .sandbox.profile import Boundary
    from .store.settings import Settings
    from .tui.meters import Sample
    from .values import Mode

Defaults = Callable[[Sequence[str]], argparse.Namespace]


class Terminal:
    """The place the app works in. `defaults` gives what `do` would use for an empty command line."""

    def __init__(self, defaults: Defaults, chosen: Settings, model: str | None = None) -> None:
        self.folder = workspace.folder(None)
        self.context = chosen.context
        self.mode: Mode = cast("Mode", chosen.mode)
        self._defaults = defaults
        self._chosen = chosen
        self._model = model
        self._engine: Engine | None = None

    def boundary(self) -> Boundary:
        from .sandbox import launch

        return launch.probe()

    def offers(self) -> list[Offer]:
        from .engine import offers

        return offers.offers(self._chosen)

    def fetching(self, model: str, source: str = "") -> list[str]:
        from .tui import download

        return download.command(model, source)

    async def sample(self) -> Sample:
        from .tui import meters

        return await meters.sample()

    def reload(self) -> None:
        """What the settings say counts for the next engine and the next session."""
        before, self._chosen = self._chosen, settings.load()
        self._engine = None
        if self._chosen.model != before.model:
            self._model = None

    async def engine_for(self, model: str | None) -> Engine:
        """The engine of a model that is here; the next session has it too."""
        wiring = await asyncio.to_thread(_wiring)
        made = await asyncio.to_thread(wiring.chosen_engine, self._chosen, model, _only_what_is_here)
        self._engine, self._model, self.context = made, model, self._chosen.context
        return made

    async def session(self, resume: str | None, model: str | None, mode: Mode) -> Session:
        """As `do` would make it, with the engine that is there unless another model is wanted."""
        wiring = await asyncio.to_thread(_wiring)
        engine = self._engine
        if model is not None or engine is None:
            engine = await self.engine_for(model or self._model)
        args = self._defaults(["-", *(["--resume", resume] if resume else []), "--mode", mode])
        return await wiring.for_do(args, engine, self._chosen)

    async def runner(self) -> Runner:
        """What carries out the run of a job, with the model that it names."""
        from .commands import jobs

        wiring = await asyncio.to_thread(_wiring)
        return jobs.runner(wiring.for_job)


def _wiring() -> ModuleType:
    """Loaded in a thread: it takes as long as several frames."""
    from . import wiring

    return wiring


def _only_what_is_here(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
    from .commands import pulling

    return pulling.obtain(entry, chosen, pull=False, person=False)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id", nargs="?", default="last", help="as `localagent sessions` shows it (default: the last one)"
    )
    parser.add_argument("--model", metavar="ID", help="go on with this model")
    parser.add_argument("--plain", action="store_true", help="in plain lines, as a screen reader wants them")


def run(args: argparse.Namespace, defaults: Defaults, at_terminal: bool) -> int:
    """`resume [ID]`."""
    if not at_terminal:
        raise UsageError("The app needs a terminal.", 'Without one: localagent do --resume ID "..."')
    return start(defaults, transcript.find(args.id), args.model, args.plain)


def app(args: Sequence[str], defaults: Defaults) -> int:
    """`localagent [--model ID] [--plain]`."""
    parser = argparse.ArgumentParser(prog="localagent", allow_abbrev=False)
    parser.add_argument("--model", metavar="ID")
    parser.add_argument("--plain", action="store_true")
    chosen = parser.parse_args(args)
    return start(defaults, None, chosen.model, chosen.plain)


def start(defaults: Defaults, resume: str | None = None, model: str | None = None, plain: bool = False) -> int:
    """The app, or the conversation in plain lines, until the person leaves; gives the exit code.

    A model that is missing is offered in the app, and before the first line. Raises ConfigError and UsageError, and
    ModelError for a hosted model.
    """
    chosen = settings.load()
    _refuse(chosen, model)
    from .tui import words

    words.choose(chosen.language)
    house = Terminal(defaults, chosen, model)
    if plain or chosen.plain or os.environ.get("TERM", "dumb") == "dumb":
        from .commands import pulling
        from .engine import models
        from .tui.plain import Plain

        models.ready(chosen, model, pulling.offer)
        return Plain(house, resume).run()
    from .tui import lasting, look
    from .tui.app import LocalAgentApp

    return lasting.run(LocalAgentApp(house, resume, wishes=look.Wishes(chosen.theme, chosen.motion)))


def _refuse(chosen: Settings, model: str | None) -> None:
    """What no choice in the app could mend is said before the screen is taken."""
    from .engine import catalogue, models

    try:
        entry = models.chosen(chosen, model, catalogue.load())
        models.refuse_remote(entry, chosen)
        if entry.hosted:
            from .engine.remote import keys

            keys.needed(entry)
    except ModelMissing:
        return
