"""Models of random weights to measure with: what they say is noise, what they cost is real.

    9b-shape      Qwen3.5-9B as Q4_K_M: every tensor of its true shape and type, 248,320 tokens; 5.6 GB
    tiny-shape    4 layers, hybrid (recurrent and attention); 3 MB
    dense-shape   4 layers, attention alone; 3 MB

usage: python bench/make_qwen35.py 9b-shape [FILE] [--vocabulary GGUF]

Without FILE it is made once in the cache folder. The vocabulary is that of `--vocabulary`, else of a
small model that is installed, so that text has as many tokens as usual; it is filled up with pieces
that no text has. The writer and the small shapes are those of the tests (`tests/make_gguf.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from localagent.engine import catalogue, gguf, reuse  # noqa: E402
from localagent.errors import LocalAgentError  # noqa: E402
from localagent.store import paths  # noqa: E402
from tests import make_gguf as writer  # noqa: E402

SHAPED = {"9b-shape": "9b", "tiny-shape": "tiny", "dense-shape": "tiny-dense"}
SHAPE = writer.Shape(
    "qwen35", rope_dim=64, interval=4, layers=32, embd=4096, ff=12288, heads=16, heads_kv=4, head_dim=256,
    ctx=262144, k_heads=16, v_heads=32, lin_dim=128,
)  # fmt: skip
SIZE = 248320
UNUSED, UNUSED_T = 250, 5
_BORROWED = ("starter", "tiny")
_SIXTH = ("attn_v.weight", "ffn_down.weight")


def quantisation(name: str, layers: int) -> str:
    """The type of a matrix in a Q4_K_M file."""
    if name == "output.weight":
        return "Q6_K"
    if name.endswith("attn_qkv.weight"):
        return "Q5_K"
    if name.endswith(_SIXTH):
        layer = int(name.split(".")[1])
        eighth = layers // 8
        if layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2:
            return "Q6_K"
    return "Q4_K"


def vocabulary(size: int, borrowed: Path | None, seed: int = 1) -> tuple[list[str], list[int], list[str], int]:
    """`size` tokens with their types, the merges, and the id of the first control token."""
    tokens, _, merges, first = writer._vocabulary()
    tokens = tokens[:first]
    if borrowed is not None:
        keys = [f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "merges")]
        held = gguf.read(borrowed, keep=frozenset(keys)).metadata
        if any(key not in held for key in keys):
            raise SystemExit(f"make_qwen35: {borrowed} has no vocabulary of this kind.")
        words, types, merges = (list(held[key]) for key in keys)
        tokens = [word for word, kind in zip(words, types, strict=True) if kind == writer.NORMAL_T]
    base = size - len(writer.CONTROL) - UNUSED
    if len(tokens) > base:
        raise SystemExit(f"make_qwen35: {len(tokens)} tokens do not fit into {base}.")
    tokens = _filled(tokens, base, np.random.default_rng(seed))
    types = [writer.NORMAL_T] * base
    types += [writer.USER_T if one in writer.USER_DEFINED else writer.CONTROL_T for one in writer.CONTROL]
    spare = [f"[PAD{number}]" for number in range(UNUSED)]
    return [*tokens, *writer.CONTROL, *spare], types + [UNUSED_T] * UNUSED, merges, base


def _filled(tokens: list[str], size: int, rng: np.random.Generator) -> list[str]:
    """With pieces of two others, which no merge makes, so that costs by the size of the vocabulary are real."""
    found, known = list(tokens), set(tokens)
    while len(found) < size:
        one, other = rng.integers(0, len(tokens), 2)
        piece = tokens[one] + tokens[other] + (tokens[len(found) % len(tokens)] if len(tokens) < 4096 else "")
        if piece not in known and len(piece) < 100:
            known.add(piece)
            found.append(piece)
    return found


def make(path: Path, borrowed: Path | None = None, *, shape: Any = SHAPE, size: int = SIZE, seed: int = 1) -> Path:
    """Write the large one."""
    tokens, types, merges, first = vocabulary(size, borrowed, seed)
    matrices = [
        dataclasses.replace(one, type=quantisation(one.name, shape.layers)) if one.type == "Q8_0" else one
        for one in writer._tensors(shape, len(tokens))
    ]
    other = {
        "general.file_type": 15,
        f"{shape.arch}.rope.dimension_sections": (writer.I32, (11, 11, 10, 0)),
        "tokenizer.ggml.tokens": (writer.STR, tokens),
        "tokenizer.ggml.token_type": (writer.I32, types),
        "tokenizer.ggml.merges": (writer.STR, merges),
        "tokenizer.ggml.eos_token_id": first + 2,
        "tokenizer.ggml.padding_token_id": first,
    }
    meta = [(key, kind, other.get(key, value)) for key, kind, value in writer._metadata(shape, "9b", None)]
    writer._write(path, meta, matrices, seed)
    return path


def kept(name: str, borrowed: Path | None = None) -> Path:
    """The file of a shape in the cache folder, made now where it is not there yet."""
    folder = paths.cache_dir() / "bench"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.gguf"
    if not path.is_file():
        print(f"make_qwen35: writing {path} ...", file=sys.stderr, flush=True)
        made = path.with_suffix(f".{os.getpid()}")
        try:
            written(name, made, borrowed)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
    return path


def written(name: str, path: Path, borrowed: Path | None = None) -> Path:
    if SHAPED[name] == "9b":
        return make(path, borrowed or installed())
    return writer.make(SHAPED[name], path)


def installed() -> Path | None:
    """A small model that is here, to take its vocabulary."""
    known = catalogue.load()
    for id in _BORROWED:
        try:
            if found := reuse.installed(known.get(id)):
                return found
        except LocalAgentError:
            continue
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPED)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--vocabulary", type=Path, help="a GGUF file to take tokens and merges from")
    args = parser.parse_args()
    path = written(args.shape, args.file, args.vocabulary) if args.file else kept(args.shape, args.vocabulary)
    print(f"{path}  {path.stat().st_size / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
