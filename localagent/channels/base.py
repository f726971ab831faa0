"""What every channel can do: send one message, receive many, say how it is.

A channel knows its service and nothing else: not the outbox, no policy, no contact. Two rules hold them together:

- `send` tells what it knows. `failed` is for what was certainly not taken in (refused, no connection before anything
  was handed over); whatever happened after the message left for the service without an answer is `unconfirmed`.
  It never tries again by itself, and raises for bugs and cancellation only.
- `receive` gives each message once for a cursor. Whoever stores message and cursor together misses none and sees none twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..values import Incoming, Outgoing, Sent


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message, or none, and the cursor behind it."""

    message: Incoming | None
    cursor: str


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe found: `sends` and `receives` (None: the channel cannot do that), `detail` one sentence for the person."""

    ok: bool
    detail: str
    sends: bool | None = None
    receives: bool | None = None


@runtime_checkable
class Channel(Protocol):
    """`name` is the user's for it ("work"), `kind` the service ("email").

    `idempotent`: the service itself takes a second `send` with the same `Outgoing.id` for the same message.
    """

    name: str
    kind: str
    idempotent: bool

    async def send(self, message: Outgoing) -> Sent: ...

    async def find(self, message: Outgoing) -> Sent | None:
        """What became of an attempt nobody saw the end of: `sent` with its proof, `failed` where the service is certain
        that it never came, None where that cannot be found out."""
        ...

    async def probe(self) -> Health: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Receiver(Protocol):
    """A channel through which messages come in too."""

    def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        """Messages behind `cursor` ("" for the first time: from now on, nothing old). With `wait` it goes on for ever
        and connects again after failures, else it ends when there are no more. Raises ChannelError where the service
        refuses us for good (a wrong password).
        """
        ...
