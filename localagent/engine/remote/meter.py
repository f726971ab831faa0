"""Counts what an endpoint's answers cost, and asks it nothing where the budget would not hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from ...errors import BudgetSpent, EngineError, ModelError
from ...events import EngineProgress, MessageDone, TextDelta, ThinkingDelta
from ...store.spend import Request, Spend
from ...values import Image, Message, Text, ToolSpec
from ..base import Delta, Options
from ..entry import Entry
from .engine import RemoteEngine

_BYTES_A_TOKEN = 3
"""Fewer than any tokeniser needs for plain text: what is counted so is rather too much."""
IMAGE_TOKENS = 2000


@dataclass(slots=True)
class Purse:
    """What one run may spend: `most` dollars (None for no limit), within the user's `limits` by day and month.

    All engines of a run share it. `spent` are its dollars so far.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    most: float | None = None
    ledger: Spend = field(default_factory=Spend)
    spent: float = 0.0


class Metered:
    """A `RemoteEngine` whose answers are paid for; implements `base.Engine`."""

    def __init__(self, engine: RemoteEngine, entry: Entry, purse: Purse) -> None:
        self.model, self.leaves, self.sees, self.context = engine.model, engine.leaves, engine.sees, engine.context
        self.endpoint, self.purse = engine, purse
        self._engine, self._entry, self._purse = engine, entry, purse

    @property
    def unpriced(self) -> str:
        """What to say of a budget in dollars that cannot be held, "" where it can."""
        dollars = [name for name in self._purse.limits if not name.endswith("tokens")]
        return f"What {self.model} costs is not known: only budgets of tokens hold for it." if dollars and not self._entry.price else ""

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        read = tokens(messages, [*specs, *options.offered])
        number = await asyncio.to_thread(self._reserve, read, options.max_tokens)
        written, heard, done = 0, False, False
        try:
            async with aclosing(self._engine.stream(messages, specs, options)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, MessageDone):
                        self._settle(number, self._was(delta, read))
                        done = True
                    heard = heard or not isinstance(delta, EngineProgress)
                    written += len(delta.text.encode()) if isinstance(delta, TextDelta | ThinkingDelta) else 0
                    yield delta
        except (EngineError, ModelError):
            if not heard:
                self._purse.ledger.release(number)
                done = True
            raise
        finally:
            if not done:
                # It broke off, or was stopped: what had come by then is paid for.
                self._settle(number, self._priced(read, written // _BYTES_A_TOKEN, 0))

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        """Nothing leaves before it is asked for."""

    async def close(self) -> None:
        await self._engine.close()

    # ------------------------------------------------------------ within

    def _reserve(self, read: int, written: int) -> int:
        """Raises BudgetSpent and StoreError."""
        most, purse = self._priced(read, written, 0), self._purse
        if purse.most is not None:
            if most.dollars is None:
                raise BudgetSpent(f"What {self.model} costs is not known, so no limit in dollars can be held.", "Use --max-tokens instead.")
            if purse.spent + most.dollars > purse.most + 1e-9:
                told = f"${purse.spent:.4f} of ${purse.most:.4f} are spent, and this request may cost ${most.dollars:.4f}"
                raise BudgetSpent(f"The budget of this run is spent: {told}.", "--max-cost sets it.")
        remote = self._entry.remote
        return purse.ledger.reserve(self.model, remote.provider if remote else "", most, purse.limits)

    def _settle(self, number: int, was: Request) -> None:
        self._purse.spent += was.dollars or 0.0
        self._purse.ledger.settle(number, was)

    def _was(self, done: MessageDone, read: int) -> Request:
        usage = done.usage
        if not (usage.input_tokens or usage.output_tokens):
            # An endpoint that does not say is not for nothing.
            said = len(done.message.text) + len(done.message.thinking) + sum(len(str(call.args)) for call in done.message.calls)
            return self._priced(read, said // _BYTES_A_TOKEN, 0)
        return self._priced(usage.input_tokens, usage.output_tokens, usage.cached_tokens)

    def _priced(self, read: int, written: int, cached: int) -> Request:
        price = self._entry.price
        return Request(read, written, cached, price.of(read, written, cached) if price else None)


def tokens(messages: Sequence[Message], specs: Sequence[ToolSpec]) -> int:
    """How many tokens these may be, rather too many than too few."""
    size = images = 0
    for message in messages:
        for part in message.result.parts if message.result else message.parts:
            size += len(part.text.encode("utf-8", "replace")) if isinstance(part, Text) else 0
            images += isinstance(part, Image)
        size += len(message.thinking.encode("utf-8", "replace")) + 20
        size += sum(len(json.dumps(dict(call.args), default=str, ensure_ascii=False).encode("utf-8", "replace")) for call in message.calls)
    shown = [(spec.name, spec.description, dict(spec.parameters)) for spec in specs]
    size += len(json.dumps(shown, default=str, ensure_ascii=False).encode("utf-8", "replace"))
    return size // _BYTES_A_TOKEN + images * IMAGE_TOKENS
