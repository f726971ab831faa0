"""One answer: prefill, then token by token, free text and grammar taking turns."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import EngineError
from ..values import Generated
from .base import ImageData, Template, Trigger, Untrusted
from .llama import Chain, Context, Grammar, Model
from .prefix import Cancelled, Prefix
from .protocol import Request
from .sampling import sample

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens of all segments, and the token lengths at which snapshots are worth keeping."""

    tokens: list[int]
    marks: tuple[int, ...]
    fixed: int
    opener: int | None
    """The control token that opens a message: a model that writes one is past the end of its own."""


def tokenize(model: Model, request: Request) -> Prompt:
    """Each segment by its kind. Raises `EngineError` for ids that are no tokens and for images."""
    tokens: list[int] = [] if model.bos is None else [model.bos]
    ends = [len(tokens)]
    opener: int | None = None
    for segment in request.segments:
        match segment:
            case Template(text):
                found = model.template(text)
                if opener is None:
                    opener = next((t for t in found if t in model.control and not model.is_eog(t)), None)
                tokens += found
            case Untrusted(text):
                tokens += model.untrusted(text)
            case Generated(_, ids):
                if any(not 0 <= token < model.n_vocab for token in ids):
                    raise EngineError("The history holds tokens of another model.", "Start a new conversation.")
                tokens += ids
            case ImageData(_):
                raise EngineError("This model cannot see images.", "Leave the image out or choose another model.")
        ends.append(len(tokens))
    length = [ends[min(m, len(ends) - 1)] for m in (*request.marks, request.fixed)]
    return Prompt(tokens, tuple(length[:-1]), length[-1] if request.fixed else 0, opener)


class Watch:
    """Finds the end of a trigger in text that arrives piece by piece."""

    def __init__(self, triggers: Sequence[Trigger]) -> None:
        self._triggers = [(t.text.encode(), t) for t in triggers]
        self._text = bytearray()
        self._floor = 0

    def feed(self, piece: bytes) -> tuple[Trigger, int] | None:
        """The trigger that `piece` completes and how many bytes of it belong to that; takes only those."""
        before = len(self._text)
        base = max(0, before - 2048)
        whole = bytes(self._text[base:]) + piece
        found: tuple[int, int, Trigger] | None = None
        for raw, trigger in self._triggers:
            at = max(self._floor - base, before - base - len(raw) + 1, 0)
            while (at := whole.find(raw, at)) >= 0:
                end = at + len(raw)
                if not trigger.at_line_start or (_at_line_start(whole, at) and (base == 0 or whole[:at].strip())):
                    if found is None or (end, at) < found[:2]:
                        found = end, at, trigger
                    break
                at += 1
        if found is None:
            self._text += piece
            return None
        used = found[0] + base - before
        self._text += piece[:used]
        return found[2], used

    def take(self, piece: bytes) -> None:
        """Text written under a grammar: no trigger starts in it."""
        self._text += piece
        self._floor = len(self._text)


def _at_line_start(text: bytes, at: int) -> bool:
    line = text[:at].rstrip(b" \t")
    return not line or line.endswith((b"\n", b"\r"))


class Answer:
    """Makes one answer on a context. `run` may be called once."""

    def __init__(
        self,
        context: Context,
        prefix: Prefix,
        request: Request,
        emit: Emit,
        stop: Callable[[], bool],
        pace: Callable[[float], None],
    ) -> None:
        self._context, self._model, self._prefix = context, context.model, prefix
        self._request, self._emit, self._stop, self._pace = request, emit, stop, pace
        self._watch = Watch(request.grammar.triggers)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._grammars: dict[str, Grammar] = {}
        self._grammar: Grammar | None = None
        self._chain: Chain | None = None
        self.output = 0

    def run(self) -> dict[str, Any]:
        """Emits prefill and token events; returns the final `done` event. Raises `EngineError`."""
        started = time.monotonic()
        prompt = tokenize(self._model, self._request)
        cached, stop, prefilled = 0, "cancelled", 0.0
        try:
            for trigger in self._request.grammar.triggers:
                if trigger.grammar not in self._grammars:
                    self._grammars[trigger.grammar] = Grammar(self._model, trigger.grammar)
            forced = self._force(self._request.grammar.forced)
            cached = self._prefix.sync(
                [*prompt.tokens, *forced],
                marks=prompt.marks,
                fixed=prompt.fixed,
                progress=lambda done, total, kept: self._emit(
                    {"event": "prefill", "done": done, "total": total, "cached": kept}
                ),
                stop=self._stop,
            )
            prefilled = time.monotonic()
            if forced:
                self._say(forced)
            self._chain = Chain(self._model, self._request.sampling)
            stop = self._decode(self._chain, prompt.opener)
        except Cancelled:
            stop = "cancelled"
        finally:
            self._close()
        ended = time.monotonic()
        prefilled = prefilled or ended
        return {
            "event": "done",
            "stop": stop,
            "text": self._utf8.decode(b"", True),
            "usage": {"input": len(prompt.tokens), "cached": min(cached, len(prompt.tokens)), "output": self.output},
            "timings": {"prefill_ms": (prefilled - started) * 1e3, "decode_ms": (ended - prefilled) * 1e3},
        }

    def _decode(self, chain: Chain, opener: int | None) -> str:
        while True:
            if self._stop():
                return "cancelled"
            if self.output >= self._request.max_tokens or len(self._prefix.tokens) >= self._context.n_ctx:
                return "length"
            began = time.monotonic()
            token = sample(self._context, chain, self._grammar)
            if self._grammar is None and (token == opener or self._model.is_eog(token)):
                return "end"
            ids = self._follow(token)
            self._prefix.extend(ids)
            self._say(ids)
            self._pace(time.monotonic() - began)

    def _follow(self, token: int) -> Sequence[int]:
        """What to decode for a sampled token, moving between free text and grammar."""
        piece = self._model.piece(token)
        if self._grammar is not None:
            self._grammar.accept(token)
            self._watch.take(piece)
            if self._grammar.complete():
                self._leave()
            return [token]
        hit = self._watch.feed(piece)
        if hit is None:
            return [token]
        trigger, used = hit
        self._grammar = self._grammars[trigger.grammar].fresh()
        if used == len(piece):
            return [token]
        # The token runs past the trigger, where the grammar must have its say: only its start is kept.
        return self._model.untrusted(piece[:used].decode("utf-8", "replace"))

    def _force(self, text: str) -> Sequence[int]:
        """Tokens of the text put into the model's mouth, with the grammar moved past them."""
        if not text:
            return []
        hit = self._watch.feed(text.encode())
        if hit is None:
            return self._model.template(text)
        trigger, used = hit
        rest = text.encode()[used:].decode("utf-8", "replace")
        self._grammar = self._grammars[trigger.grammar].fresh()
        tokens = self._model.template(rest)
        for token in tokens:
            self._grammar.accept(token)
        self._watch.take(rest.encode())
        if tokens and self._grammar.complete():
            self._leave()
        return (*self._model.template(text.encode()[:used].decode()), *tokens)

    def _leave(self) -> None:
        if self._grammar is not None:
            self._grammar.close()
            self._grammar = None

    def _say(self, ids: Sequence[int]) -> None:
        self.output += len(ids)
        text = self._utf8.decode(b"".join(map(self._model.piece, ids)))
        self._emit({"event": "token", "ids": ids, "text": text})

    def _close(self) -> None:
        self._leave()
        for grammar in self._grammars.values():
            grammar.close()
        if self._chain is not None:
            self._chain.close()
