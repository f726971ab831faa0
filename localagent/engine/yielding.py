"""A context that can be left in the middle of a long batch, or between two tokens, and gone on with.

After an aborted batch a recurrent state is lost, so before a batch that may take long it is
copied. A batch that was left is computed again, whole: the answer is the same to the last bit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .llama import CANDIDATE, Chain, Context, Model

SHORT = 32
"""Batches up to this many tokens are waited for."""
LONG_S = 0.4
"""A batch that takes longer is worth a copy of the recurrent state, so that it can be left."""


class Yielding(Context):
    """`left` is called where a batch was left; it returns when to go on, or raises `prefix.Cancelled`."""

    def __init__(self, model: Model, **how: Any) -> None:
        super().__init__(model, **how)
        self.left: Callable[[], None] = _nobody
        self.pressing: Callable[[], bool] = _never
        self._lock = threading.Lock()
        self._broken = self._leavable = False
        self._per_token: float | None = None
        self._kept: list[np.ndarray] = []

    # ------------------------------------------------------------ from any thread

    def abort(self, on: bool) -> None:
        """Break off whatever is decoded, now and later, or allow decoding again."""
        with self._lock:
            self._broken = on
            super().abort(on)

    def leave(self) -> None:
        """Leave the running batch where it can be gone on with afterwards; else it is waited for."""
        with self._lock:
            if self._leavable:
                super().abort(True)

    # ------------------------------------------------------------ decoding

    def decode(self, tokens: Sequence[int]) -> int:
        if len(tokens) <= SHORT:
            return super().decode(tokens)
        length = self.last_position() + 1
        state, jump = self._precious(length, len(tokens)), self.jump
        while True:
            # Whoever had the context in between may have read a picture.
            self.jump = jump
            code = 2
            self._may_leave(state is not None)
            began = time.monotonic()
            if not self.pressing() or state is None:
                code = super().decode(tokens)
            took = time.monotonic() - began
            self._may_leave(False)
            if code == 0:
                self._per_token = took / len(tokens)
            if code != 2 or state is None or not self._back(length, state):
                return code
            self.left()

    def _may_leave(self, on: bool) -> None:
        with self._lock:
            self._leavable = on
            super().abort(self._broken)

    def _precious(self, length: int, more: int) -> Any | None:
        """What brings the context back to this length, "" where that takes nothing; None where it cannot be left."""
        if not self.recurrent or length == 0:
            return ""
        if self._per_token is not None and self._per_token * more < LONG_S:
            return None
        return self.save(True)

    def _back(self, length: int, state: Any) -> bool:
        if length == 0:
            self.clear()
        # The recurrent part first: cutting the attention part is refused while the other is ahead.
        elif (state and not self.load(state, True)) or not self.truncate(length):
            return False
        return self.last_position() == length - 1

    def see(self, view: str, position: int) -> int:
        self._kept = []
        return super().see(view, position)

    def _decode(self, tokens: Sequence[int], outputs: int) -> int:
        self._kept = []
        return super()._decode(tokens, outputs)

    # ------------------------------------------------------------ logits that outlive a restored state

    def held_logits(self) -> list[np.ndarray]:
        """Copies of all rows there are to sample from, the last one first."""
        return [self.logits(back).copy() for back in range(1, max(self._ready, len(self._kept)) + 1)]

    def put_back_logits(self, rows: Sequence[np.ndarray]) -> None:
        self._kept = list(rows)

    def truncate(self, length: int) -> bool:
        self._kept = []
        return super().truncate(length)

    def clear(self) -> None:
        self._kept = []
        super().clear()

    def load(self, state: Any, partial: bool) -> bool:
        self._kept = []
        return super().load(state, partial)

    def logits(self, back: int = 1) -> np.ndarray:
        return self._kept[back - 1] if 0 < back <= len(self._kept) else super().logits(back)

    def draw(self, chain: Chain, back: int = 1) -> int:
        if not self._kept or chain.greedy:
            return super().draw(chain, back)
        candidates = np.zeros(self.model.n_vocab, CANDIDATE)
        candidates["id"], candidates["logit"] = np.arange(self.model.n_vocab), self.logits(back)
        token = chain.pick(candidates)
        chain.accept(token)
        return token


def _nobody() -> None:
    raise RuntimeError("a batch was left that nobody goes on with")


def _never() -> bool:
    return False
