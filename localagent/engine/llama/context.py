"""One sequence of tokens in memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import EngineError, ModelError
from .bindings import N_BATCH, N_OUTPUTS, L, _log
from .eyes import Eyes
from .grammar import Chain
from .model import Model


class Context:
    """One sequence of tokens: the backend of `prefix.Prefix`. `kv` is f16 or q8_0, `layout` the form of a saved state."""

    def __init__(
        self, model: Model, *, n_ctx: int, threads: int, batch: int = N_BATCH, kv: str = "f16", flash: bool = True
    ) -> None:
        params = L.llama_context_default_params()
        params.n_ctx = max(256, min(n_ctx, model.n_ctx_train or n_ctx))
        params.n_batch = params.n_ubatch = max(batch, N_OUTPUTS)
        params.n_seq_max = 1
        params.n_outputs_max = N_OUTPUTS
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = L.GGML_TYPE_Q8_0 if kv == "q8_0" else L.GGML_TYPE_F16
        params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_AUTO if flash else L.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if flash and kv != "f16":
            params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.no_perf = True
        _log.clear()
        self._context = L.llama_init_from_model(model._model, params)
        if not self._context:
            raise ModelError(
                f"There is not enough memory for a context of {params.n_ctx} tokens.",
                "Choose a smaller context or a smaller model, or close other programs.",
            )
        self.model, self.recurrent = model, model.recurrent
        self.layout = f"k{params.type_k} v{params.type_v} flash{params.flash_attn_type} swa{int(params.swa_full)}"
        self.n_batch: int = L.llama_n_batch(self._context)
        self.n_ctx: int = L.llama_n_ctx(self._context)
        self.threads = threads
        self._memory = L.llama_get_memory(self._context)
        self._ready = 0
        self.eyes: Eyes | None = None
        self.jump: int | None = None
        """Where the next token goes, if not right behind the last one; see `backend.Backend`."""
        self._positions = (L.llama_pos * self.n_batch)()
        self._tokens = (L.llama_token * self.n_batch)()
        self._wanted = (ctypes.c_int8 * self.n_batch)()
        self._batch = L.llama_batch_get_one(self._tokens, 0)
        self._batch.logits = self._wanted
        self._flag = ctypes.create_string_buffer(2)
        # Called at every node of the graph: strlen of the flag says stop without taking Python's lock.
        strlen = ctypes.cast(ctypes.CDLL(None if os.name == "posix" else "msvcrt").strlen, L.ggml_abort_callback)
        self._strlen = strlen
        L.llama_set_abort_callback(self._context, strlen, ctypes.cast(self._flag, ctypes.c_void_p))

    def close(self) -> None:
        if self.eyes is not None:
            self.eyes.close()
            self.eyes = None
        if self._context:
            L.llama_free(self._context)
            self._context = None

    def abort(self, on: bool) -> None:
        """Break off the running decode (any thread may call this), or allow decoding again."""
        self._flag[0] = b"\x01" if on else b"\0"

    def set_threads(self, threads: int) -> None:
        if threads != self.threads:
            L.llama_set_n_threads(self._context, threads, threads)
            self.threads = threads

    def decode(self, tokens: Sequence[int]) -> int:
        """llama.cpp's return code: 0 done, 1 context full, 2 aborted, below 0 failed."""
        if not 0 < len(tokens) <= self.n_batch:
            raise ValueError(f"a batch has 1 to {self.n_batch} tokens")
        return self._decode(tokens, 1)

    def decode_all(self, tokens: Sequence[int]) -> int:
        """The same for up to `N_OUTPUTS` tokens, with the logits behind each of them."""
        if not 0 < len(tokens) <= N_OUTPUTS:
            raise ValueError(f"a batch with all logits has 1 to {N_OUTPUTS} tokens")
        return self._decode(tokens, len(tokens))

    def _decode(self, tokens: Sequence[int], outputs: int) -> int:
        count = self._batch.n_tokens = len(tokens)
        self._tokens[:count] = tokens
        ctypes.memset(self._wanted, 0, count - outputs)
        ctypes.memset(ctypes.byref(self._wanted, count - outputs), 1, outputs)
        self._batch.pos = None if self.jump is None else self._positions
        if self.jump is not None:
            self._positions[:count] = range(self.jump, self.jump + count)
        code: int = L.llama_decode(self._context, self._batch)
        L.llama_synchronize(self._context)
        self._ready = outputs if code == 0 else 0
        return code

    def see(self, view: str, position: int) -> int:
        """Read a picture that `eyes` have viewed, from `position` on; the same codes. Raises `EngineError`."""
        self._ready = 0
        if self.eyes is None:
            raise EngineError("This model cannot see pictures.", "Choose another model.")
        self.eyes.stopped = lambda: self._flag[0] != b"\0"
        code = 2 if self.eyes.stopped() else self.eyes.decode(view, self._context, position, self.n_batch)
        L.llama_synchronize(self._context)
        return code

    def last_position(self) -> int:
        return int(L.llama_memory_seq_pos_max(self._memory, 0))

    def truncate(self, length: int) -> bool:
        self._ready = 0
        return bool(L.llama_memory_seq_rm(self._memory, 0, length, -1))

    def clear(self) -> None:
        self._ready = 0
        # What no cell points to is never read; wiping it would touch the memory of the whole context.
        L.llama_memory_clear(self._memory, False)

    def size(self, partial: bool) -> int:
        """Bytes that `save` would take."""
        return int(L.llama_state_seq_get_size_ext(self._context, 0, L.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY * partial))

    def save(self, partial: bool, into: Any = None) -> Any | None:
        """The state, only its recurrent part where `partial`, written over `into` if that fits; None where it cannot be had."""
        size, flags = self.size(partial), L.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY * partial
        buffer = into if into is not None and len(into) == size else (ctypes.c_uint8 * size)()
        if not size or L.llama_state_seq_get_data_ext(self._context, buffer, size, 0, flags) != size:
            return None
        return buffer

    def load(self, state: Any, partial: bool) -> bool:
        self._ready = 0
        flags = L.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY * partial
        return bool(L.llama_state_seq_set_data_ext(self._context, state, len(state), 0, flags))

    def logits(self, back: int = 1) -> np.ndarray:
        """A view of the logits behind the last token (or one further `back`), valid until the next decode."""
        if not 0 < back <= self._ready:
            raise EngineError("The engine has nothing to sample from.", "Run it again.")
        return np.ctypeslib.as_array(L.llama_get_logits_ith(self._context, -back), shape=(self.model.n_vocab,))

    def draw(self, chain: Chain, back: int = 1) -> int:
        """A token by the chain alone, which has then accepted it, from where `logits` looks."""
        if chain.greedy:
            return int(self.logits(back).argmax())  # without a copy of the whole vocabulary
        if not 0 < back <= self._ready:
            raise EngineError("The engine has nothing to sample from.", "Run it again.")
        return int(L.llama_sampler_sample(chain._chain, self._context, -back))
