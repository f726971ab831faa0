"""Whether a model file can be loaded, asked before llama.cpp is: every answer is one clear sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, ModelMissing
from . import gguf

_GIB = 1 << 30
_COMPUTE = 200 << 20
"""Buffers of llama.cpp for one batch of 512, and the process itself."""


def check_file(path: str) -> os.stat_result:
    """The file's facts. Raises `ModelMissing` or `ModelError`."""
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        raise ModelMissing(
            f"There is no model file at {path}.", "`localagent model list` shows what can be fetched with `model pull`."
        ) from None
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise ModelError(f"The model file {path} cannot be read.", "Check that it is a file and who may read it.")
    return facts


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes: `weights` of the file or its pieces, `state` with the buffers whatever the context, `per_token` of context."""

    weights: int
    state: int
    per_token: int

    def at(self, context: int) -> int:
        return self.weights + self.state + self.per_token * context


def need(path: str) -> Need:
    """What the model takes. Raises `ModelError` for a damaged header or missing tensors."""
    header = gguf.read(Path(path))
    memory = header.memory()
    per_token, state = (memory.kv_per_token, memory.state) if memory else (0, 0)
    weights = sum(part.stat().st_size for part in gguf.pieces(Path(path), header))
    return Need(weights, state + _COMPUTE, per_token)


def check_model(path: str, context: int, *, gpu: bool = False) -> None:
    """Raises `ModelError` for a damaged header, missing tensors, or (without a GPU) too little memory."""
    needed, free = need(path), available_memory()
    if gpu or free is None or needed.at(context) <= free:
        return
    room = free - needed.at(0)
    fits = room // needed.per_token // 1024 * 1024 if needed.per_token else 0
    raise ModelError(
        f"{os.path.basename(path)} with a context of {context} tokens needs {needed.at(context) / _GIB:.1f} GiB of memory "
        f"and {free / _GIB:.1f} GiB are free.",
        f"A context of {fits} tokens would fit." if fits >= 2048 else "Close other programs or choose a smaller model.",
    )


def refusal(path: str, log: Sequence[str]) -> ModelError:
    """What llama.cpp's log says about a file it would not load."""
    said = "\n".join(log)
    if unknown := re.search(r"unknown model architecture: '([^']*)'", said):
        return ModelError(
            f"This engine does not know the architecture '{unknown[1]}' of {path}.",
            "Choose another model, or install a newer llama-cpp-python.",
        )
    if "allocate" in said or "out of memory" in said:
        return ModelError(
            f"There is not enough memory to load {path}.", "Close other programs or choose a smaller model."
        )
    reasons = [line.strip() for line in log if "error" in line.lower() or "failed" in line.lower()]
    return ModelError(
        f"The engine cannot load {path}: {reasons[0] if reasons else 'it does not say why'}.",
        "Fetch the file again or choose another model.",
    )


def available_memory() -> int | None:
    """Bytes that programs can still take, the cgroup's limit included; None where the system does not say."""
    found = [_meminfo(), _cgroup_room()]
    return min((n for n in found if n is not None), default=None)


def _meminfo() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _cgroup_room() -> int | None:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        return None if limit == "max" else int(limit)
    except (OSError, ValueError):
        return None


def memory_is_short() -> bool:
    """Whether other programs are about to run out."""
    free = available_memory()
    return free is not None and free < _GIB // 4


def snapshot_budget() -> int:
    """Bytes to spend on snapshots of conversations: an eighth of what is free, at most 1 GiB."""
    free = available_memory()
    return _GIB // 4 if free is None else max(_GIB // 16, min(_GIB, free // 8))
