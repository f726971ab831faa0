"""llama.cpp through its low-level bindings: the only package that touches them.

Several mistakes abort the whole process inside llama.cpp (a batch above n_batch, sampling
without logits, a NULL grammar, a token the grammar forbids, two threads in one context).
Each is made impossible here. Use every object from one thread only, except `Context.abort`.
"""

from __future__ import annotations

from .bindings import CANDIDATE, N_BATCH, N_OUTPUTS, build_info, devices, log_tail, supports_gpu
from .context import Context
from .eyes import Eyes, View, most_tokens
from .grammar import Chain, Grammar
from .model import Model

__all__ = [
    "CANDIDATE",
    "N_BATCH",
    "N_OUTPUTS",
    "Chain",
    "Context",
    "Eyes",
    "Grammar",
    "Model",
    "View",
    "build_info",
    "devices",
    "log_tail",
    "most_tokens",
    "supports_gpu",
]
