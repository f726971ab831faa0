"""The protocol of channels, as a fake fulfils it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from localagent.channels.base import Arrival, Channel, Health, Receiver
from localagent.values import Outgoing, Sent


class _Both:
    name, kind, idempotent = "fake", "fake", True

    async def send(self, message: Outgoing) -> Sent:
        return Sent("sent", message.id)

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        return Health(True, "fine")

    async def aclose(self) -> None: ...

    async def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        yield Arrival(None, cursor)


def test_a_channel_may_receive_or_not():
    assert isinstance(_Both(), Channel) and isinstance(_Both(), Receiver)
    assert not isinstance(object(), Channel)
