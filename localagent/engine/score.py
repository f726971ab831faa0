"""How likely texts are as the next ones: the prompt is computed once, and left for the answer that may follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import EngineError, PromptTooLong
from .answer import Emit, Prompt, spell, tokenize
from .llama import N_OUTPUTS, Context
from .prefix import Cancelled, Prefix
from .protocol import Score
from .queue import nothing_done
from .sampling import logprob


class Scoring:
    """Answers one `Score` on a context. `run` may be called once."""

    def __init__(self, context: Context, prefix: Prefix, request: Score, emit: Emit, stop: Callable[[], bool]) -> None:
        self._context, self._prefix = context, prefix
        self._request, self._emit, self._stop = request, emit, stop

    def run(self) -> dict[str, Any]:
        """Emits prefill events; returns the final `done` event. Raises `EngineError`."""
        started = time.monotonic()
        try:
            prompt = tokenize(self._context.model, self._request, self._context.n_ctx, self._stop, self._context.eyes)
        except Cancelled:
            return nothing_done()
        candidates = [
            [token for segment in candidate for token in spell(self._context.model, segment)]
            for candidate in self._request.candidates
        ]
        self._check(prompt.size, max(map(len, candidates), default=0))
        # All but the last token, so that whoever goes on from here computes that one, and a recurrent state is kept.
        base = prompt.tokens[:-1]
        cached, prefilled = 0, 0.0
        said: list[float] = []
        scores: list[list[float]] = []
        try:
            first, behind = self._said(prompt)
            cached = self._prefill(base[: first - 1] if first < behind else base, prompt)
            if first < behind:
                said = self._along(prompt.tokens[first - 1 : behind - 1], prompt.tokens[first:behind])
                self._go_on(base[behind - 1 :])
            prefilled = time.monotonic()
            scores = self._tell(prompt, candidates)
            stop = "end"
        except Cancelled:
            stop = "cancelled"
        ended = time.monotonic()
        prefilled = prefilled or ended
        return {
            "event": "done",
            "stop": stop,
            "said": said,
            "scores": scores,
            "text": "",
            "usage": {"input": len(prompt.tokens), "cached": cached, "output": 0},
            "timings": {"prefill_ms": (prefilled - started) * 1e3, "decode_ms": (ended - prefilled) * 1e3},
        }

    def _prefill(self, tokens: list[int], prompt: Prompt) -> int:
        if self._prefix.back(tokens):
            return len(tokens)
        return self._prefix.sync(
            tokens,
            marks=prompt.marks,
            fixed=prompt.fixed,
            tail=prompt.tail,
            progress=lambda done, total, kept: self._emit(
                {"event": "prefill", "done": done, "total": total, "cached": kept}
            ),
            stop=self._stop,
            views=prompt.views if prompt.views.at else None,
        )

    def _check(self, prompt: int, longest: int) -> None:
        if prompt < 2:
            raise EngineError("The prompt is empty.", "Say something.")
        if prompt + longest >= self._context.n_ctx:
            raise PromptTooLong(
                f"The conversation has {prompt + longest} tokens and the context holds {self._context.n_ctx}.",
                "Start a new conversation, or choose a larger context.",
            )

    def _said(self, prompt: Prompt) -> tuple[int, int]:
        """Which tokens are told of; there is nothing to say of the very first."""
        last = len(prompt.ends) - 1
        first, behind = (prompt.ends[min(segment, last)] for segment in self._request.said)
        if any(token < 0 for token in prompt.tokens[first:behind]):
            return 0, 0  # a picture has no words of which anything could be said
        return max(first, 2), behind

    def _go_on(self, tokens: Sequence[int]) -> None:
        for at in range(0, len(tokens), self._context.n_batch):
            if self._stop():
                raise Cancelled
            self._prefix.extend(tokens[at : at + self._context.n_batch])
        self._prefix.keep()

    def _tell(self, prompt: Prompt, candidates: Sequence[Sequence[int]]) -> list[list[float]]:
        """Of each candidate's tokens behind the prompt."""
        tokens = prompt.tokens
        base = len(tokens) - 1
        first: np.ndarray | None = None
        scores: list[list[float]] = []
        for candidate in candidates:
            if self._stop():
                raise Cancelled
            if first is not None and len(candidate) < 2:
                scores.append([logprob(first, token) for token in candidate])
                continue
            self._return(prompt)
            self._prefix.extend(tokens[base:], self._context.decode_all)
            first = self._context.logits().copy()
            rest = self._along(candidate[:-1], candidate[1:])
            scores.append([logprob(first, candidate[0]), *rest] if candidate else [])
        self._return(prompt)
        return scores

    def _return(self, prompt: Prompt) -> None:
        base = prompt.tokens[:-1]
        if not self._prefix.back(base):
            self._prefix.sync(base, stop=self._stop, views=prompt.views if prompt.views.at else None)

    def _along(self, tokens: Sequence[int], following: Sequence[int]) -> list[float]:
        """Decode `tokens`; the log probabilities of the token behind each."""
        told: list[float] = []
        for at in range(0, len(tokens), N_OUTPUTS):
            if self._stop():
                raise Cancelled
            part = tokens[at : at + N_OUTPUTS]
            self._prefix.extend(part, self._context.decode_all)
            for number, token in enumerate(following[at : at + N_OUTPUTS]):
                told.append(logprob(self._context.logits(len(part) - number), token))
        return told
