"""The engine on this machine, as a client of its resident host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from ..errors import EngineError, LocalAgentError
from ..events import EngineProgress, MessageDone, PrefillProgress
from ..values import Generated, Message, Text, ToolSpec
from . import asked, counting, protocol, resident
from .base import (
    CallGrammar,
    Delta,
    Dialect,
    Logprobs,
    Options,
    Parser,
    Segment,
    Surprise,
    Template,
    spelt,
)
from .fenced import FenceParser
from .model import ModelFile
from .power import Mode
from .resident import log_path, socket_path, status, stop

__all__ = ["LocalEngine", "log_path", "socket_path", "status", "stop"]


class LocalEngine:
    """Answers with a model file on this machine; implements `base.Engine`.

    The host is started on demand where `start` is true. `threads` None lets it choose, with fewer of
    them where `power` says so (auto: on a low battery or a hot processor). `idle_s` is how long a host
    started here outlives its last answer.
    """

    def __init__(
        self,
        model_file: ModelFile,
        dialect: Dialect,
        *,
        idle_s: float = 600.0,
        threads: int | None = None,
        power: Mode = "auto",
        start: bool = True,
    ) -> None:
        self.model, self.context = model_file.id, model_file.context
        self._file = model_file
        self._dialect = dialect
        self._projector = model_file.projector if getattr(dialect, "shows", False) else ""
        self._idle_s = idle_s
        self._threads, self._power = threads, power
        self._start = start

    @property
    def bytes(self) -> int:
        """The size of the model's files, 0 where it is not known."""
        return self._file.bytes

    @property
    def sees(self) -> bool:
        """Whether pictures can be shown to it."""
        return bool(self._projector)

    async def close(self) -> None:
        """Nothing is held between answers; the host ends by itself."""

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        # The grammar of many tools takes seconds to build, and others are being answered meanwhile.
        request = await asyncio.to_thread(self._request, messages, specs, options)
        known = () if options.schema else asked.bound(asked.callable(specs, options), {})
        fenced = options.schema and not options.thinking
        parser = FenceParser() if fenced else self._dialect.parser(known, thinking=options.thinking)
        ids: list[int] = []
        async with aclosing(self._events(protocol.request_to_json(request))) as events:
            async for event in events:
                match event["event"]:
                    case "loading" | "queued" | "waiting":
                        yield EngineProgress(event["event"], event.get("fraction", 0.0), event.get("before", 0))
                    case "prefill":
                        yield PrefillProgress(event["done"], event["total"], event["cached"])
                    case "token":
                        ids += event["ids"]
                        if told := event.get("logprobs"):
                            yield Logprobs(tuple(map(asked.logprob, told)))
                        for delta in asked.deltas(parser, event["text"]):
                            yield delta
                    case "done":
                        for delta in asked.deltas(parser, event["text"]):
                            yield delta
                        yield self._done(parser, tuple(ids), event, tools=bool(known))

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        """See `base.Engine`. Returns when it is read, or when somebody else needs the engine."""
        with suppress(LocalAgentError):
            await self._told(protocol.prepare_to_json(self._ahead(messages, specs, options)))

    async def score(
        self,
        messages: Sequence[Message],
        specs: Sequence[ToolSpec],
        candidates: Sequence[str],
        *,
        thinking: bool = False,
        priority: int = 0,
        client: str = "",
        pictures: str = "",
    ) -> list[list[float]]:
        """For each candidate the natural log probability of each of its tokens as the beginning of the answer.

        The prompt is the one that `stream` would send, and computing it serves that too. Control
        tokens in a candidate are meant. Fails like `stream`.
        """
        prompt = self._prompt(messages, specs, thinking, pictures)
        texts = tuple((Template(text),) for text in candidates)
        request = protocol.Score(**prompt, candidates=texts, priority=priority, client=client)
        return (await self._told(protocol.score_to_json(request))).get("scores", [])

    async def surprise(
        self,
        messages: Sequence[Message],
        specs: Sequence[ToolSpec],
        *,
        thinking: bool = False,
        priority: int = 0,
        client: str = "",
    ) -> Surprise:
        """How surprising the last user message is, token by token, where it stands in `stream`'s prompt.

        Computing the prompt serves that too. Empty where there is no user message. Fails like `stream`.
        """
        prompt = self._prompt(messages, specs, thinking)
        history, shown = [self._own(message, "") for message in messages], asked.bound(specs, {})
        users = [index for index, message in enumerate(history) if message.role == "user"]
        said = self._place(history, users[-1], shown, thinking, prompt["segments"]) if users else (0, 0)
        request = protocol.Score(**prompt, said=said, priority=priority, client=client)
        told = await self._told(protocol.score_to_json(request))
        return Surprise(tuple(told.get("said", ())), *asked.cost(told))

    async def count(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options, texts: Sequence[str] = ()
    ) -> counting.Counted:
        """See `counting.Counting`."""
        history = [self._own(message, options.pictures) for message in messages]
        request = counting.request(self._file, self._dialect, history, asked.bound(specs, {}), options, texts)
        return counting.answer(await self._told(protocol.count_to_json(request)), request)

    async def _told(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The event that ends an answer of no text."""
        told: dict[str, Any] = {}
        async with aclosing(self._events(request)) as events:
            async for event in events:
                told = event
        return told

    # ------------------------------------------------------------ the request

    def _request(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> protocol.Request:
        sampling = options.sampling or (
            self._file.thinking_sampling if options.thinking and self._file.thinking_sampling else self._file.sampling
        )
        return protocol.Request(
            **self._prompt(messages, specs, options.thinking, options.pictures),
            grammar=self._grammar(specs, options),
            sampling=sampling,
            max_tokens=options.max_tokens,
            priority=options.priority,
            client=options.client,
            ends=self._dialect.ends,
            stops=options.stop,
            logprobs=options.logprobs,
        )

    def _prompt(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], thinking: bool, pictures: str = ""
    ) -> dict[str, Any]:
        """The fields of a request that say what stands before the answer."""
        history = [self._own(message, pictures) for message in messages]
        shown = asked.bound(specs, {})
        segments = self._dialect.render(history, shown, thinking=thinking)
        marks = self._marks(history, shown, thinking, segments)
        return {
            "path": self._file.path,
            "context": self._file.context,
            "segments": tuple(segments),
            "threads": self._threads,
            "power": self._power,
            "marks": tuple(marks),
            "fixed": marks[0] if marks else 0,
            "projector": self._projector,
            "pictures": pictures,
        }

    def _ahead(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> protocol.Prepare:
        """The part of the prompt that will not change when the last user message goes on."""
        file = self._file
        if not messages:
            return protocol.Prepare(file.path, file.context, (), threads=self._threads, client=options.client)
        last = messages[-1]
        if last.role != "user":
            return protocol.Prepare(**self._prompt(messages, specs, options.thinking, options.pictures), client=options.client)
        settled = asked.settled(last.text)
        written = [*messages[:-1], replace(last, parts=(Text(settled or "…"),))]
        prompt = self._prompt(written, specs, options.thinking, options.pictures)
        history, shown = [self._own(message, options.pictures) for message in written], asked.bound(specs, {})
        first, behind = self._place(history, len(history) - 1, shown, options.thinking, prompt["segments"])
        prompt["segments"] = prompt["segments"][: behind if settled else first]
        return protocol.Prepare(**prompt, client=options.client)

    def _grammar(self, specs: Sequence[ToolSpec], options: Options) -> CallGrammar:
        if options.schema:
            return asked.answer_grammar(options.schema, self._dialect.opening)
        bound = asked.bound(asked.callable(specs, options), options.choices)
        return self._dialect.grammar(bound, options.tool_choice, parallel=options.parallel)

    def _own(self, message: Message, pictures: str) -> Message:
        """Ids that another model generated mean nothing here: its text is rendered instead. So are pictures it cannot see."""
        message = asked.seen(message, pictures if self._projector else "")
        if message.generated is None or message.generated.model == self._file.key:
            return message
        return replace(message, generated=None)

    def _marks(
        self, history: Sequence[Message], specs: Sequence[ToolSpec], thinking: bool, segments: Sequence[Segment]
    ) -> list[int]:
        """Segments before the text of the first and of the last user message."""
        users = [i for i, message in enumerate(history) if message.role == "user"]
        places = [
            self._place(history[: index + 1], index, specs, thinking, segments)[0]
            for index in dict.fromkeys(users[:1] + users[-1:])
        ]
        return [place for place in places if place]

    def _place(
        self,
        history: Sequence[Message],
        index: int,
        specs: Sequence[ToolSpec],
        thinking: bool,
        segments: Sequence[Segment],
    ) -> tuple[int, int]:
        """The segments that hold one message's text: the first of them, and the first behind them."""
        other = replace(history[index], parts=(Text("\0"),))
        twin = self._dialect.render([*history[:index], other, *history[index + 1 :]], specs, thinking=thinking)
        first = asked.alike(segments, twin)
        return first, max(first, len(segments) - asked.alike(segments[::-1], twin[::-1]))

    def _done(self, parser: Parser, ids: tuple[int, ...], event: dict[str, Any], *, tools: bool = True) -> MessageDone:
        parsed = parser.finish()
        if parsed.calls and not tools:
            parsed = replace(parsed, text=spelt(parsed.text, parsed.calls), calls=(), cut=False, unclosed=False)
        usage, timings = asked.cost(event)
        message = Message(
            role="assistant",
            parts=(Text(parsed.text),) if parsed.text else (),
            thinking=parsed.thinking,
            calls=parsed.calls,
            generated=Generated(self._file.key, ids),
        )
        return MessageDone(
            message=message,
            usage=usage,
            timings=timings,
            stop=event["stop"],
            repairs=parsed.repairs,
            cut=parsed.cut or event.get("cut", False) or (parsed.unclosed and event["stop"] != "end"),
        )

    # ------------------------------------------------------------ the conversation with the host

    async def _events(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The events of one answer up to `done`. A host that was just ending is asked a second time."""
        packed = asked.packed({"id": 1, **request})
        for last in (False, True):
            reader, writer = await self._connect()
            heard = False
            try:
                writer.write(packed)
                while (event := await protocol.read(reader)) is not None:
                    heard = True
                    if event["event"] == "error":
                        if event["kind"] == "version" and event.get("host", 0) > protocol.VERSION:
                            raise EngineError(
                                "localagent was updated while this program was running.", "End this program and start it again."
                            )
                        if event["kind"] == "version" and not last:
                            break
                        raise protocol.error_from_json(event)
                    if event.get("stop") == "cancelled":
                        raise EngineError("The engine was stopped while answering.", "Run it again.")
                    yield event
                    if event["event"] == "done":
                        return
                else:
                    if heard or last:
                        raise asked.broke_off()
            except (ConnectionError, protocol.FrameError, protocol.BadRequest) as error:
                if heard or last:
                    raise asked.broke_off() from error
            finally:
                # The host frees the engine at once when the connection closes.
                writer.close()
            if heard:
                await stop()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = socket_path()
        found = await resident.connect(path)
        if found is not None:
            return found
        if not self._start:
            raise EngineError("The engine is not running.", "Start it by asking it something.")
        return await resident.start(path, self._idle_s)
