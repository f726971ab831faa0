"""Where the bytes of a model file are, against llama.cpp's own account of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localagent.engine import gguf, llama, weights
from localagent.engine.weights import Layer, Weights


def test_every_byte_of_a_hybrid_model_is_somewhere(tiny: str) -> None:
    found = weights.read(tiny)
    header = gguf.read(Path(tiny))
    assert found.bytes == sum(tensor.bytes or 0 for tensor in header.tensors)
    assert len(found.layers) == 4 and found.context == 32768 and found.quantises
    memory = header.memory()
    assert memory and sum(layer.kv for layer in found.layers) == memory.kv_per_token
    assert sum(layer.state for layer in found.layers) == memory.state
    assert [bool(layer.kv) for layer in found.layers] == [False, False, False, True]
    assert [bool(layer.state) for layer in found.layers] == [True, True, True, False]


@pytest.mark.parametrize("batch", [128, 512])
@pytest.mark.parametrize("context", [1024, 16384])
def test_what_is_computed_in_is_what_llama_takes(dense: str, context: int, batch: int) -> None:
    found = weights.read(dense)
    model = llama.Model(dense)
    made = llama.Context(model, n_ctx=context, threads=1, batch=batch)
    said = "\n".join(llama.log_tail(200))
    made.close()
    model.close()
    taken = sum(float(size) for size in re.findall(r"compute buffer size =\s+([\d.]+) MiB", said)) * (1 << 20)
    kv = sum(float(size) for size in re.findall(r"KV buffer size =\s+([\d.]+) MiB", said)) * (1 << 20)
    assert kv == sum(layer.kv for layer in found.layers) * context
    assert taken <= found.compute(context, batch) * 1.1 + (2 << 20) and found.compute(context, batch) < 3 * taken


def test_a_model_without_an_output_of_its_own_keeps_its_embeddings_once_for_each_end() -> None:
    tensors = (gguf.Tensor("token_embd.weight", (64, 100), 0, 0, 25600), gguf.Tensor("blk.0.x", (64,), 0, 0, 256))
    metadata = {"general.architecture": "a", "a.block_count": 1, "a.embedding_length": 64, "a.attention.head_count": 2}
    found = weights.of([gguf.Header(3, metadata, tensors, 0, 0)])
    assert (found.output, found.rest, found.layers) == (25600, 0, (Layer(256, 2 * 2 * 32 * 2),))
    assert found.vocabulary == 100 and found.quantises


def test_heads_of_odd_sizes_are_not_quantised_and_each_layer_has_its_own_number() -> None:
    metadata = {
        "general.architecture": "a",
        "a.block_count": 3,
        "a.embedding_length": 60,
        "a.attention.head_count": [3, 3, 3],
        "a.attention.head_count_kv": [1, 0, 3],
        "a.feed_forward_length": [10, 20],
    }
    found = weights.of([gguf.Header(3, metadata, (), 0, 0)])
    assert not found.quantises and found.heads == 3
    assert [layer.kv for layer in found.layers] == [80, 0, 240]


def test_without_flash_attention_the_scores_take_memory() -> None:
    shape = Weights((), 0, 0, 1000, 16, 1000, 0, True)
    assert shape.compute(8192, 512, flash=False) - shape.compute(8192, 512) == 4 * 8192 * 512 * 16
