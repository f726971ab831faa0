"""Grammars and samplers: what chooses the next token."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import EngineError, GrammarRefused
from ..base import Sampling
from .bindings import L, _log
from .model import Model


class Grammar:
    """A GBNF grammar in progress. Raises `GrammarRefused` where the text is not a grammar.

    `stands` gives, for each control token that the grammar names, the unprinted token written there
    in its place: llama.cpp would match a control token's name with text, and one that ends an
    answer with nothing. `spare` is another such token: where text could be that, no name counts.
    """

    def __init__(
        self, model: Model, gbnf: str, stands: Mapping[int, int] | None = None, spare: int = 0, _pointer: Any = None
    ) -> None:
        self._model = model
        self._stands, self._spare = stands or {}, spare
        self._barred = frozenset((*self._stands.values(), spare)) if self._stands else frozenset()
        self.named = frozenset(self._stands)
        self._pointer = _pointer
        if _pointer is None:
            raw = gbnf.encode("utf-8", "replace")
            usable = raw.strip() and b"\0" not in raw
            _log.clear()
            self._pointer = L.llama_sampler_init_grammar(model._vocab, raw, b"root") if usable else None
            if not self._pointer:
                raise GrammarRefused("A tool's grammar cannot be read.", "Leave that tool out.")
        self._one = L.llama_token_data()
        self._array = L.llama_token_data_array(data=ctypes.pointer(self._one), size=1, selected=-1, sorted=False)
        self._reference = ctypes.byref(self._array)

    def fresh(self) -> Grammar:
        """The same grammar at its start; only to be taken from one that accepted nothing."""
        return Grammar(self._model, "", self._stands, self._spare, L.llama_sampler_clone(self._pointer))

    def allows(self, token: int) -> bool:
        """Whether the token may come next: a control token only where the grammar names it, an end behind it all."""
        if token in self._stands:
            return self._matches(self._stands[token]) and not self._matches(self._spare)
        if token in self._barred or (token in self._model.control and not self._model.is_eog(token)):
            return False
        return self._matches(token)

    def _matches(self, token: int) -> bool:
        one = self._one
        one.id, one.logit = token, 0.0
        L.llama_sampler_apply(self._pointer, self._reference)
        return one.logit > -math.inf

    def accept(self, token: int) -> None:
        """Move on by one token. Raises `EngineError` for one the grammar forbids."""
        if not self.allows(token):
            raise EngineError("The engine was given a token its grammar forbids.", "Run it again.")
        L.llama_sampler_accept(self._pointer, self._stands.get(token, token))

    def complete(self) -> bool:
        """Whether the text so far is a whole `root`."""
        return self._model.eog is not None and self._matches(self._model.eog)

    def mask(self, candidates: np.ndarray) -> np.ndarray:
        """The candidates that may come next."""
        ids = candidates["id"]
        text = self._model.plain[ids]
        if self._stands:
            text &= ~np.isin(ids, [*self._barred, *self._stands])
        found = np.ascontiguousarray(candidates[text])
        L.llama_sampler_apply(self._pointer, ctypes.byref(_array(found)))
        found = found[found["logit"] > -np.inf]
        named = [token for token in self._stands if token in ids and self.allows(token)]
        return np.concatenate([found, candidates[np.isin(ids, named)]]) if named else found

    def close(self) -> None:
        if self._pointer:
            L.llama_sampler_free(self._pointer)
            self._pointer = None


def _array(candidates: np.ndarray) -> Any:
    data = ctypes.cast(candidates.ctypes.data, L.llama_token_data_p)
    return L.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)


class Chain:
    """llama.cpp's sampler chain for one answer."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self._chain = L.llama_sampler_chain_init(L.llama_sampler_chain_default_params())
        add = functools.partial(L.llama_sampler_chain_add, self._chain)
        repeat, frequency, presence = sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty
        self.penalised = (repeat, frequency, presence) != (1.0, 0.0, 0.0)
        if sampling.top_k > 0 or self.penalised:
            add(L.llama_sampler_init_top_k(sampling.top_k if sampling.top_k > 0 else 256))
            if self.penalised:
                add(L.llama_sampler_init_penalties(model.n_vocab, 256, repeat, frequency, presence))
        self.greedy = sampling.temperature <= 0.0 and not self.penalised
        """Whether the likeliest token is all that it ever draws."""
        if sampling.temperature <= 0.0:
            add(L.llama_sampler_init_greedy())
            return
        if sampling.top_p < 1.0:
            add(L.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0.0:
            add(L.llama_sampler_init_min_p(sampling.min_p, 1))
        add(L.llama_sampler_init_temp(sampling.temperature))
        add(L.llama_sampler_init_dist(0xFFFFFFFF if sampling.seed is None else sampling.seed & 0x7FFFFFFF))

    def pick(self, candidates: np.ndarray) -> int:
        array = _array(candidates)
        L.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id) if array.selected >= 0 else int(array.data[0].id)

    def accept(self, token: int) -> None:
        L.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        if self._chain:
            L.llama_sampler_free(self._chain)
            self._chain = None
