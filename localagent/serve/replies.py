"""Our deltas -> OpenAI's JSON, whole or in chunks."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..engine.base import Delta, Logprobs, TokenLogprob
from ..events import MessageDone, TextDelta, ThinkingDelta
from ..values import Timings, ToolCall, Usage
from .bare import Bare
from .models import Model

_NEVER = -9999.0
"""A log probability of minus infinity, as OpenAI writes it; JSON knows none."""


@dataclass(frozen=True, slots=True)
class Head:
    """What every piece of one answer repeats."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def fields(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


class Whole:
    """Gathers one answer. `done` must have come before `body` is asked for."""

    def __init__(self, model: str, *, logprobs: bool, bare: bool = False) -> None:
        self._head = Head(model)
        self._probed = _Probed() if logprobs else None
        self._bare = Bare() if bare else None
        self._tokens: list[TokenLogprob] = []
        self._said = ""
        self._done: MessageDone | None = None

    def feed(self, delta: Delta) -> None:
        if isinstance(delta, Logprobs) and self._probed:
            self._probed.hold(delta.tokens)
        elif isinstance(delta, TextDelta):
            self._text(self._bare.feed(delta.text) if self._bare else delta.text)
        elif isinstance(delta, ThinkingDelta) and self._probed:
            self._probed.take(delta.text)
        elif isinstance(delta, MessageDone):
            self._text(self._bare.finish() if self._bare else "")
            self._text(_unsaid(delta, self._said))
            self._done = delta

    def _text(self, text: str) -> None:
        """The tokens of text that the client is shown: not those of the fence around an answer in JSON."""
        self._said += text
        if text and self._probed:
            self._tokens += self._probed.take(text)

    def body(self) -> dict[str, Any]:
        if self._done is None:
            raise ValueError("the engine ended without a message")
        said = self._done.message
        message: dict[str, Any] = {
            "role": "assistant",
            "content": said.text if said.parts or not said.calls else None,
            "refusal": None,
        }
        if said.thinking.strip():
            message["reasoning_content"] = said.thinking.strip()
        if said.calls:
            message["tool_calls"] = [_call(call) for call in said.calls]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": _logprobs(self._tokens) if self._probed else None,
            "finish_reason": finish_reason(self._done),
        }
        return {
            **self._head.fields("chat.completion"),
            "choices": [choice],
            "usage": usage(self._done.usage),
            "timings": timings(self._done.timings),
        }


class Chunks:
    """One answer in pieces: each is the JSON of one event."""

    def __init__(self, model: str, *, logprobs: bool, bare: bool, include_usage: bool) -> None:
        self._head = Head(model)
        self._probed = _Probed() if logprobs else None
        self._bare = Bare() if bare else None
        self._usage = include_usage
        self._said = ""

    def begin(self) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": ""})

    def feed(self, delta: Delta) -> Iterator[dict[str, Any]]:
        match delta:
            case Logprobs(tokens) if self._probed:
                self._probed.hold(tokens)
            case TextDelta(text):
                yield from self._text(self._bare.feed(text) if self._bare else text)
            case ThinkingDelta(text):
                if self._probed:
                    self._probed.take(text)
                if text:
                    yield self._chunk({"reasoning_content": text})
            case MessageDone():
                yield from self._end(delta)

    def _text(self, text: str) -> Iterator[dict[str, Any]]:
        if text:
            self._said += text
            yield self._chunk({"content": text}, tokens=self._probed.take(text) if self._probed else None)

    def _end(self, done: MessageDone) -> Iterator[dict[str, Any]]:
        if self._bare:
            yield from self._text(self._bare.finish())
        yield from self._text(_unsaid(done, self._said))
        for index, call in enumerate(done.message.calls):
            made = _call(call)
            opened = {**made, "function": {"name": made["function"]["name"], "arguments": ""}}
            yield self._chunk({"tool_calls": [{"index": index, **opened}]})
            arguments = {"arguments": made["function"]["arguments"]}
            yield self._chunk({"tool_calls": [{"index": index, "function": arguments}]})
        last = self._chunk({}, finish=finish_reason(done))
        yield last | {"timings": timings(done.timings)}
        if self._usage:
            yield {**self._head.fields("chat.completion.chunk"), "choices": [], "usage": usage(done.usage)}

    def _chunk(
        self, delta: dict[str, Any], *, tokens: Sequence[TokenLogprob] | None = None, finish: str | None = None
    ) -> dict[str, Any]:
        logprobs = None if tokens is None else _logprobs(tokens)
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        made = {**self._head.fields("chat.completion.chunk"), "choices": [choice]}
        return made | {"usage": None} if self._usage else made


def _unsaid(done: MessageDone, said: str) -> str:
    """Text that only the end of the answer showed to be text."""
    text = done.message.text
    return text[len(said) :] if text.startswith(said) else ""


def finish_reason(done: MessageDone) -> str:
    """A call that was cut off is no call: the answer then ended for its length."""
    if done.cut or done.stop == "length":
        return "length"
    return "tool_calls" if done.message.calls else "stop"


def usage(used: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }


def timings(spent: Timings) -> dict[str, float]:
    return {
        "load_ms": round(spent.load_ms, 1),
        "prefill_ms": round(spent.prefill_ms, 1),
        "decode_ms": round(spent.decode_ms, 1),
    }


def listed(model: Model, loaded: str | None) -> dict[str, Any]:
    """A model as `/v1/models` shows it."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "localagent",
        "loaded": loaded is not None and loaded == model.path,
        "context": model.context,
        "thinks": model.thinks,
        "sees": bool(getattr(model.engine, "sees", False)),
    }


def encoded(value: Any) -> bytes:
    """JSON. Half a surrogate pair, which a model can write, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict).encode("utf-8", "replace")


def event(value: Any) -> bytes:
    return b"data: " + encoded(value) + b"\n\n"


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.args, ensure_ascii=False, default=dict)
    function = {"name": call.name, "arguments": arguments}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


class _Probed:
    """Tokens whose text has not come yet. Those that become a call never come as text, and are left out."""

    def __init__(self) -> None:
        # The bytes still to come of each token, and None in its place once it was taken.
        self._waiting: list[tuple[bytes, TokenLogprob | None]] = []

    def hold(self, tokens: Sequence[TokenLogprob]) -> None:
        self._waiting += [(token.piece, token) for token in tokens]

    def take(self, text: str) -> list[TokenLogprob]:
        """The tokens that this text was written with, as far as they were not taken before."""
        wanted, written = text.encode("utf-8", "replace"), b"".join(left for left, _ in self._waiting)
        at = 0 if written.startswith(wanted) else written.rfind(wanted)
        end = at + len(wanted) if at >= 0 else len(written)
        taken, kept, position = [], [], 0
        for left, token in self._waiting:
            start, position = position, position + len(left)
            if start >= end:
                kept.append((left, token))
            elif position > at:
                taken += [token] if token else []
                kept += [(left[end - start :], None)] if position > end else []
        self._waiting = kept
        return taken


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    shown = [
        {**_token(token.piece, token.logprob), "top_logprobs": [_token(*one) for one in token.top]} for token in tokens
    ]
    return {"content": shown, "refusal": None}


def _token(piece: bytes, logprob: float) -> dict[str, Any]:
    text = piece.decode("utf-8", "replace")
    return {"token": text, "logprob": max(logprob, _NEVER), "bytes": list(piece)}
