"""Takes in what comes through one channel, for as long as the gateway runs: whatever fails is tried again, more and more rarely."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Callable
from typing import cast

from ..channels.base import Arrival, Channel, Receiver
from ..errors import LocalAgentError
from ..store.inbox import Inbox

RETRY_S = (2.0, 300.0)
_STEADY_S = 600.0


async def listen(
    name: str,
    make: Callable[[], Channel],
    inbox: Inbox,
    came: Callable[[], None],
    tell: Callable[[str], None],
    retry_s: tuple[float, float] = RETRY_S,
) -> None:
    """Goes on until it is cancelled. Each message is on the disk, with the cursor behind it, before `came` is called.

    The channel is made anew after a failure: its settings and its secret may have been mended meanwhile.
    """
    pause = retry_s[0]
    while True:
        begun = time.monotonic()
        why = "the connection ended"
        channel: Channel | None = None
        try:
            channel = make()
            await _receive(name, channel, inbox, came)
        except LocalAgentError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - a channel of a plugin; the others go on
            why = f"{type(error).__name__}: {error}"
        finally:
            if channel is not None:
                with contextlib.suppress(Exception):
                    await channel.aclose()
        if time.monotonic() - begun > _STEADY_S:
            pause = retry_s[0]
        with contextlib.suppress(LocalAgentError):
            inbox.failed(name, why)
        tell(f"{name}: {why} (again in {pause:.0f} s)")
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))
        pause = min(pause * 2, retry_s[1])


async def _receive(name: str, channel: Channel, inbox: Inbox, came: Callable[[], None]) -> None:
    if not isinstance(channel, Receiver):
        return
    arrivals = cast("AsyncGenerator[Arrival, None]", channel.receive(inbox.cursor(name), wait=True))
    async with contextlib.aclosing(arrivals):
        async for arrival in arrivals:
            # Not in a thread: cancelled between the two, message and cursor would be in doubt.
            inbox.take(name, () if arrival.message is None else (arrival.message,), arrival.cursor)
            came()
