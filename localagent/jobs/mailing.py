"""Takes in new mail for the jobs that wait for it, once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..channels import registry, syncing
from ..channels.base import Receiver
from ..errors import LocalAgentError
from ..store import channels as configured
from ..store.inbox import Inbox

# Chats are not asked here: of some services only one program may fetch, and that is the one which answers there.
KIND = "email"
_FRESH_S = 45.0
_FETCH_S = 30.0


class Postman:
    """Fetches a channel's mail no more often than each 45 seconds. `clock` gives seconds since the epoch."""

    def __init__(self, inbox: Inbox, clock: Callable[[], float]) -> None:
        self._inbox = inbox
        self._clock = clock
        self._last: dict[str, float] = {}
        self._one = asyncio.Lock()

    async def fetch(self, channel: str = "") -> tuple[frozenset[str], str]:
        """The names of the channels that are meant ("": all e-mail), and in words which of them could not be reached."""
        async with self._one:
            known = configured.load()
            wanted = [one for one in known.values() if (one.name == channel if channel else one.kind == KIND)]
            if not wanted:
                what = f"There is no channel {channel!r} any more." if channel else "No e-mail channel is set up."
                return frozenset(), what
            missed = []
            for one in wanted:
                if one.kind == KIND and not 0 <= self._clock() - self._last.get(one.name, -_FRESH_S) < _FRESH_S:
                    missed.append(await self._sync(one))
            return frozenset(one.name for one in wanted), "; ".join(text for text in missed if text)

    async def _sync(self, one: configured.Configured) -> str:
        self._last[one.name] = self._clock()
        made = None
        try:
            made = registry.make(one)
            if not isinstance(made, Receiver):
                return ""
            done = await syncing.sync(one.name, made, self._inbox, seconds=_FETCH_S)
            return "" if done.reached else done.detail
        except LocalAgentError as error:
            return f"{one.name}: {error}"
        finally:
            if made is not None:
                await made.aclose()
