#!/usr/bin/env python3
"""Write random-weight GGUF files small enough for tests: what they say is noise, how they behave is real.

* ``tiny``        4 layers, 3 MB, hybrid (recurrent and attention): every way to roll a state back
* ``tiny-dense``  4 layers, plain attention: its control

Needs only numpy. Each is made in under a second.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

U32, I32, F32, BOOL, STR, ARR = 4, 5, 6, 7, 8, 9
ALIGN = 32
CHUNK = 32 << 20
# name -> (ggml type id, elements per block, bytes per block)
GGML = {"F32": (0, 1, 4), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}
# Where a block keeps its half-precision scales, and the share of the spread that each must be.
_SCALES = {
    "Q8_0": ((0, 1 / 73.9),),
    "Q4_K": ((0, 1 / 220), (2, 7.5 / 220)),
    "Q5_K": ((0, 1 / 450), (2, 15.5 / 450)),
    "Q6_K": ((208, 1 / 1366),),
}


def _s(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(kind: int, value: Any) -> bytes:
    if kind == STR:
        return _s(value)
    if kind == ARR:
        item_kind, items = value
        head = struct.pack("<IQ", item_kind, len(items))
        if item_kind == STR:
            return head + b"".join(map(_s, items))
        fmt = {U32: "I", I32: "i", F32: "f", BOOL: "?"}[item_kind]
        return head + struct.pack(f"<{len(items)}{fmt}", *items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


@dataclasses.dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]  # shape[0] is the row length
    type: str
    fill: str = "normal"  # normal | ones | ssm_a | dt_bias | conv
    std: float = 0.02

    @property
    def nbytes(self) -> int:
        _, block, size = GGML[self.type]
        assert self.shape[0] % block == 0, self
        return int(np.prod(self.shape)) // block * size


def _write(path: Path, meta: list[tuple[str, int, Any]], tensors: list[Tensor], seed: int) -> None:
    rng = np.random.Generator(np.random.SFC64(seed))
    with open(path, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)))
        for key, kind, value in meta:
            out.write(_s(key) + struct.pack("<I", kind) + _value(kind, value))
        offset = 0
        for t in tensors:
            out.write(_s(t.name) + struct.pack("<I", len(t.shape)) + struct.pack(f"<{len(t.shape)}Q", *t.shape))
            out.write(struct.pack("<IQ", GGML[t.type][0], offset))
            offset += -(-t.nbytes // ALIGN) * ALIGN
        out.write(b"\0" * (-out.tell() % ALIGN))
        for t in tensors:
            for chunk in _data(t, rng):
                out.write(chunk)
            out.write(b"\0" * (-out.tell() % ALIGN))


def _data(t: Tensor, rng: np.random.Generator) -> Iterator[bytes]:
    """Valid ggml blocks whose values have mean 0 and a spread of about t.std."""
    n = int(np.prod(t.shape))
    if t.type == "F32":
        data = {
            "ones": lambda: np.ones(n),
            "ssm_a": lambda: -rng.uniform(1.0, 16.0, n),
            "dt_bias": lambda: np.log(np.expm1(rng.uniform(1e-3, 1e-1, n))),
            "conv": lambda: rng.uniform(-0.5, 0.5, n),
            "normal": lambda: rng.standard_normal(n) * t.std,
        }[t.fill]()
        yield data.astype("<f4").tobytes()
        return
    _, elements, size = GGML[t.type]
    blocks, most = n // elements, CHUNK // size
    for at in range(0, blocks, most):
        count = min(most, blocks - at)
        raw = np.frombuffer(rng.bytes(count * size), np.uint8).reshape(count, size).copy()
        for place, share in _SCALES[t.type]:
            raw[:, place : place + 2] = np.frombuffer(np.float16(t.std * share).tobytes(), np.uint8)
        yield raw.tobytes()


CONTROL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> "
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> "
    "<tool_response> </tool_response> <think> </think>"
).split()
# not "special" in the real tokenizers, so a plain text that spells them matches them
USER_DEFINED = {"<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"}
NORMAL_T, CONTROL_T, USER_T = 1, 3, 4


def byte_alphabet() -> list[str]:
    """The printable stand-in of each byte value 0..255 in byte-level BPE."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return [table[b] for b in range(256)]


def _vocabulary() -> tuple[list[str], list[int], list[str], int]:
    """Tokens, types, merges and the id of the first control token."""
    alphabet = byte_alphabet()
    space = alphabet[32]
    words = [f"{space}the", "function", "parameter", f"{space}file", "path", "name", f"{space}to", "user"]
    words += ["assistant", "system", "read", "write", "list", "dir", space * 4, space * 64, "json", "```"]
    tokens, merges, known = list(alphabet), [], set(alphabet)
    for word in words:
        left = word[0]
        for ch in word[1:]:
            merged = left + ch
            if merged not in known:
                merges.append(f"{left} {ch}")
                tokens.append(merged)
                known.add(merged)
            left = merged
    first = len(tokens)
    types = [NORMAL_T] * first + [USER_T if t in USER_DEFINED else CONTROL_T for t in CONTROL]
    return tokens + CONTROL, types, merges, first


@dataclasses.dataclass(frozen=True)
class Shape:
    arch: str
    rope_dim: int
    interval: int  # every interval-th layer has full attention
    layers: int = 4
    embd: int = 256
    ff: int = 512
    heads: int = 4
    heads_kv: int = 2
    head_dim: int = 64
    ctx: int = 32768
    k_heads: int = 2
    v_heads: int = 4
    lin_dim: int = 64
    conv: int = 4


SHAPES = {"tiny": Shape("qwen35", 16, 4), "tiny-dense": Shape("qwen3", 64, 1)}


def _attention(s: Shape, b: str, std: float) -> list[Tensor]:
    gate = 2 if s.arch == "qwen35" else 1  # query and output gate share one projection
    return [
        Tensor(b + "attn_q.weight", (s.embd, s.head_dim * s.heads * gate), "Q8_0", std=std),
        Tensor(b + "attn_k.weight", (s.embd, s.head_dim * s.heads_kv), "Q8_0", std=std),
        Tensor(b + "attn_v.weight", (s.embd, s.head_dim * s.heads_kv), "Q8_0", std=std),
        Tensor(b + "attn_output.weight", (s.head_dim * s.heads, s.embd), "Q8_0", std=std),
        Tensor(b + "attn_q_norm.weight", (s.head_dim,), "F32", "ones"),
        Tensor(b + "attn_k_norm.weight", (s.head_dim,), "F32", "ones"),
    ]


def _linear(s: Shape, b: str, std: float) -> list[Tensor]:
    key, val = s.lin_dim * s.k_heads, s.lin_dim * s.v_heads
    return [
        Tensor(b + "attn_qkv.weight", (s.embd, 2 * key + val), "Q8_0", std=std),
        Tensor(b + "attn_gate.weight", (s.embd, val), "Q8_0", std=std),
        Tensor(b + "ssm_conv1d.weight", (s.conv, 2 * key + val), "F32", "conv"),
        Tensor(b + "ssm_dt.bias", (s.v_heads,), "F32", "dt_bias"),
        Tensor(b + "ssm_a", (s.v_heads,), "F32", "ssm_a"),
        Tensor(b + "ssm_beta.weight", (s.embd, s.v_heads), "Q8_0", std=std),
        Tensor(b + "ssm_alpha.weight", (s.embd, s.v_heads), "Q8_0", std=std),
        Tensor(b + "ssm_norm.weight", (s.lin_dim,), "F32", "ones"),
        Tensor(b + "ssm_out.weight", (val, s.embd), "Q8_0", std=std),
    ]


def _tensors(s: Shape, n_vocab: int) -> list[Tensor]:
    std = 1.0 / s.embd**0.5
    out = [
        Tensor("token_embd.weight", (s.embd, n_vocab), "Q8_0", std=0.5),
        Tensor("output_norm.weight", (s.embd,), "F32", "ones"),
        Tensor("output.weight", (s.embd, n_vocab), "Q8_0", std=4.0 / s.embd**0.5),
    ]
    post = "post_attention_norm.weight" if s.arch == "qwen35" else "ffn_norm.weight"
    for i in range(s.layers):
        b = f"blk.{i}."
        out += _attention(s, b, std) if (i + 1) % s.interval == 0 else _linear(s, b, std)
        out += [
            Tensor(b + "attn_norm.weight", (s.embd,), "F32", "ones"),
            Tensor(b + post, (s.embd,), "F32", "ones"),
            Tensor(b + "ffn_gate.weight", (s.embd, s.ff), "Q8_0", std=std),
            Tensor(b + "ffn_up.weight", (s.embd, s.ff), "Q8_0", std=std),
            Tensor(b + "ffn_down.weight", (s.ff, s.embd), "Q8_0", std=std),
        ]
    return out


def _metadata(s: Shape, name: str, template: str | None, pre: str = "qwen35") -> list[tuple[str, int, Any]]:
    a = s.arch
    tokens, types, merges, first = _vocabulary()
    meta: list[tuple[str, int, Any]] = [
        ("general.architecture", STR, a),
        ("general.name", STR, f"random-{name}"),
        ("general.file_type", U32, 7),
        ("general.quantization_version", U32, 2),
        (f"{a}.block_count", U32, s.layers),
        (f"{a}.context_length", U32, s.ctx),
        (f"{a}.embedding_length", U32, s.embd),
        (f"{a}.feed_forward_length", U32, s.ff),
        (f"{a}.attention.head_count", U32, s.heads),
        (f"{a}.attention.head_count_kv", U32, s.heads_kv),
        (f"{a}.attention.key_length", U32, s.head_dim),
        (f"{a}.attention.value_length", U32, s.head_dim),
        (f"{a}.attention.layer_norm_rms_epsilon", F32, 1e-6),
        (f"{a}.rope.freq_base", F32, 1e7),
        (f"{a}.rope.dimension_count", U32, s.rope_dim),
    ]
    if s.interval > 1:
        meta += [
            (f"{a}.rope.dimension_sections", ARR, (I32, (3, 3, 2, 0))),
            (f"{a}.ssm.conv_kernel", U32, s.conv),
            (f"{a}.ssm.state_size", U32, s.lin_dim),
            (f"{a}.ssm.group_count", U32, s.k_heads),
            (f"{a}.ssm.time_step_rank", U32, s.v_heads),
            (f"{a}.ssm.inner_size", U32, s.lin_dim * s.v_heads),
            (f"{a}.full_attention_interval", U32, s.interval),
        ]
    meta += [
        ("tokenizer.ggml.model", STR, "gpt2"),
        ("tokenizer.ggml.pre", STR, pre),
        ("tokenizer.ggml.tokens", ARR, (STR, tokens)),
        ("tokenizer.ggml.token_type", ARR, (I32, types)),
        ("tokenizer.ggml.merges", ARR, (STR, merges)),
        ("tokenizer.ggml.eos_token_id", U32, first + 2),  # <|im_end|>
        ("tokenizer.ggml.padding_token_id", U32, first),  # <|endoftext|>
        ("tokenizer.ggml.add_bos_token", BOOL, False),
    ]
    if template:
        meta.append(("tokenizer.chat_template", STR, template))
    return meta


def make(
    preset: str,
    path: str | Path,
    *,
    template: str | None = None,
    arch: str | None = None,
    seed: int = 1,
    pre: str = "qwen35",
) -> Path:
    """Write one preset; `arch` overrides the name written into the file (to make an unknown one).

    `pre` names how llama.cpp splits a text into words.
    """
    shape = SHAPES[preset]
    named = dataclasses.replace(shape, arch=arch) if arch else shape
    meta = _metadata(named, preset, template, pre)
    n_vocab = len(_vocabulary()[0])
    _write(Path(path), meta, _tensors(shape, n_vocab), seed)
    return Path(path)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
