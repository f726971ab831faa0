"""A vision projector of random weights to measure with: what is seen through it is noise, what it costs is real.

    tiny    for the models of `make_qwen35.py tiny-shape` and `dense-shape`; 1 MB
    9b      Qwen3.5-9B's by shape (27 layers of 1,152), in 32-bit floats; 1.8 GB

usage: python bench/make_mmproj.py tiny|9b FILE [--into WIDTH] [--time WIDExHIGH]

`--into` is the width of the model it is made for. `--time` looks once at a picture of that size through it, with a model of random
weights of that width, and prints how long that took. The writer is that of the tests (`tests/make_mmproj.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tests import make_gguf, make_mmproj  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=sorted(make_mmproj.EYES))
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", type=int, default=0, metavar="WIDTH")
    parser.add_argument("--time", metavar="WIDExHIGH")
    given = parser.parse_args()
    into = given.into or (256 if given.time else 0)
    if not given.file.exists():
        make_mmproj.make(given.shape, given.file, into=into)
    if given.time:
        wide, high = (int(side) for side in given.time.split("x"))
        print(timed(given.file, into, wide, high))
    return 0


def timed(file: Path, into: int, wide: int, high: int) -> str:
    """Tokens of one picture, and seconds to encode and read it."""
    from localagent.engine import llama

    with tempfile.TemporaryDirectory() as room:
        shape = dataclasses.replace(make_gguf.SHAPES["tiny"], embd=into)
        path = Path(room) / "tiny.gguf"
        meta, count = make_gguf._metadata(shape, "tiny", None), len(make_gguf._vocabulary()[0])
        make_gguf._write(path, meta, make_gguf._tensors(shape, count), 1)
        model = llama.Model(str(path))
        context = llama.Context(model, n_ctx=4096, threads=os.cpu_count() or 1)
        context.eyes = llama.Eyes(model, str(file), threads=context.threads, gpu=llama.supports_gpu())
        pixels = bytes(range(256)) * (wide * high * 3 // 256 + 1)
        view = context.eyes.view("one", lambda: (wide, high, pixels[: wide * high * 3]))
        began = time.monotonic()
        code = context.see("one", 0)
        took = time.monotonic() - began
        context.close()
        model.close()
    return f"{wide} x {high}: {view.cells} tokens, {view.positions} positions, {took:.2f} s (code {code})"


if __name__ == "__main__":
    raise SystemExit(main())
