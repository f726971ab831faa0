"""The apps that run: one a tab, which a reload finds again, and which ends some time after its tab is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import LocalAgentError
from ...sandbox.terminal import Terminal
from .modes import Modes

MOST = 8
"""Apps at once; each is a process of about 100 MB."""
GRACE_S = 60.0
"""How long an app goes on when its tab is gone."""
_END_S = 12.0
"""How long an app may take to stop what it does and to leave."""
_REDRAW_S = 0.06
_SMALLEST, _LARGEST = (20, 5), (500, 300)


class Full(LocalAgentError):
    """There are as many apps as there may be."""


class Viewer(Protocol):
    """A browser that looks at an app."""

    def show(self, data: bytes) -> None: ...
    def begin(self, modes: bytes) -> None:
        """What comes next begins on an empty screen in these modes."""

    def ended(self, status: int) -> None: ...
    def replaced(self) -> None:
        """Another one looks at the app now."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started for each tab."""

    argv: tuple[str, ...]
    cwd: Path
    env: dict[str, str]


class Running:
    """One app. `viewer` is the browser that looks at it, None while there is none."""

    def __init__(self, program: Program, size: tuple[int, int], over: Callable[[], None]) -> None:
        self._size = _sensible(size)
        self._modes = Modes()
        self._over = over
        self.viewer: Viewer | None = None
        self.gone = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self.terminal = Terminal(
            program.argv, cwd=program.cwd, env=program.env, size=self._size, wrote=self._wrote, ended=self._ended
        )

    def look(self, viewer: Viewer, size: tuple[int, int]) -> None:
        """This browser looks at it from now on, and the one before does not."""
        self._cancel()
        if self.viewer is not None:
            self.viewer.replaced()
        self.viewer = viewer
        self.resize(size)
        self.redraw()

    def leave(self, viewer: Viewer, grace_s: float) -> None:
        """This browser is gone. Without another one the app ends in a while."""
        if self.viewer is viewer:
            self.viewer = None
            self._timers.append(asyncio.get_running_loop().call_later(grace_s, self.end))

    def resize(self, size: tuple[int, int]) -> None:
        self._size = _sensible(size)
        self.terminal.resize(*self._size)

    def redraw(self) -> None:
        """Have everything drawn for a screen that shows nothing yet."""
        if self.viewer is not None:
            self.viewer.begin(self._modes.again())
        # A program draws all of its screen when the size changes, and only then.
        columns, rows = self._size
        self.terminal.resize(columns, rows - 1)
        asyncio.get_running_loop().call_later(_REDRAW_S, lambda: self.terminal.resize(*self._size))

    def end(self) -> None:
        """Asks it to leave, and makes it where it does not."""
        self._cancel()
        self.terminal.end()
        self._timers.append(asyncio.get_running_loop().call_later(_END_S, self.terminal.kill))

    def _cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _wrote(self, data: bytes) -> None:
        self._modes.feed(data)
        if self.viewer is not None:
            self.viewer.show(data)

    def _ended(self, status: int) -> None:
        self._cancel()
        self.gone.set()
        self._over()
        if self.viewer is not None:
            self.viewer.ended(status)


class Apps:
    """All of one server."""

    def __init__(self, program: Program, most: int = MOST, grace_s: float = GRACE_S) -> None:
        self._program, self._most, self.grace_s = program, most, grace_s
        self._running: dict[str, Running] = {}
        self.closing = False

    def __len__(self) -> int:
        return len(self._running)

    def open(self, tab: str, size: tuple[int, int]) -> Running:
        """The app of this tab, started if there is none. Raises Full, and LocalAgentError where none can be started."""
        found = self._running.get(tab)
        if found is not None:
            return found
        if self.closing:
            raise LocalAgentError("The server is being stopped.")
        if len(self._running) >= self._most:
            raise Full(f"{self._most} apps are open already.", "Close a tab of one, and wait a minute.")
        made = Running(self._program, size, lambda: self._forget(tab, made))
        self._running[tab] = made
        return made

    def _forget(self, tab: str, gone: Running) -> None:
        if self._running.get(tab) is gone:
            del self._running[tab]

    async def close(self) -> None:
        """Ends them all and returns when they are gone."""
        self.closing = True
        running = list(self._running.values())
        for one in running:
            one.end()
        await asyncio.gather(*(one.gone.wait() for one in running))


def _sensible(size: tuple[int, int]) -> tuple[int, int]:
    columns, rows = (
        min(max(given, least), most) for given, least, most in zip(size, _SMALLEST, _LARGEST, strict=True)
    )
    return columns, rows
