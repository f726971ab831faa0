"""A day in seconds: an event loop whose time leaps to the next timer whenever nothing else is to be done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

_T = TypeVar("_T")
START = 1_790_000_000.0


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.at = 0.0
        self._threads = 0
        super().__init__()
        self._real, self._selector.select = self._selector.select, self._leap  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.at

    def run_in_executor(self, *args: Any) -> Any:
        """Time stands still while a thread works."""
        made = super().run_in_executor(*args)
        self._threads += 1
        made.add_done_callback(self._back)
        return made

    def _back(self, _: object) -> None:
        self._threads -= 1

    def _leap(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0 or self._threads:
            return self._real(timeout if not self._threads else 0.001 if timeout is None or timeout > 0.001 else timeout)
        if found := self._real(0):
            return found
        self.at += timeout
        return []


def play(story: Callable[[], Awaitable[_T]], monkeypatch: pytest.MonkeyPatch) -> _T:
    """Run it with `time.time` as the loop has it, from `START` on."""
    loop = _Loop()
    monkeypatch.setattr(time, "time", lambda: START + loop.at)
    try:
        return loop.run_until_complete(story())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
