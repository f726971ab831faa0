"""No call goes out that breaks the schema of its tool, or calls what is no tool.

A grammar holds a call only from where it opens, and not every schema whole; a parser takes some
calls that no grammar held. So each is looked at once more: mended where there is one way to read
it, else asked for once more under its tool's grammar, else left out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from ..engine import conform
from ..engine.base import Delta, Engine, Options, spelt
from ..errors import GrammarRefused, PromptTooLong
from ..events import MessageDone, PrefillProgress, TextDelta
from ..values import Message, Text, ToolCall, ToolSpec, Usage
from . import mending

_AGAIN = 3
"""How many calls of one answer are asked for once more."""


async def stream(
    engine: Engine, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
) -> AsyncGenerator[Delta, None]:
    """As `Engine.stream`, with sound calls alone: none at all without tools, where they are the text they were."""
    said = False
    async with aclosing(engine.stream(messages, specs, options)) as deltas:
        async for delta in deltas:
            said = said or (isinstance(delta, TextDelta) and bool(delta.text.strip()))
            if not isinstance(delta, MessageDone) or not delta.message.calls:
                yield _no_fragment(delta) if options.tool_choice == "required" and not said else delta
                continue
            if not specs:
                yield _as_text(delta)
                return
            done = delta
            break
        else:
            return
    if options.tool_choice == "none":
        yield done
        return
    async with aclosing(_sound(engine, messages, specs, options, done, said)) as deltas:
        async for delta in deltas:
            yield delta


def _no_fragment(delta: Delta) -> Delta:
    """The start of a call that the token limit ended before its name is no text."""
    if not isinstance(delta, MessageDone) or delta.stop != "length":
        return delta
    return replace(delta, message=replace(delta.message, parts=(), generated=None))


async def _sound(
    engine: Engine,
    messages: Sequence[Message],
    specs: Sequence[ToolSpec],
    options: Options,
    done: MessageDone,
    said: bool,
) -> AsyncGenerator[Delta, None]:
    """The answer with its calls checked; in words, without tools, where none is left and nothing was said."""
    # One that was cut is never given out, and tells by its place how the answer ended.
    cut = done.message.calls[-1:] if done.cut else ()
    found: list[ToolCall] = []
    asked = 0
    for call in called(done.message.calls[: len(done.message.calls) - len(cut)], options):
        one = _judged(call, specs)
        if one.call is None and one.spec and asked < _AGAIN and done.usage.output_tokens < options.max_tokens:
            asked += 1
            again: MessageDone | None = None
            async with aclosing(_once_more(engine, messages, specs, options, one, done)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, MessageDone):
                        again = delta
                    else:
                        yield delta
            if again is not None:
                done = together(done, again, done.message)
                one = next((_judged(call, specs) for call in again.message.calls[: 0 if again.cut else 1]), one)
        found += [one.call] if one.call else []
    done = _with_calls(done, (*found, *cut), spoken=not asked)
    left = options.max_tokens - done.usage.output_tokens
    if done.message.calls or said or done.message.text.strip() or left < 1:
        yield done
        return
    plain = replace(options, tool_choice="none", tool="", max_tokens=left)
    async with aclosing(stream(engine, messages, (), plain)) as deltas:
        async for delta in deltas:
            yield together(done, delta, delta.message) if isinstance(delta, MessageDone) else delta


def _with_calls(done: MessageDone, calls: tuple[ToolCall, ...], *, spoken: bool) -> MessageDone:
    """The answer with these calls; its tokens are kept only where they say what the client is told (`spoken`)."""
    kept = spoken and len(calls) == len(done.message.calls)
    return replace(done, message=replace(done.message, calls=calls, generated=done.message.generated if kept else None))


async def _once_more(
    engine: Engine,
    messages: Sequence[Message],
    specs: Sequence[ToolSpec],
    options: Options,
    wrong: _Judged,
    done: MessageDone,
) -> AsyncGenerator[Delta, None]:
    """The same call under the grammar of its tool alone, with what was wrong told; nothing where that cannot be asked."""
    asked = [*messages, Message("host", (Text(wrong.told()),))]
    left = options.max_tokens - done.usage.output_tokens
    forced = replace(
        options, tool_choice="required", tool=wrong.given.name, parallel=False, thinking=False, max_tokens=left
    )
    try:
        async with aclosing(engine.stream(asked, specs, forced)) as deltas:
            async for delta in deltas:
                if isinstance(delta, PrefillProgress | MessageDone):
                    yield delta
    except (PromptTooLong, GrammarRefused):
        return


@dataclass(frozen=True, slots=True)
class _Judged:
    """A call as it was given and as it may go out; None where it may not. `spec` None where there is no such tool."""

    given: ToolCall
    call: ToolCall | None
    spec: ToolSpec | None

    def told(self) -> str:
        wrong = conform.problems(self.spec.parameters, dict(self.given.args)) if self.spec else []
        args = json.dumps(self.given.args, ensure_ascii=False, default=dict)[:2000]
        return f"The call {self.given.name}({args}) was not made: {'; '.join(wrong)}. Make that call again, put right."


def _judged(call: ToolCall, specs: Sequence[ToolSpec]) -> _Judged:
    name = mending.named(call.name, [spec.name for spec in specs])
    spec = next((spec for spec in specs if spec.name == name), None)
    if spec is None:
        return _Judged(call, None, None)
    args = mending.mended(spec.parameters, call.args)
    given = replace(call, name=spec.name)
    return _Judged(given, None if args is None else replace(given, args=args), spec)


def called(calls: tuple[ToolCall, ...], options: Options) -> tuple[ToolCall, ...]:
    """Those that a request asked for: of the one tool that it names, and one alone where it wants no more."""
    if options.tool:
        calls = tuple(call for call in calls if mending.named(call.name, (options.tool,)))
    return calls if options.parallel else calls[:1]


def together(first: MessageDone, last: MessageDone, message: Message) -> MessageDone:
    """`message` with the cost of both; the client sent the first one's prompt only, and waited for both."""
    usage = Usage(
        first.usage.input_tokens, first.usage.cached_tokens, first.usage.output_tokens + last.usage.output_tokens
    )
    how = first if message is first.message else last
    return replace(how, message=message, usage=usage, timings=first.timings + last.timings)


def _as_text(done: MessageDone) -> MessageDone:
    """Where there are no tools nothing is a call."""
    text = Text(spelt(done.message.text, done.message.calls))
    return replace(done, message=replace(done.message, parts=(text,), calls=(), generated=None), cut=False)
