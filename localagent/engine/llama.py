"""llama.cpp through its low-level bindings: the only module that touches them.

Several mistakes abort the whole process inside llama.cpp (a batch above n_batch, sampling
without logits, a NULL grammar, a token the grammar forbids, two threads in one context).
Each is made impossible here. Use every object from one thread only, except `Context.abort`.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

os.environ.setdefault("GGML_NO_BACKTRACE", "1")

import llama_cpp.llama_cpp as _bindings
import numpy as np

from ..errors import EngineError, GrammarRefused, ModelError
from .base import Sampling
from .devices import listed
from .preflight import refusal
from .vocabulary import CONTROL, USER_DEFINED, Vocabulary
from .weights import OUTPUTS

L: Any = _bindings
N_BATCH, N_OUTPUTS = 512, OUTPUTS
CANDIDATE = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
_log: deque[str] = deque(maxlen=200)


@L.llama_log_callback
def _capture(_level: int, text: bytes, _user: Any) -> None:
    _log.append(text.decode("utf-8", "replace").rstrip("\n"))


L.llama_log_set(_capture, ctypes.c_void_p(0))
L.llama_backend_init()


def log_tail(lines: int = 20) -> list[str]:
    """The last lines llama.cpp wrote."""
    return list(_log)[-lines:]


def supports_gpu() -> bool:
    """Whether this build can put layers on a GPU."""
    return bool(L.llama_supports_gpu_offload())


def devices() -> list[dict[str, Any]]:
    """Compute devices of this build: name, description, kind (cpu, gpu, igpu, accel), free and total bytes."""
    from llama_cpp._ggml import libggml

    return listed(libggml)


def build_info() -> str:
    """llama.cpp's own line about the CPU and GPU features it was built with."""
    return L.llama_print_system_info().decode("utf-8", "replace")


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
        code: int = L.llama_decode(self._context, self._batch)
        L.llama_synchronize(self._context)
        self._ready = outputs if code == 0 else 0
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
