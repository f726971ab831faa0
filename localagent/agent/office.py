"""What sends and fetches messages here, put together from the user's channels; nothing is connected before it is needed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from ..channels import registry, syncing
from ..channels.base import Channel, Receiver
from ..channels.sender import Pace, Sender
from ..errors import ChannelError, LocalAgentError
from ..store import channels as configured
from ..store.inbox import Inbox
from ..store.outbox import Entry, Outbox
from ..toolbox import mail
from . import letters
from .posting import Answerable, Post

_FETCH_S = 20.0
_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How messages go out: seconds in which one can be taken back, how many an hour for each channel, "22:00-07:00" or ""."""

    hold_s: float = 10.0
    per_hour: int = 30
    quiet: str = ""

    def pace(self) -> Pace:
        if not self.quiet:
            return Pace(self.per_hour)
        begin, _, end = self.quiet.partition("-")
        return Pace(self.per_hour, (_seconds(begin), _seconds(end)))


def _seconds(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 3600 + int(minutes) * 60


class Office:
    """`post` is None where no channel is set up. Raises ConfigError for a channels.yaml that cannot be read."""

    def __init__(self, manner: Manner = Manner(), changed: Callable[[Entry], None] | None = None) -> None:
        self._known = configured.load()
        self._made: dict[str, Channel] = {}
        self._fetched = 0.0
        self.outbox = Outbox()
        self.post: Post | None = None
        if self._known:
            names = tuple((one.name, one.kind) for one in self._known.values())
            sender = Sender(self.outbox, self._channel, manner.pace(), changed)
            self.post = Post(self.outbox, sender, names, self._answerable, manner.hold_s, lambda goal: letters.told(goal, mail.line))
            self.post = replace(self.post, attached=letters.attached)

    @property
    def known(self) -> dict[str, configured.Configured]:
        """The channels that are set up, by name."""
        return dict(self._known)

    async def _channel(self, name: str) -> Channel:
        return self.channel(name)

    def channel(self, name: str) -> Channel:
        """The channel of that name, the same one each time. Raises ChannelError."""
        if name not in self._made:
            if name not in self._known:
                raise ChannelError(f"There is no channel {name!r} any more.", "`localagent channels list` shows them.")
            self._made[name] = registry.make(self._known[name])
        return self._made[name]

    def _answerable(self, id: str) -> Answerable | None:
        """A received message by the number that find_messages gives it."""
        if not id.isdigit():
            return None
        with Inbox() as inbox:
            stored = inbox.get(int(id))
        if stored is None:
            return None
        message = stored.message
        files = tuple(one.name for one in message.attachments)
        return Answerable(message.channel, message.chat or message.sender, message.subject, message.id, message.thread, files)

    async def fetch(self) -> str:
        """Take in what is new on every channel that receives; what could not be reached, in words, "" where all was."""
        if time.monotonic() - self._fetched < _FRESH_S and self._fetched:
            return ""
        missed = []
        with Inbox() as inbox:
            for name in self._known:
                try:
                    channel = await self._channel(name)
                    if isinstance(channel, Receiver):
                        done = await syncing.sync(name, channel, inbox, seconds=_FETCH_S)
                        if not done.reached:
                            missed.append(f"{name} could not be reached; what is here is {syncing.age(done.as_of)}")
                except LocalAgentError as error:
                    missed.append(f"{name}: {error}")
        self._fetched = time.monotonic()
        return "; ".join(missed)

    async def aclose(self) -> None:
        for channel in self._made.values():
            await channel.aclose()
        self._made.clear()


Fetch = Callable[[], Awaitable[str]]


class Counter(Protocol):
    """Where a session's messages go out, and where those that came in are fetched from; None for what it may not."""

    @property
    def post(self) -> Post | None: ...

    @property
    def fetch(self) -> Fetch | None: ...
