"""`localagent` alone: hands the terminal app what it is made of. Textual is loaded here and not before."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from .errors import UsageError
from .store import settings, transcript, workspace

if TYPE_CHECKING:
    # What a session is made of is loaded behind the first frame.
    from .agent.session import Session
    from .engine.base import Engine
    from .engine.catalogue import Entry
    from .sandbox.profile import Boundary
    from .store.settings import Settings
    from .values import Mode

Defaults = Callable[[Sequence[str]], argparse.Namespace]


class Terminal:
    """The place the app works in. `defaults` gives what `do` would use for an empty command line."""

    def __init__(self, defaults: Defaults, chosen: Settings, ready: tuple[Entry, Path]) -> None:
        self.folder = workspace.folder(None)
        self.context = chosen.context
        self.mode: Mode = cast("Mode", chosen.mode)
        self._defaults = defaults
        self._chosen = chosen
        self._ready = ready
        self._engine: Engine | None = None

    def boundary(self) -> Boundary:
        from .sandbox import launch

        return launch.probe()

    def models(self) -> list[tuple[str, str]]:
        from .engine import catalogue, reuse

        known = catalogue.load().entries.values()
        return [(entry.id, entry.name) for entry in known if entry.path or reuse.installed(entry) is not None]

    async def session(self, resume: str | None, model: str | None, mode: Mode) -> Session:
        """As `do` would make it, with the engine that is there unless another model is wanted."""
        wiring = await asyncio.to_thread(_wiring)
        if model is not None:
            self._engine = await asyncio.to_thread(wiring.local_engine, self._chosen, model, _only_what_is_here)
        elif self._engine is None:
            self._engine = wiring.engine_of(*self._ready, self._chosen)
        args = self._defaults(["-", *(["--resume", resume] if resume else []), "--mode", mode])
        return await wiring.for_do(args, self._engine, self._chosen)


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


def run(args: argparse.Namespace, defaults: Defaults, at_terminal: bool) -> int:
    """`resume [ID]`."""
    if not at_terminal:
        raise UsageError("The app needs a terminal.", 'Without one: localagent do --resume ID "..."')
    return start(defaults, transcript.find(args.id), args.model)


def start(defaults: Defaults, resume: str | None = None, model: str | None = None) -> int:
    """The app until the person leaves. A model that is missing is offered before the screen is taken."""
    chosen = settings.load()
    from .engine import models

    ready = models.ready(chosen, model, _offered)
    from .tui.app import LocalAgentApp

    LocalAgentApp(Terminal(defaults, chosen, ready), resume).run()
    return 0


def _offered(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
    from .commands import pulling

    return pulling.offer(entry, chosen)
