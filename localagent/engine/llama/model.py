"""One GGUF file: weights and vocabulary."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import EngineError
from ..preflight import refusal
from ..vocabulary import CONTROL, USER_DEFINED, Vocabulary
from .bindings import L, _log, log_tail


class Model(Vocabulary):
    """Weights and vocabulary of one GGUF file.

    `gpu_layers` go to graphics cards (-1: all), `split` of them to each; `repack` copies weights into a form of the
    processor's own. Raises `ModelError` where llama.cpp refuses the file. `progress(fraction)` is called while
    loading and may return False to give up, which raises `EngineError`.
    """

    def __init__(
        self,
        path: str,
        *,
        gpu_layers: int = -1,
        split: Sequence[int] = (),
        repack: bool = False,
        progress: Callable[[float], bool] | None = None,
        vocab_only: bool = False,
    ) -> None:
        params = L.llama_model_default_params()
        params.use_extra_bufts = repack
        params.load_mode = L.LLAMA_LOAD_MODE_MMAP
        params.n_gpu_layers = gpu_layers
        params.tensor_split = (ctypes.c_float * L.llama_max_devices())(*split)
        params.vocab_only = vocab_only
        given_up = False

        def on_progress(fraction: float, _user: Any) -> bool:
            nonlocal given_up
            given_up = progress is not None and progress(fraction) is False
            return not given_up

        callback = L.llama_progress_callback(on_progress)
        params.progress_callback = callback
        _log.clear()
        self._model = L.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise EngineError("Loading the model was cancelled.") if given_up else refusal(path, log_tail())
        self.path = path
        self._vocab = L.llama_model_get_vocab(self._model)
        self.n_vocab: int = L.llama_vocab_n_tokens(self._vocab)
        self.n_ctx_train: int = L.llama_model_n_ctx_train(self._model)
        self.recurrent = bool(L.llama_model_is_recurrent(self._model) or L.llama_model_is_hybrid(self._model))
        self.bytes: int = L.llama_model_size(self._model)
        self.n_layer: int = L.llama_model_n_layer(self._model)
        self.bos: int | None = L.llama_vocab_bos(self._vocab) if L.llama_vocab_get_add_bos(self._vocab) else None
        ends = (L.llama_vocab_eos(self._vocab), L.llama_vocab_eot(self._vocab))
        self.eog: int | None = next((t for t in ends if t >= 0 and self.is_eog(t)), None)
        self._pieces: dict[int, bytes] = {}
        self.breaks = L.llama_vocab_type(self._vocab) == L.LLAMA_VOCAB_TYPE_BPE
        attribute = L.llama_vocab_get_attr
        super().__init__({t: attribute(self._vocab, t) & (CONTROL | USER_DEFINED) for t in range(self.n_vocab)})

    def close(self) -> None:
        if self._model:
            L.llama_model_free(self._model)
            self._model = None

    def meta(self, key: str) -> str | None:
        size = 4096
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = L.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < 0:
                return None
            if length < size:
                return buffer.value.decode("utf-8", "replace")
            size = length + 1

    @property
    def chat_template(self) -> str | None:
        text = L.llama_model_chat_template(self._model, None)
        return text.decode("utf-8", "replace") if text else None

    def is_eog(self, token: int) -> bool:
        return bool(L.llama_vocab_is_eog(self._vocab, token))

    def piece(self, token: int) -> bytes:
        known = self._pieces.get(token)
        if known is None:
            buffer = ctypes.create_string_buffer(512)
            length = L.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
            if length < 0:
                buffer = ctypes.create_string_buffer(-length)
                length = L.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
            known = self._pieces[token] = buffer.raw[: max(length, 0)]
        return known

    def _tokenize(self, text: str, special: bool) -> list[int]:
        raw = text.encode("utf-8", "replace")
        if not raw:
            return []
        room = len(raw) + 8
        buffer = (L.llama_token * room)()
        count = L.llama_tokenize(self._vocab, raw, len(raw), buffer, room, False, special)
        if count < 0:
            raise EngineError("The engine could not read a part of the prompt.", "Leave out the last text or file.")
        return buffer[:count]
