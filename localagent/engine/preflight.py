"""Whether a model file can be loaded, asked before llama.cpp is: every answer is one clear sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ModelError, ModelMissing
from .fit import gib
from .machine import memory

if TYPE_CHECKING:
    from .plan import Plan


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


def check_memory(path: str, made: Plan) -> None:
    """Raises `ModelError` where the plan needs more memory than is free."""
    if made.short:
        raise ModelError(
            f"{os.path.basename(path)} with a context of {made.context} tokens needs {gib(made.memory)} GiB of memory "
            f"and {gib(made.memory - made.short)} GiB are free.",
            "Close other programs or choose a smaller model.",
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
    """Bytes that programs can still take, a container's limit included; None where the system does not say."""
    total, available = memory()
    return available if total else None
