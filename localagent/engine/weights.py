"""Where the bytes of a model are: layer by layer, from the headers of its files. Everything is in bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import gguf
from .gguf import Header

OUTPUTS = 32
"""Tokens of a batch that can have logits: more would cost a vocabulary's width each, for nothing."""
_BLOCK = re.compile(r"blk\.(\d+)\.")
_OUTPUT = ("output.weight", "output_norm.weight")
_EMBEDDING = "token_embd.weight"
_Q8_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Layer:
    """`kv` is what a token of context takes at f16, `state` what the layer takes whatever the context."""

    bytes: int
    kv: int
    state: int = 0


@dataclass(frozen=True, slots=True)
class Weights:
    """`output` follows the layers; `rest` (the embeddings) never leaves main memory.

    `width` is how many numbers a token has at its widest, all intermediate results together, and
    `heads` how many attention heads. `context` is the model's own limit in tokens, 0 where unknown.
    `quantises` says whether its keys and values can be kept at q8_0.
    """

    layers: tuple[Layer, ...]
    output: int
    rest: int
    width: int
    heads: int
    vocabulary: int
    context: int
    quantises: bool

    @property
    def bytes(self) -> int:
        """Of all layers, what is behind and before them."""
        return sum(layer.bytes for layer in self.layers) + self.output + self.rest

    def compute(self, context: int, batch: int, *, flash: bool = True) -> int:
        """What llama.cpp computes in, for a batch of tokens in a context of tokens."""
        mask = 2 * context * batch
        scores = 0 if flash else 4 * context * batch * self.heads
        return 4 * batch * self.width + mask + scores + 4 * OUTPUTS * self.vocabulary


def read(path: str | Path) -> Weights:
    """Of the model in `path` and the pieces beside it. ModelMissing, ModelError, also for a file that is cut short."""
    first = gguf.read(Path(path))
    others = gguf.pieces(Path(path), first)[1:]
    return of([first, *(gguf.read(piece) for piece in others)])


def of(headers: Sequence[Header]) -> Weights:
    """The metadata is that of the first header, the tensors are those of all."""
    first = headers[0]
    tensors = [tensor for header in headers for tensor in header.tensors]
    count = min(first.number("block_count"), 4096)
    layers, output, rest = [0] * count, 0, 0
    for tensor in tensors:
        size, block = tensor.bytes or 0, _BLOCK.match(tensor.name)
        if block and int(block[1]) < count:
            layers[int(block[1])] += size
        elif tensor.name in _OUTPUT:
            output += size
        else:
            rest += size
    embedding = next((t for t in tensors if t.name == _EMBEDDING), None)
    if embedding and not any(t.name == _OUTPUT[0] for t in tensors):
        # Used at both ends, and kept once for each where the ends are in different memories.
        output += embedding.bytes or 0
        rest = max(0, rest - (embedding.bytes or 0))
    key, value = _head(first)
    return Weights(
        layers=tuple(_layers(first, layers, key + value)),
        output=output,
        rest=rest,
        width=_width(first),
        heads=_largest(first.metadata.get(f"{first.architecture}.attention.head_count"), 1),
        vocabulary=embedding.shape[-1] if embedding and embedding.shape else 0,
        context=first.number("context_length"),
        quantises=bool(key and value) and not key % _Q8_BLOCK and not value % _Q8_BLOCK,
    )


def _layers(header: Header, sizes: Sequence[int], per_head: int) -> list[Layer]:
    interval = header.number("full_attention_interval", 1) or 1
    state = header.layer_state()
    kv_heads = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    heads = header.number("attention.head_count_kv", header.number("attention.head_count"))
    found = []
    for index, size in enumerate(sizes):
        own = kv_heads[index] if isinstance(kv_heads, list) and index < len(kv_heads) else heads
        attends = (index + 1) % interval == 0
        kv = own * per_head * 2 if attends and isinstance(own, int) and own > 0 else 0
        found.append(Layer(size, kv, 0 if attends else state))
    return found


def _head(header: Header) -> tuple[int, int]:
    heads = _largest(header.metadata.get(f"{header.architecture}.attention.head_count"), 1)
    width = header.number("embedding_length") // heads
    return header.number("attention.key_length", width), header.number("attention.value_length", width)


def _width(header: Header) -> int:
    hidden = header.number("embedding_length")
    dense = _largest(header.metadata.get(f"{header.architecture}.feed_forward_length"), 0)
    experts = header.number("expert_used_count") * header.number("expert_feed_forward_length")
    linear = header.number("ssm.inner_size")
    return 2 * max(dense, experts) + 4 * hidden + 2 * linear


def _largest(value: Any, least: int) -> int:
    """Of one number, or of one for each layer."""
    numbers = [n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int)]
    return max([least, *numbers])
