"""A projector: the second file of a model, which turns pictures into what the model reads in place of tokens.

It gets plain pixels: no picture file is decoded in this process. What would abort it (more tokens at once than a batch
holds where a picture is read as one) is asked before.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llama_cpp.mtmd_cpp as _mtmd

from ...errors import EngineError, ModelError
from .bindings import L, _capture, _log
from .model import Model

M: Any = _mtmd
Pixels = Callable[[], tuple[int, int, bytes]]
"""Width, height, and three bytes for each point, row by row."""
MOST_TOKENS, ON_PROCESSOR = 1024, 384
"""Of one picture. What a projector does grows with the square: on two cores 1,024 take minutes."""
_NODES = 24
"""After so many operations it is asked whether to go on."""
_HELD = 4
_MARKER = b"<__media__>"

M.mtmd_log_set(_capture, ctypes.c_void_p(0))
M.mtmd_helper_log_set(_capture, ctypes.c_void_p(0))


@dataclass(frozen=True, slots=True)
class View:
    """A picture as one model sees it: `cells` of its memory, `positions` of its text; `still` as in `seen.ids`."""

    name: str
    cells: int
    positions: int
    still: bool


class Eyes:
    """The projector of one model. Raises `ModelError` where the file is not that. Use it from the model's thread only."""

    def __init__(self, model: Model, path: str, *, threads: int, gpu: bool) -> None:
        params = M.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.warmup, params.print_timings = gpu, threads, False, False
        self.most = most_tokens(gpu)
        params.image_max_tokens = self.most
        self.stopped: Callable[[], bool] = lambda: False
        self._asked = 0
        self._goes_on = L.ggml_backend_sched_eval_callback(self._evaluated)
        params.cb_eval = self._goes_on
        _log.clear()
        self._mtmd = M.mtmd_init_from_file(os.fsencode(path), model._model, params)
        if not self._mtmd:
            said = next((line.strip() for line in reversed(_log) if "mismatch" in line or "failed" in line or "error" in line), "")
            raise ModelError(
                f"The engine cannot load the vision projector {path}{f': {said}' if said else ''}.",
                "Fetch the model again: localagent model pull.",
            )
        if not M.mtmd_support_vision(self._mtmd):
            self.close()
            raise ModelError(f"{path} is no vision projector.", "Fetch the model again: localagent model pull.")
        self.path = path
        self._pixels: dict[str, Pixels] = {}
        self._views: dict[str, View] = {}
        # Those looked at last: the chunks, and what the projector made of them.
        self._held: dict[str, tuple[Any, Any]] = {}

    def close(self) -> None:
        for name in tuple(self._held):
            self._drop(name)
        if self._mtmd:
            M.mtmd_free(self._mtmd)
            self._mtmd = None

    def view(self, name: str, pixels: Pixels) -> View:
        """What the picture `name` takes; `pixels` are read now, and again if it is looked at much later.

        Raises `EngineError` for one that this model takes in pieces.
        """
        self._pixels[name] = pixels
        if name not in self._views:
            chunk = _only(self._chunks(name))
            self._views[name] = View(
                f"{name} {os.path.basename(self.path)} {self.most}",
                int(M.mtmd_input_chunk_get_n_tokens(chunk)),
                int(M.mtmd_input_chunk_get_n_pos(chunk)),
                bool(M.mtmd_decode_use_mrope(self._mtmd)),
            )
        return self._views[name]

    def decode(self, name: str, context: Any, position: int, batch: int) -> int:
        """Read it into `context` from `position` on; llama.cpp's return code. Raises `EngineError`."""
        chunk = _only(self._chunks(name))
        if M.mtmd_decode_use_non_causal(self._mtmd, chunk) and M.mtmd_input_chunk_get_n_tokens(chunk) > batch:
            raise EngineError("This picture has more tokens than the model can read at once.", "Give a smaller picture.")
        made = self._held[name][1]
        if made is None:
            code = M.mtmd_encode_chunk(self._mtmd, chunk)
            if self.stopped():
                return 2
            if code != 0:
                raise EngineError("The engine could not look at a picture.", "Run it again, or leave the picture out.")
            size = M.mtmd_input_chunk_get_n_tokens(chunk) * L.llama_model_n_embd_inp(L.llama_get_model(context))
            made = (ctypes.c_float * size)()
            ctypes.memmove(made, M.mtmd_get_output_embd(self._mtmd), ctypes.sizeof(made))
            self._held[name] = (self._held[name][0], made)
        behind = L.llama_pos(0)
        nobody = M.mtmd_helper_post_decode_callback()
        return int(
            M.mtmd_helper_decode_image_chunk(
                self._mtmd, context, chunk, made, position, 0, batch, ctypes.byref(behind), nobody, ctypes.c_void_p(0)
            )
        )

    def _evaluated(self, _tensor: Any, asked: bool, _user: Any) -> bool:
        """Called for each operation: whether its end is to be waited for, and then whether to go on."""
        if not asked:
            return not self.stopped()
        self._asked += 1
        return self._asked % _NODES == 0

    def _chunks(self, name: str) -> Any:
        if name in self._held:
            self._held[name] = self._held.pop(name)
            return self._held[name][0]
        wide, high, data = self._pixels[name]()
        bitmap = M.mtmd_bitmap_init(wide, high, (ctypes.c_uint8 * len(data)).from_buffer_copy(data))
        chunks = M.mtmd_input_chunks_init()
        try:
            text = M.mtmd_input_text(_MARKER, len(_MARKER), False, True)
            bitmaps = (M.mtmd_bitmap_p_ctypes * 1)(bitmap)
            code = M.mtmd_tokenize(self._mtmd, chunks, ctypes.byref(text), bitmaps, 1)
        finally:
            M.mtmd_bitmap_free(bitmap)
        self._held[name] = (chunks, None)
        if code != 0:
            self._drop(name)
            raise EngineError("The engine could not read a picture.", "Leave the picture out.")
        while len(self._held) > _HELD:
            self._drop(next(iter(self._held)))
        return chunks

    def _drop(self, name: str) -> None:
        M.mtmd_input_chunks_free(self._held.pop(name)[0])


def most_tokens(gpu: bool) -> int:
    """How many tokens a picture may have: the person's own number goes first."""
    try:
        wished = int(os.environ["LOCALAGENT_PICTURE_TOKENS"])
    except (KeyError, ValueError):
        return MOST_TOKENS if gpu else ON_PROCESSOR
    return max(16, min(wished, 4 * MOST_TOKENS))


def _only(chunks: Any) -> Any:
    """The picture among its chunks; the marks around it are the dialect's to write."""
    found = [M.mtmd_input_chunks_get(chunks, at) for at in range(M.mtmd_input_chunks_size(chunks))]
    pictures = [one for one in found if M.mtmd_input_chunk_get_type(one) == M.MTMD_INPUT_CHUNK_TYPE_IMAGE]
    if len(pictures) != 1:
        raise EngineError("This model takes pictures in pieces, which is not supported.", "Choose another model for pictures.")
    return pictures[0]
