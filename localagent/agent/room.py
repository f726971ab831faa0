"""Room in the context: counts what the model is shown, and shortens it before it does not fit any more.

First go the results that can be had again, then the older part of the conversation, for which the model writes notes. What
the person said, changed files, grants and the plan are told again word for word. A call is never parted from its result.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..engine.base import Engine, Options
from ..engine.counting import Counted, Counting
from ..errors import LocalAgentError, PromptTooLong
from ..events import Compacted, EngineProgress, Event, MessageDone, PrefillProgress
from ..store.atomic import write_atomic
from ..toolbox import spill
from ..toolbox.registry import Registry
from ..values import Message, Text, Timings, Usage
from . import context, digest, wishes
from .compaction import Short, last_results, places
from .offering import SEARCH
from .talk import Talk

FULL = 0.8
"""The share of the context from which a conversation is shortened."""
_ANSWER = 4
_BYTES = 3.0
_LEAST = 200
_NOTES = (96, 400)


@dataclass(frozen=True, slots=True)
class Means:
    """What stands now: `granted` are the rules that were agreed to in this session, `mask` hides secrets."""

    engine: Engine
    registry: Registry
    options: Options
    mask: Callable[[str], str] = str
    granted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Level:
    """How much is left: shares of the room for the end of the conversation and for the person's words, characters of a result."""

    tail: float
    words: float
    result: int = 0
    record: float = 0.06


_ASKED = _Level(0.05, 0.2)
_LEVELS = (_Level(1.0, 1.0), _Level(0.2, 0.2), _Level(0.0, 0.2, 1500), _Level(0.0, 0.0, 400, 0.0))


@dataclass(slots=True)
class _Work:
    """One shortening under way: `fixed` tokens stand before the conversation, which may have `limit` in all."""

    counted: Counted
    fixed: int
    limit: int
    each: float
    running: bool
    results: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    noted: int = 0
    usage: Usage = Usage()
    timings: Timings = Timings()

    @property
    def space(self) -> int:
        return self.limit - self.fixed


def limit(size: int, answer: int) -> int:
    """The tokens that a prompt may have in a context of so many, with room for an answer."""
    return min(int(size * FULL), size - min(answer, size // _ANSWER))


def weight(message: Message) -> int:
    """Bytes of its text, no fewer than it has tokens."""
    texts = [part.text for part in message.parts if isinstance(part, Text)] + [message.thinking]
    texts += [f"{call.name}{json.dumps(call.args, ensure_ascii=False, default=dict)}{' ' * 40}" for call in message.calls]
    return sum(len(text.encode("utf-8", "replace")) for text in texts) + 16


class Room:
    """`place` is the folder for what is kept to be read again; `means` gives what stands now."""

    def __init__(self, talk: Talk, place: Path, means: Callable[[], Means]) -> None:
        self._talk, self._place, self._means = talk, place, means
        self._actual = 0
        self._fixed: dict[tuple[str, int], int] = {}

    @property
    def shown(self) -> list[Message]:
        """The messages as the model sees them."""
        return self._talk.shown

    @property
    def size(self) -> int:
        """Tokens of context, 0 where nobody knows."""
        told = int(getattr(self._means().engine, "context", 0) or 0)
        return min(told, self._actual) if told and self._actual else told

    async def count(self, messages: Sequence[Message]) -> Counted:
        """The tokens of a prompt with these messages. Raises what the engine raises."""
        means = self._means()
        if isinstance(means.engine, Counting):
            made = await means.engine.count(messages, means.registry.specs(), means.options)
            self._actual = made.context
            return made
        return Counted(int(self._bytes(messages) / _BYTES), self.size, exact=False)

    async def fit(self, *, must: bool = False) -> AsyncGenerator[Event, None]:
        """Before an answer of a running request: shorten where that is due; with `must` because the engine said so."""
        counted = await self._due(must)
        if counted is not None:
            async with aclosing(self._made(counted, running=True, least=int(must), asked=False)) as events:
                async for event in events:
                    yield event
            if (lost := self._talk.offering.again(self._talk.requests[-1][0])) is not None:
                yield lost

    async def shorten(self) -> AsyncGenerator[Event, None]:
        """Between two requests, because the person wants it."""
        counted = await self.count(context.for_model(self._talk.shown))
        async with aclosing(self._made(counted, running=False, least=1, asked=True)) as events:
            async for event in events:
                yield event

    # ------------------------------------------------------------ whether it is due

    async def _due(self, must: bool) -> Counted | None:
        size, answer = self.size, self._means().options.max_tokens
        if not size and not must:
            return None
        messages = context.for_model(self._talk.shown)
        if not must and self._most(messages) <= limit(size, answer):
            return None
        counted = await self.count(messages)
        if must or counted.total > limit(counted.context or size, answer):
            return counted if counted.context else replace(counted, context=counted.total)
        return None

    def _most(self, messages: Sequence[Message]) -> int:
        """No prompt of these has more tokens than this."""
        pace = self._talk.pace
        if pace.used:
            grown = self._talk.history[pace.at :]
            return pace.used + sum(map(weight, grown)) + 64 * (len(grown) + 1)
        return self._bytes(messages)

    def _bytes(self, messages: Sequence[Message]) -> int:
        specs = self._means().registry.specs()
        told = sum(len(json.dumps([s.name, s.description, s.parameters], default=dict)) for s in specs)
        return told + sum(map(weight, messages))

    # ------------------------------------------------------------ shortening

    async def _made(self, counted: Counted, *, running: bool, least: int, asked: bool) -> AsyncGenerator[Event, None]:
        work = await self._begin(counted, running)
        for level in range(least, len(_LEVELS)):
            how = _ASKED if asked and level == 1 else _LEVELS[level]
            made = await asyncio.to_thread(self._draft, work, how)
            if made.upto and not work.noted:
                async with aclosing(self._noting(work, made.upto)) as events:
                    async for event in events:
                        yield event
                made = await asyncio.to_thread(self._draft, work, how)
            if not made.upto and not made.results:
                continue
            after = await self.count(context.for_model(self._after(made).shown(self._talk.history)))
            # Leaving results out is worth reading the rest anew only where there is room for a while then.
            enough = work.fixed + work.space * 2 // 3 if not level else work.limit
            if after.total <= enough and after.total < counted.total:
                yield self._finished(made, work, after, asked)
                return
        if not asked:
            raise self._hopeless(work)

    def _hopeless(self, work: _Work) -> PromptTooLong:
        size = f"localagent config set context {2 * max(self.size, 4096)}"
        if work.space < _LEAST:
            told = f"The context of {work.counted.context} tokens has no room beside the {work.fixed} of the tools."
            return PromptTooLong(told, f"Choose a larger one: {size}")
        told = f"What you said in this conversation, and what has to stay beside it, does not fit into {work.limit} tokens any more."
        return PromptTooLong(told, f"Begin a new conversation, say less at once, or choose a larger context: {size}")

    async def _begin(self, counted: Counted, running: bool) -> _Work:
        means = self._means()
        key = (means.engine.model, len(means.registry.specs()))
        if key not in self._fixed:
            self._fixed[key] = (await self.count(context.for_model([Message("user", (Text("."),))]))).total
        fixed = self._fixed[key]
        size = sum(map(weight, self._talk.shown))
        each = max(0.05, (counted.total - fixed) / max(1, size))
        return _Work(counted, fixed, limit(counted.context, means.options.max_tokens), each, running)

    def _after(self, made: Compacted) -> Short:
        return self._talk.short.now.next(made, len(self._talk.history))

    def _finished(self, made: Compacted, work: _Work, after: Counted, asked: bool) -> Compacted:
        seconds = self._talk.pace.seconds(after.total - work.fixed)
        return replace(
            made, before=work.counted.total, after=after.total, context=after.context, exact=after.exact, asked=asked,
            usage=work.usage, timings=work.timings, seconds=round(seconds, 1),
        )  # fmt: skip

    def _draft(self, work: _Work, level: _Level) -> Compacted:
        """What would be shown at this level."""
        history, before = self._talk.history, self._talk.short.now
        upto = before.upto if level.tail >= 1 else self._parting(work, int(work.space * level.tail))
        results = dict(self._left_out(work, upto))
        if level.result:
            results |= self._cut(work, max(upto, last_results(history)), level.result)
        if upto <= before.upto:
            return Compacted(results=results)
        begin = self._begins(work)
        request = begin if begin < upto else -1
        room = int(work.space * level.words / work.each)
        kept = wishes.kept([word for at, word in self._said() if at < upto and at != request], -1, room)
        file = self._kept("conversation", digest.conversation(history[:upto]))
        facts = digest.Facts(
            files=tuple(self._talk.changed),
            granted=self._means().granted,
            plan=self._talk.plan if any(not item.done for item in self._talk.plan) else (),
            file=file,
            record=digest.record(history[:upto], int(work.space * level.record / work.each)),
            notes=work.notes,
            standing=self._talk.beside.standing(upto),
        )
        return Compacted(upto, digest.text(kept, facts), request, results, requests=kept.left)

    def _said(self) -> Iterator[tuple[int, wishes.Word]]:
        """Where in the history the person's own words stand, and those words."""
        number = 0
        begins = {begin for begin, _ in self._talk.requests}
        for at, message in enumerate(self._talk.history):
            number += at in begins
            first = message.parts[0] if message.parts else None
            if message.role in ("user", "steer") and isinstance(first, Text):
                yield at, wishes.Word(number, first.text)

    def _parting(self, work: _Work, tail: int) -> int:
        """Before which message to part: as many of the last as have room in `tail` tokens, the last results always."""
        history, before = self._talk.history, self._talk.short.now
        begin, last = self._begins(work), last_results(history)
        keep = last if begin < last < len(history) else begin
        found, left = before.upto, float(tail)
        fitting = [at for at in places(history) if before.upto < at <= keep]
        for at in reversed(fitting):
            if found > before.upto and sum(self._size(work, n) for n in range(at, len(history))) > left:
                break
            found = at
        return found

    def _begins(self, work: _Work) -> int:
        """Where the request that runs begins; behind everything where none does."""
        return self._talk.requests[-1][0] if work.running and self._talk.requests else len(self._talk.history)

    def _size(self, work: _Work, at: int) -> float:
        message = self._talk.history[at]
        call = message.result.call_id if message.result is not None else ""
        text = work.results.get(call) or self._talk.short.now.results.get(call)
        return (weight(message) if text is None else len(text)) * work.each

    def _left_out(self, work: _Work, upto: int) -> Iterator[tuple[str, str]]:
        """Older results behind `upto`, each by one line that says how to get it again."""
        history, known = self._talk.history, self._talk.short.now.results
        made = digest.calls(history)
        for message in history[upto : last_results(history)]:
            if message.result is None or message.result.call_id in known or len(message.text) < digest.LEAST:
                continue
            id = message.result.call_id
            call = made.get(id)
            spec = self._means().registry.spec(call.name) if call is not None else None
            if spec is not None and spec.source == SEARCH.source:
                continue
            if id not in work.results:
                again = call is not None and digest.again(call, spec) and not message.result.spill
                file = "" if again else message.result.spill or self._kept(id, message.text)
                work.results[id] = digest.stub(message, call, file)
            yield id, work.results[id]

    def _cut(self, work: _Work, begin: int, most: int) -> dict[str, str]:
        """Results from `begin` on that are longer than `most` characters, by head and tail."""
        cut = {}
        for message in self._talk.history[begin:]:
            if message.result is not None and len(message.text) > most + digest.LEAST:
                file = message.result.spill or self._kept(message.result.call_id, message.text)
                cut[message.result.call_id] = spill.ends(message.text, file, most)
        return cut

    def _kept(self, name: str, text: str) -> str:
        """The file in the session's folder that holds it now."""
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._place / f"{name}.txt"
        write_atomic(file, text.encode("utf-8", "replace"))
        return str(file)

    # ------------------------------------------------------------ the model's notes

    async def _noting(self, work: _Work, upto: int) -> AsyncGenerator[Event, None]:
        """Let the model write down what it has to know; where it cannot, the host's own record is all there is."""
        work.noted, means = upto, self._means()
        most = max(_NOTES[0], min(_NOTES[1], work.space // 10))
        before = self._talk.short.now
        shown = (before if self._readable(work, before, upto, most) else replace(before, results={**before.results, **work.results})).shown(
            self._talk.history[:upto]
        )
        messages = context.for_model([*shown, Message("host", (Text(digest.NOTES),))])
        options = replace(means.options, tool_choice="none", max_tokens=most, thinking=False, schema=None, stop=(), offered=(), choices={})
        try:
            async with aclosing(means.engine.stream(messages, means.registry.specs(), options)) as stream:
                async for delta in stream:
                    if isinstance(delta, EngineProgress | PrefillProgress):
                        yield delta
                    elif isinstance(delta, MessageDone):
                        work.notes = means.mask(delta.message.text.strip())
                        work.usage, work.timings = delta.usage, delta.timings
        except LocalAgentError:
            work.notes = ""

    def _readable(self, work: _Work, short: Short, upto: int, most: int) -> bool:
        """Whether the part to be noted down fits as it stands, so that the engine has it read already."""
        size = sum(map(weight, short.shown(self._talk.history[:upto]))) * work.each
        return work.fixed + size + most + 200 < work.counted.context
