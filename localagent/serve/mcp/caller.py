"""The program that calls, in the place of a model: its call is the answer, and then there is nothing more to say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from ...engine.base import Delta, Options
from ...events import MessageDone
from ...values import Message, Text, ToolCall, ToolSpec


class Caller:
    """Implements `base.Engine`; `call` is what it says next."""

    model = "another program"

    def __init__(self) -> None:
        self.call: ToolCall | None = None

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        call, self.call = self.call, None
        if call is None:
            yield MessageDone(Message("assistant", (Text("Done."),)))
        else:
            yield MessageDone(Message("assistant", calls=(call,)))

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        """There is nothing to get ready."""

    async def close(self) -> None:
        """Nothing is held."""
