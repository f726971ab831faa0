"""How much one turn may cost, and the clock that holds it to that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
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

    async def each(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The items while there is time.

        At the end the source is cancelled and heard out: what it still has to say (a commit that
        could not be left half done) comes before OutOfTime.
        """
        late = False
        try:
            while True:
                try:
                    item, over = await self._next(items, late)
                except StopAsyncIteration:
                    if late:
                        raise OutOfTime from None
                    return
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if late and task is not None and not task.cancelling():
                        raise OutOfTime from None
                    raise
                late = late or over
                yield item
        finally:
            await items.aclose()

    async def _next(self, items: AsyncGenerator[T, None], late: bool) -> tuple[T, bool]:
        """The next item, and whether time ran out while it was waited for."""
        if late:
            return await anext(items), True
        try:
            limit = asyncio.timeout(self.left())
        except OutOfTime:
            return await self._heard_out(items), True
        try:
            async with limit:
                item = await anext(items)
        except TimeoutError:
            if limit.expired():
                raise OutOfTime from None
            raise
        return item, limit.expired()

    async def _heard_out(self, items: AsyncGenerator[T, None]) -> T:
        try:
            return await items.athrow(asyncio.CancelledError())
        except (asyncio.CancelledError, StopAsyncIteration):
            raise OutOfTime from None
