"""The bindings themselves, llama.cpp's log, and what this build can do."""

from __future__ import annotations

import ctypes
import os
from collections import deque
from typing import Any

os.environ.setdefault("GGML_NO_BACKTRACE", "1")

import llama_cpp.llama_cpp as _bindings
import numpy as np

from ..devices import listed
from ..weights import OUTPUTS

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
