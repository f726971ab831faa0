"""The engine for a model behind an endpoint; implements `base.Engine`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ...errors import EngineError
from ...events import EngineProgress, MessageDone
from ...values import Message, Text, Timings, ToolSpec
from .. import gbnf
from ..base import Delta, Options, spelt
from ..entry import Entry
from . import form, keys
from .form import Memory
from .reading import Reading
from .wire import Wire, _Final

_QUIET_S = 900.0
"""How long an endpoint may show signs of life, and nothing of an answer."""


class RemoteEngine:
    """Answers with `entry`'s model. `key` is its secret, "" where the endpoint wants none; `on` are the provider's own tools that
    are switched on, of those that it has.

    `leaves` says what is sent to another machine, "" for nothing; `sees` whether pictures are.

    Nothing holds the endpoint to the tools' schemas: names and arguments are checked behind it like any model's.
    """

    def __init__(self, entry: Entry, key: str, on: Sequence[str] = ()) -> None:
        if entry.remote is None:
            raise ValueError(f"{entry.id} is no model of an endpoint")
        self.on = tuple(name for name in on if name in entry.remote.tools)
        self.model, self.leaves, self.sees = entry.id, keys.leaves(entry, self.on), entry.sees
        self._entry, self._remote = entry, entry.remote
        self.context = entry.context
        self._wire = Wire(entry.remote, key)
        self._memory = Memory()

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        known, body = self.request(messages, specs, options)
        reading = Reading(frozenset(spec.name for spec in known))
        begun = heard = time.monotonic()
        first = 0.0
        try:
            async with aclosing(self._wire.events(body)) as events:
                while not reading.full and (event := await self._next(events, heard)) is not None:
                    if isinstance(event, EngineProgress):
                        yield event
                        heard = time.monotonic()
                        continue
                    first = first or time.monotonic() - begun
                    size = reading.size
                    for delta in reading.feed(event):
                        yield delta
                    heard = time.monotonic() if reading.size > size else heard
        except _Final as refused:
            raise refused.error from None
        for delta in reading.finish():
            yield delta
        yield self._done(reading, Timings(0.0, first * 1000, (time.monotonic() - begun - first) * 1000), tools=bool(known))

    def request(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> tuple[Sequence[ToolSpec], dict[str, Any]]:
        """The tools that may be called, and what is sent."""
        known = gbnf.bind([*specs, *options.offered], options.choices)
        thinking = options.thinking and self._entry.thinks
        sampling = options.sampling or (thinking and self._entry.thinking_sampling) or self._entry.sampling
        own = replace(options, thinking=thinking)
        body = form.body(messages, known, own, self._remote, sampling, self._memory, sees=self.sees)
        return known, body | {self._remote.tools[name]: True for name in self.on}

    async def _next(self, events: AsyncGenerator[Any], heard: float) -> Any:
        """The next event, None behind the last. Raises EngineError where nothing of an answer has come for long."""
        try:
            async with asyncio.timeout(heard + _QUIET_S - time.monotonic()):
                return await anext(events, None)
        except TimeoutError:
            told = f"{self.model} sent nothing of an answer for {_QUIET_S:g} seconds."
            raise EngineError(told, "Try again, or use another model.") from None

    def _done(self, reading: Reading, timings: Timings, *, tools: bool) -> MessageDone:
        calls, repairs, cut = reading.calls()
        text = reading.text
        if calls and not tools:
            text, calls, cut = spelt(text, calls), (), False
        if reading.stop is None and not (text or calls):
            raise EngineError(f"{self.model} broke off without an answer.", "Run it again.")
        message = Message("assistant", (Text(text),) if text else (), reading.thinking, calls)
        self._memory.keep(message, reading.said)
        stop = reading.stop or ("end" if self._wire.whole else "length")
        return MessageDone(message, reading.usage, timings, stop, repairs, cut or (bool(calls) and stop == "length"))

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        """Nothing leaves before it is asked for."""

    async def models(self) -> list[str]:
        """What the endpoint has. Raises EngineError and ModelError."""
        try:
            return await self._wire.models()
        except _Final as refused:
            raise refused.error from None

    async def close(self) -> None:
        await self._wire.close()
