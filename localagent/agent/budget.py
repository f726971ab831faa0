"""How much one turn may cost, and the clock that holds it to that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Budget:
    """`turns` are answers of the model, `calls` tool calls, `tokens` generated tokens, `seconds` wall time; 0 is no limit."""

    turns: int = 40
    calls: int = 100
    tokens: int = 0
    seconds: float = 0.0


class OutOfTime(Exception):
    """The wall-clock budget is spent. Never leaves the agent room."""


class Clock:
    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds if seconds > 0 else None

    def left(self) -> float | None:
        """Seconds left; None without a limit. Raises OutOfTime at the end."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    async def wait(self, awaitable: Awaitable[T]) -> T:
        limit = asyncio.timeout(self.left())
        try:
            async with limit:
                return await awaitable
        except TimeoutError:
            if limit.expired():
                raise OutOfTime from None
            raise

    async def each(self, items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """The items while there is time; the source is closed at the end, whichever end it is."""
        try:
            while True:
                try:
                    yield await self.wait(anext(items))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()
