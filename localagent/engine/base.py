"""The one protocol of this room, and the values that cross it.

An engine turns a history and tool specifications into a stream of deltas. It keeps no
conversations: restart, fork, rewind and resume are just other lists of messages.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..events import EngineProgress, MessageDone, PrefillProgress, TextDelta, ThinkingDelta
from ..values import Generated, Message, Timings, ToolCall, ToolSpec, Usage

# ---------------------------------------------------------------- what the host is asked


@dataclass(frozen=True, slots=True)
class Template:
    """Text of ours: control tokens in it are meant."""

    text: str


@dataclass(frozen=True, slots=True)
class Untrusted:
    """Anybody else's text: whatever it spells, it becomes no control token."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageData:
    sha256: str


Segment = Template | Untrusted | ImageData | Generated


@dataclass(frozen=True, slots=True)
class Sampling:
    """llama.cpp's sampler chain. `temperature` 0 is greedy; `seed` None is random."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_penalty: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Text that opens a call.

    Once the model has written `text` (where `at_line_start` is set: only at the start of its
    answer or right behind a line break and spaces), decoding goes on under `grammar` (GBNF,
    rule `root`) for what FOLLOWS that text, until the root is complete; then free text again.
    """

    text: str
    grammar: str
    at_line_start: bool = False


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """`forced` is the text to put into the model's mouth when a call is required, else "".

    With `once` the answer ends as soon as a trigger's grammar is complete.
    """

    triggers: tuple[Trigger, ...] = ()
    forced: str = ""
    once: bool = False


# ---------------------------------------------------------------- dialects


def read_as(role: str) -> str:
    """The role under which a model reads a message: it knows no words that open no turn."""
    return "user" if role in ("host", "steer") else role


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class CallOpened:
    """The name of a call is known; its arguments are still being written."""

    name: str


Piece = Said | Thought | CallOpened


@dataclass(frozen=True, slots=True)
class Parsed:
    """A whole answer. `repairs` says what was mended; `cut` that the last call did not end.

    `unclosed`: the last call is all there only if the model ended the answer by itself. It was
    read without its own end, so where something else stopped the answer it is `cut`.
    """

    text: str
    thinking: str
    calls: tuple[ToolCall, ...]
    repairs: tuple[str, ...] = ()
    cut: bool = False
    unclosed: bool = False


class Parser(Protocol):
    """Reads one answer piece by piece. Never raises, whatever the text."""

    def feed(self, text: str) -> list[Piece]: ...

    def finish(self) -> Parsed: ...


ToolChoice = Literal["auto", "none", "required"]


class Dialect(Protocol):
    """One family's way to write messages, calls and results. One that can write pictures has `shows`, True."""

    name: str

    @property
    def ends(self) -> tuple[str, ...]:
        """Control tokens that end an answer, besides those the model file names itself."""
        ...

    @property
    def opening(self) -> str:
        """What stands between the prompt and an answer in words; "" where that begins at once."""
        ...

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        """The whole prompt, ending where the model's next answer begins."""
        ...

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        """How calls are held to the tools' schemas; one call at most where not `parallel`."""
        ...

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser: ...


# ---------------------------------------------------------------- the engine


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One sampled token: its bytes, its natural log probability, and the likeliest instead, best first."""

    piece: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Comes before the text of these tokens, and only where `Options.logprobs` asks."""

    tokens: tuple[TokenLogprob, ...]


Delta = EngineProgress | PrefillProgress | TextDelta | ThinkingDelta | Logprobs | MessageDone


@dataclass(frozen=True, slots=True)
class Options:
    """How to answer. `priority` 0 is a waiting person, 1 a job. `max_tokens` bounds the answer.

    - `tool` names the one tool that may be called; "" leaves the choice. `parallel` False allows
      one call at most.
    - `schema` asks for one JSON value of that JSON Schema instead of free text or calls.
    - `stop`: texts that end the answer; they are not part of it.
    - `logprobs`: how many of the likeliest tokens to tell with each token, 0 for its own alone.
    - `choices`: the values of each named set, for parameters that may only take one of a set.
    - `offered`: further tools that may be called, which the messages show and the beginning of the prompt does not.
    - `client`: whose request it is; those of one priority take turns.
    """

    thinking: bool = False
    max_tokens: int = 2048
    tool_choice: ToolChoice = "auto"
    sampling: Sampling | None = None
    priority: int = 0
    schema: Mapping[str, Any] | None = None
    tool: str = ""
    parallel: bool = True
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    client: str = ""
    offered: tuple[ToolSpec, ...] = ()
    pictures: str = ""


@dataclass(frozen=True, slots=True)
class Surprise:
    """The natural log probability of each token of a text in its place, and what reading up to it cost."""

    logprobs: tuple[float, ...] = ()
    usage: Usage = Usage()
    timings: Timings = Timings()


UNSEEN = "[a picture, which only the user can see, not you]"
"""What a model that cannot see is told in a picture's place."""
JSON_FENCE = "```json\n"


def unfenced(text: str) -> str:
    """The JSON of an answer that was asked for with `Options.schema`."""
    return text.strip().removeprefix(JSON_FENCE.strip()).removesuffix("```").strip()


def spelt(text: str, calls: Sequence[ToolCall]) -> str:
    """The text with the calls as JSON behind it, for where there are no tools and nothing is a call."""
    said = (json.dumps({"name": call.name, "arguments": call.args}, ensure_ascii=False, default=dict) for call in calls)
    return "\n".join(part for part in (text, *said) if part)


class Engine(Protocol):
    """Streams one answer. One that can show pictures to its model has `sees`, True.

    - The last delta is `MessageDone`, with the generated ids on its message.
    - Failures are raised as `EngineError` or `ModelError`, with the next step in `hint`.
    - Cancelling the task (or closing the iterator) frees the engine within 0.2 s.
    """

    model: str

    def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]: ...

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        """Get ready for a request that begins like this, as far as nobody else needs the engine.

        A user message at the end may still be being written. Without messages only the model is
        loaded. Never raises: what cannot be prepared will be said by `stream`. Cancel it when the
        request will not come.
        """
        ...

    async def close(self) -> None: ...
