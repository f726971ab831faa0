"""One answer of a model to one request, as deltas: what a request may ask for beyond one run of the engine."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ..engine.base import Delta, Options, unfenced
from ..events import EngineProgress, MessageDone, TextDelta
from ..values import Message, Text, ToolSpec
from . import checked
from .checked import together
from .models import Model
from .recall import Recall
from .requests import Chat


class Answers:
    """Makes answers; remembers what was said, so that a conversation that goes on is computed once."""

    def __init__(self) -> None:
        self._recall = Recall()

    async def stream(self, model: Model, chat: Chat) -> AsyncGenerator[Delta, None]:
        """The last delta is `MessageDone`, whose message is what the client is to see. Errors as the engine's."""
        options = chat.for_model(model.thinks, model.context, model.sampling, model.thinking_sampling)
        before = self._recall.restore(model.id, options.client, chat.messages)
        async with aclosing(_answer(model, before, chat.specs, options)) as deltas:
            async for delta in deltas:
                # The answer has not begun: what fails now still gets a status of its own.
                if isinstance(delta, EngineProgress):
                    continue
                if not isinstance(delta, MessageDone):
                    yield delta
                    continue
                shown = visible(delta, options)
                # Behind a stop text, and behind calls that are held back, the model had said more than is shown.
                if delta.message.generated and not options.stop and len(shown.calls) == len(delta.message.calls):
                    self._recall.keep(model.id, options.client, chat.messages, shown, delta.message)
                yield replace(delta, message=shown)


def visible(done: MessageDone, options: Options) -> Message:
    """The message without a call that did not end, and without calls that were not wanted."""
    calls = done.message.calls[:-1] if done.cut else done.message.calls
    if options.tool_choice == "none":
        calls = ()
    calls = checked.called(calls, options)
    text = done.message.text if options.schema is None else unfenced(done.message.text)
    return replace(done.message, parts=(Text(text),) if text.strip() else (), calls=calls)


async def _answer(
    model: Model, before: Sequence[Message], specs: Sequence[ToolSpec], options: Options
) -> AsyncGenerator[Delta, None]:
    schema = options.schema
    if schema is None or options.tool_choice == "required":
        plain = replace(options, schema=None)
        run = _quiet(model, before, specs, plain) if options.tool_choice == "none" else _run(model, before, specs, plain)
    elif specs and options.tool_choice == "auto":
        run = _call_or_json(model, before, specs, options, schema)
    else:
        run = _run(model, _asking_for(schema, before), specs, options)
    async with aclosing(run) as deltas:
        async for delta in deltas:
            yield delta


def _run(
    model: Model, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
) -> AsyncGenerator[Delta, None]:
    return checked.stream(model.engine, messages, specs, options)


async def _quiet(
    model: Model, before: Sequence[Message], specs: Sequence[ToolSpec], options: Options
) -> AsyncGenerator[Delta, None]:
    """No calls wanted: where the model makes one all the same and says nothing, it is asked without tools."""
    said, unwanted = False, None
    async with aclosing(_run(model, before, specs, options)) as deltas:
        async for delta in deltas:
            said = said or (isinstance(delta, TextDelta) and bool(delta.text.strip()))
            if isinstance(delta, MessageDone) and delta.message.calls and not said and not delta.message.text.strip():
                unwanted = delta
                break
            yield delta
        else:
            return
    async with aclosing(_run(model, before, (), options)) as deltas:
        async for delta in deltas:
            yield together(unwanted, delta, delta.message) if unwanted and isinstance(delta, MessageDone) else delta


async def _call_or_json(
    model: Model, before: Sequence[Message], specs: Sequence[ToolSpec], options: Options, schema: Mapping[str, Any]
) -> AsyncGenerator[Delta, None]:
    """Tools and a schema: a call if the model makes one, else what it answers once more as JSON."""
    first: MessageDone | None = None
    held: list[Delta] = []
    free = replace(options, schema=None, max_tokens=min(options.max_tokens, max(model.context // 4, 1)))
    async with aclosing(_run(model, before, specs, free)) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                first = delta
            else:
                held.append(delta)
    if first is None:
        return
    calls_end = first.message.calls and not (first.cut and len(first.message.calls) == 1)
    left = options.max_tokens - first.usage.output_tokens
    if calls_end or left < 1:
        for delta in held:
            yield delta
        yield first
        return
    again = [*before, replace(first.message, calls=()), _request_for(schema)]
    async with aclosing(_run(model, again, specs, replace(options, tool_choice="none", max_tokens=left))) as deltas:
        async for delta in deltas:
            if isinstance(delta, MessageDone):
                # These tokens stand behind words that the client never sees.
                delta = together(first, delta, replace(delta.message, generated=None))
            yield delta


def _asking_for(schema: Mapping[str, Any], messages: Sequence[Message]) -> list[Message]:
    """The messages with the schema told: the grammar holds the form, but the model should know what is coming."""
    asked = _request_for(schema)
    last = messages[-1]
    if last.role != "user":
        return [*messages, asked]
    return [*messages[:-1], replace(last, parts=(*last.parts, Text("\n\n" + asked.text)))]


def _request_for(schema: Mapping[str, Any]) -> Message:
    if schema == {"type": "object"}:
        return Message("host", (Text("Answer with one JSON object."),))
    return Message("host", (Text(f"Answer with JSON of this schema:\n{json.dumps(schema, ensure_ascii=False)}"),))
