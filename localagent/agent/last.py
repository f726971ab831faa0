"""The last words of a turn, where they are not those that the model ended with."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ..engine.base import Logprobs, unfenced
from ..errors import EngineError
from ..events import Event, MessageDone, Nudged
from . import context, nudges, tongue
from .budget import Clock
from .tally import Tally
from .turn import REQUEST, Turn, request


async def shaped(turn: Turn, tally: Tally, clock: Clock) -> AsyncGenerator[Event, None]:
    """The answer once more, as JSON that the grammar holds to the schema that is asked for."""
    yield Nudged(nudges.as_json(turn.schema))
    options = replace(turn.options, schema=turn.schema, thinking=False)
    if turn.room is not None:
        async with aclosing(clock.each(turn.room.fit())) as events:
            async for event in events:
                yield event
    stream = turn.engine.stream(turn.messages(), turn.hands.registry.specs(), options)
    async with aclosing(clock.each(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                tally.final = unfenced(delta.message.text)
                if delta.stop == "length":
                    raise EngineError("The answer did not fit the schema within its token limit.", "Ask for less.")
            if not isinstance(delta, Logprobs):
                yield delta


async def retold(turn: Turn, tally: Tally, clock: Clock) -> AsyncGenerator[Event, None]:
    """Where the person wrote another language and was answered in English, as small models do behind a call: the answer in theirs."""
    asked = request(turn)[:REQUEST]
    language = tongue.missed(asked, tally.final)
    if not language or (turn.budget.turns and tally.turns >= turn.budget.turns):
        return
    yield Nudged(nudges.in_language(language))
    stream = turn.engine.stream(context.retelling(tally.final, language), (), replace(turn.options, thinking=False))
    async with aclosing(clock.each(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                text = delta.message.text.strip()
                tally.final = tally.final if not text or tongue.missed(asked, text) else text
            if not isinstance(delta, Logprobs):
                yield delta
