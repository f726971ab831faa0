"""Reading a prompt ahead: what the next request will begin with is in the context before it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .answer import tokenize
from .loaded import Loaded
from .prefix import Cancelled
from .protocol import Prepare
from .queue import nothing_done
from .snapshots import Snapshot, shared


def read_ahead(loaded: Loaded, request: Prepare, stop: Callable[[], bool]) -> dict[str, Any]:
    """Read until the end or until `stop`; what was read by then stays. Returns the final `done` event.

    Raises `EngineError` where the prompt cannot be read.
    """
    prefix, began = loaded.prefix, time.monotonic()
    try:
        prompt = tokenize(loaded.context.model, request, loaded.context.n_ctx, stop, loaded.context.eyes)
    except Cancelled:
        return nothing_done()
    known = shared(prefix.tokens.tolist(), prompt.tokens) if not prefix.dirty else 0
    if not request.segments or stop() or known == len(prompt.tokens):
        return nothing_done() | {"stop": "cancelled" if stop() else "end"}
    kept = list(prefix.snapshots)
    try:
        views = prompt.views if prompt.views.at else None
        cached, ended = prefix.sync(prompt.tokens, marks=prompt.marks, fixed=prompt.fixed, stop=stop, views=views), "end"
    except Cancelled:
        cached, ended = 0, "cancelled"
    if len(prefix.tokens) not in prompt.marks:
        _only_one(loaded, kept)
    return nothing_done() | {
        "stop": ended,
        "usage": {"input": len(prompt.tokens), "cached": cached, "output": 0},
        "timings": {"prefill_ms": (time.monotonic() - began) * 1e3, "decode_ms": 0.0},
    }


def _only_one(loaded: Loaded, before: list[Snapshot]) -> None:
    """Of the places where reading ahead ended only the last is worth a snapshot: a text that is typed has many."""
    prefix = loaded.prefix
    new = [s for s in prefix.snapshots if s.partial and s.tokens == prefix.tokens]
    if not new or any(new[0] is known for known in before):
        return
    if loaded.ahead is not None:
        prefix.snapshots.remove(loaded.ahead)
    loaded.ahead = new[0]
