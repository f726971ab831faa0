"""One way to load a model, tried in a process of its own: `python -m localagent.engine.trial JSON`.

The JSON says how to load it (`Load`). A line `{"ready": true}` says that it is loaded; then each line of input,
`{"threads": n, "read": n, "write": n}`, is answered with the seconds that reading and writing so many tokens took.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

ROOM = 1024
"""Tokens of context, for reading and writing together."""


def main(arguments: list[str]) -> int:
    from .llama import Context, Model

    how = json.loads(arguments[0])
    model = Model(how["path"], gpu_layers=how["gpu_layers"], split=how["split"], repack=how["repack"])
    context = Context(model, n_ctx=ROOM, threads=1, batch=how["batch"], kv=how["kv"], flash=how["flash"])
    _say({"ready": True})
    for line in sys.stdin:
        work = json.loads(line)
        context.set_threads(work["threads"])
        _say(_measure(context, work["read"], work["write"]))
    return 0


def _measure(context: Any, read: int, write: int) -> dict[str, Any]:
    """`sane` says whether what came out were numbers at all."""
    tokens = [token * 7919 % context.model.n_vocab for token in range(1, read + write + 1)]
    context.clear()
    began = time.perf_counter()
    for at in range(0, read, context.n_batch):
        if context.decode(tokens[at : min(at + context.n_batch, read)]) != 0:
            return {"sane": False}
    mid = time.perf_counter()
    for token in tokens[read:]:
        if context.decode([token]) != 0:
            return {"sane": False}
    end = time.perf_counter()
    finite = bool(abs(float(context.logits().sum())) < float("inf"))
    return {"sane": finite, "read_s": mid - began, "write_s": end - mid}


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
