#!/usr/bin/env python3
"""Write a vision projector of random weights: the true architecture of Qwen3.5's (`qwen3vl_merger`), as small as it can be.

What a model sees through it is noise; how many tokens a picture takes, where they stand and what is computed is real.
Needs only numpy.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from tests.make_gguf import ARR, BOOL, F32, STR, U32, Tensor, _write


@dataclasses.dataclass(frozen=True)
class Eye:
    """`into` is the width of the model it is made for, `image` the side for which positions are learnt, in points."""

    into: int = 256
    embd: int = 64
    ff: int = 128
    heads: int = 2
    layers: int = 2
    patch: int = 16
    image: int = 128


EYES = {"tiny": Eye(), "9b": Eye(4096, 1152, 4304, 16, 27, 16, 768)}


def _tensors(e: Eye) -> list[Tensor]:
    std = 1.0 / e.embd**0.5
    out = [
        Tensor("v.patch_embd.weight", (e.patch, e.patch, 3, e.embd), "F32", std=0.05),
        Tensor("v.patch_embd.weight.1", (e.patch, e.patch, 3, e.embd), "F32", std=0.05),
        Tensor("v.patch_embd.bias", (e.embd,), "F32"),
        Tensor("v.position_embd.weight", (e.embd, (e.image // e.patch) ** 2), "F32", std=0.5),
    ]
    for i in range(e.layers):
        b = f"v.blk.{i}."
        for name in ("ln1", "ln2"):
            out += [Tensor(f"{b}{name}.weight", (e.embd,), "F32", "ones"), Tensor(f"{b}{name}.bias", (e.embd,), "F32")]
        for name, rows, wide in (
            ("attn_qkv", e.embd, 3 * e.embd),
            ("attn_out", e.embd, e.embd),
            ("ffn_up", e.embd, e.ff),
            ("ffn_down", e.ff, e.embd),
        ):
            out += [Tensor(f"{b}{name}.weight", (rows, wide), "F32", std=std), Tensor(f"{b}{name}.bias", (wide,), "F32")]
    merged = 4 * e.embd
    out += [Tensor("v.post_ln.weight", (e.embd,), "F32", "ones"), Tensor("v.post_ln.bias", (e.embd,), "F32")]
    for number, wide in ((0, merged), (2, e.into)):
        out += [Tensor(f"mm.{number}.weight", (merged, wide), "F32", std=std), Tensor(f"mm.{number}.bias", (wide,), "F32")]
    return out


def _metadata(e: Eye) -> list[tuple[str, int, Any]]:
    v = "clip.vision."
    return [
        ("general.architecture", STR, "clip"),
        ("general.name", STR, "random-projector"),
        ("general.file_type", U32, 0),
        ("clip.has_vision_encoder", BOOL, True),
        ("clip.projector_type", STR, "qwen3vl_merger"),
        ("clip.use_gelu", BOOL, True),
        (f"{v}image_size", U32, e.image),
        (f"{v}patch_size", U32, e.patch),
        (f"{v}embedding_length", U32, e.embd),
        (f"{v}feed_forward_length", U32, e.ff),
        (f"{v}projection_dim", U32, e.into),
        (f"{v}block_count", U32, e.layers),
        (f"{v}attention.head_count", U32, e.heads),
        (f"{v}attention.layer_norm_epsilon", F32, 1e-6),
        (f"{v}spatial_merge_size", U32, 2),
        (f"{v}image_mean", ARR, (F32, (0.5, 0.5, 0.5))),
        (f"{v}image_std", ARR, (F32, (0.5, 0.5, 0.5))),
    ]


def make(shape: str, path: str | Path, *, into: int = 0, seed: int = 7) -> Path:
    """Write one; `into` is the width of a model other than the shape's own."""
    eye = dataclasses.replace(EYES[shape], **({"into": into} if into else {}))
    _write(Path(path), _metadata(eye), _tensors(eye), seed)
    return Path(path)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
