"""One bounded look at a channel: what is new goes into the inbox, and how fresh the inbox is can be said."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from ..errors import ChannelError
from ..store.inbox import Inbox, Stored
from .base import Arrival, Receiver
from .threads import blocking


@dataclass(frozen=True, slots=True)
class Synced:
    """`new` came in. `reached` False: the service could not be looked through to the end, `detail` says why; what the
    inbox holds is then of `as_of` (seconds since the epoch, 0: it was never reached)."""

    new: tuple[Stored, ...]
    reached: bool
    as_of: float
    detail: str = ""


@runtime_checkable
class Keeper(Protocol):
    """A channel whose service keeps what came earlier."""

    def past(self, since: float) -> AsyncIterator[Arrival]: ...


async def sync(name: str, channel: Receiver, inbox: Inbox, *, seconds: float = 30.0) -> Synced:
    """Take in what is new. Raises StoreError; never for what the service does."""
    cursor = await blocking(inbox.cursor, name)
    return await _taken(name, channel.receive(cursor, wait=False), inbox, seconds)


async def past(name: str, channel: Keeper, inbox: Inbox, since: float, *, seconds: float = 600.0) -> Synced:
    """Take in what lies at the service from `since` on, the newest first; where the next look begins stays as it is."""
    return await _taken(name, channel.past(since), inbox, seconds)


async def _taken(name: str, arrivals: AsyncIterator[Arrival], inbox: Inbox, seconds: float) -> Synced:
    new: list[Stored] = []
    detail = ""
    try:
        async with asyncio.timeout(seconds), contextlib.aclosing(cast("AsyncGenerator[Arrival, None]", arrivals)):
            async for arrival in arrivals:
                messages = () if arrival.message is None else (arrival.message,)
                new += await blocking(inbox.take, name, messages, arrival.cursor)
            # Nothing new is an answer too.
            await blocking(inbox.take, name, (), "")
    except TimeoutError:
        detail = f"{name}: not everything was fetched within {seconds:g} seconds."
    except ChannelError as error:
        detail = str(error)
    if detail:
        await blocking(inbox.failed, name, detail)
    state = await blocking(inbox.state, name)
    return Synced(tuple(new), not detail, state.reached, detail)


def age(as_of: float, now: float | None = None) -> str:
    """How old what the inbox holds is, in words."""
    if not as_of:
        return "never fetched"
    seconds = max(0.0, (time.time() if now is None else now) - as_of)
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'s' if count != 1 else ''} old"
    return "just fetched"
