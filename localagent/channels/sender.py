"""Sends what is due in the outbox: one process at a time, each message at most once.

Whoever holds the outbox's lock is the only one who sends, so a message that is `sending` when the lock is taken
belongs to a process that is gone: the service is asked what became of it, it is sent again where the service itself knows
the message by its id, and else it is `unconfirmed` for good. Nothing is tried again on a guess.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from ..errors import LocalAgentError, StoreError
from ..store.outbox import Entry, Outbox
from ..values import Sent
from .base import Channel

_POLL_S = 0.1
_AGAIN_S = (30.0, 120.0, 600.0)
_MINUTE_S, _HOUR_S = 60.0, 3600.0

Channels = Callable[[str], Awaitable[Channel]]
"""The channel of a name. Raises ChannelError where there is none."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much goes out: `per_hour` messages of each channel (0: no limit), none in the `quiet` hours.

    `quiet` is (from, to) in seconds of the local day, None for no quiet hours; from > to reaches over midnight.
    """

    per_hour: int = 30
    quiet: tuple[int, int] | None = None

    def later(self, now: float, recent: list[float]) -> tuple[float, str] | None:
        """When a message that is due now has to wait until, and why; None where it need not.

        `recent` are the times of the last hour's messages, oldest first. Times to come are of a clock that was set back.
        """
        recent = [at for at in recent if at <= now]
        if self.quiet is not None and (until := _quiet_until(now, self.quiet)) is not None:
            # On the days when the clocks change, their end may seem to be over.
            return max(until, now + _MINUTE_S), "quiet hours"
        if 0 < self.per_hour <= len(recent):
            return recent[-self.per_hour] + _HOUR_S, f"more than {self.per_hour} messages in an hour"
        return None


def _quiet_until(now: float, quiet: tuple[int, int]) -> float | None:
    begin, end = quiet
    local = time.localtime(now)
    at = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec
    inside = begin <= at < end if begin <= end else at >= begin or at < end
    if not inside:
        return None
    day = local.tm_mday + (1 if at >= end else 0)
    return time.mktime((local.tm_year, local.tm_mon, day, end // 3600, end % 3600 // 60, end % 60, 0, 0, -1))


def me() -> str:
    """This process, as `Entry.owner` names it: its number and when it began, for numbers come back."""
    return f"{os.getpid()}:{_began(os.getpid())}"


def alive(owner: str) -> bool:
    """Whether the process of an `Entry.owner` still runs."""
    number, _, began = owner.partition(":")
    return number.isdigit() and _began(int(number)) == began != ""


def left_over(outbox: Outbox) -> list[Entry]:
    """Messages that were agreed to and whose process ended before they went out: a person must say what becomes of them."""
    return [entry for entry in outbox.entries(("held",)) if entry.owner and not alive(entry.owner)]


def _began(pid: int) -> str:
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


class Sender:
    """`changed` hears of every entry whose state has changed; `free` says which of them the pace does not hold up."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Channels,
        pace: Pace = Pace(),
        changed: Callable[[Entry], None] | None = None,
        free: Callable[[Entry], bool] = lambda entry: False,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._pace = pace
        self._changed = changed or (lambda entry: None)
        self._free = free
        self._owner = me()

    async def wait_for(self, ids: list[str]) -> list[Entry]:
        """Send (or see another process send) until these are over or put off until later; their entries."""
        while True:
            found = [await asyncio.to_thread(self._outbox.get, id) for id in ids]
            if all(self._over(entry) for entry in found):
                return found
            await self.run_once()
            await asyncio.sleep(_POLL_S)

    def _over(self, entry: Entry) -> bool:
        return entry.state not in ("held", "sending") or (entry.state == "held" and not entry.owner)

    async def run_once(self) -> bool:
        """Send what is due now, if nobody else is sending. Whether anything was."""
        with _lock(self._outbox) as mine:
            if not mine:
                return False
            for entry in await asyncio.to_thread(self._outbox.entries, ("sending",)):
                await self._recover(entry)
            worked = False
            for entry in reversed(await asyncio.to_thread(self._outbox.entries, ("held",))):
                if _is_due(entry, time.time()) and entry.owner in ("", self._owner):
                    worked = await self._send(entry) or worked
            return worked

    async def _send(self, entry: Entry) -> bool:
        channel_name = entry.message.channel
        recent = await asyncio.to_thread(self._outbox.since, channel_name, time.time() - _HOUR_S)
        if not self._free(entry) and (later := self._pace.later(time.time(), recent)) is not None:
            self._changed(await asyncio.to_thread(self._outbox.postpone, entry.id, *later))
            return False
        try:
            channel = await self._channels(channel_name)
        except LocalAgentError as error:
            # Nothing was begun: it is over only because nobody could send it.
            begun = await asyncio.to_thread(self._outbox.begin, entry.id, entry)
            if begun is not None:
                await self._note(begun, Sent("failed", detail=str(error)))
            return False
        begun = await asyncio.to_thread(self._outbox.begin, entry.id, entry)
        if begun is None:
            return False
        self._changed(begun)
        await self._attempt(channel, begun)
        return True

    async def _attempt(self, channel: Channel, entry: Entry) -> None:
        """One attempt to its end: interrupted, it is `unconfirmed`, for the message may have left."""
        try:
            sent = await channel.send(entry.message)
        except asyncio.CancelledError:
            self._outbox.record(entry.id, Sent("unconfirmed", detail="interrupted while it was being sent"))
            raise
        except Exception as error:  # noqa: BLE001 - a plugin's channel; what it did before it broke nobody knows
            sent = Sent("unconfirmed", detail=f"{type(error).__name__} while it was being sent")
        await self._note(entry, sent)

    async def _note(self, entry: Entry, sent: Sent) -> None:
        again = None
        if sent.state == "failed" and sent.again and entry.attempts <= len(_AGAIN_S):
            again = time.time() + _AGAIN_S[entry.attempts - 1]
        noted = await asyncio.to_thread(self._outbox.record, entry.id, sent, again)
        if again is not None and entry.attempts > 1:
            # Whoever waits is told now; a later sender goes on.
            noted = await asyncio.to_thread(self._outbox.postpone, entry.id, again, sent.detail)
        self._changed(noted)

    async def _recover(self, entry: Entry) -> None:
        """A message that a process was sending when it ended."""
        lost = Sent("unconfirmed", detail="the program ended while it was being sent")
        try:
            channel = await self._channels(entry.message.channel)
            found = await channel.find(entry.message)
        except LocalAgentError:
            await self._note(entry, lost)
            return
        if found is not None:
            await self._note(entry, found)
        elif channel.idempotent:
            await self._attempt(channel, entry)
        else:
            await self._note(entry, lost)


def _is_due(entry: Entry, now: float) -> bool:
    """A clock that was set back since must not make it wait for the old one to come round."""
    return entry.due <= now or entry.changed > now + _MINUTE_S


@contextlib.contextmanager
def _lock(outbox: Outbox) -> Iterator[bool]:
    """Whether the right to send is ours. It is free again when its holder ends, however that is."""
    import fcntl

    try:
        outbox.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(outbox.folder / "sender.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"The outbox cannot be used: {error.strerror}.", f"It lies in {outbox.folder}.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except OSError:
            mine = False
        yield mine
    finally:
        os.close(handle)
