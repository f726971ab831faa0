from __future__ import annotations

import random
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import catalogue, gguf
from localagent.errors import LocalAgentError, ModelError, ModelMissing


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(item: Any) -> bytes:
    if isinstance(item, bool):
        return struct.pack("<I?", 7, item)
    if isinstance(item, int):
        return struct.pack("<II", 4, item)
    if isinstance(item, float):
        return struct.pack("<If", 6, item)
    if isinstance(item, str):
        return struct.pack("<I", 8) + text(item)
    kind = 8 if isinstance(item[0], str) else 5
    body = b"".join(text(one) if kind == 8 else struct.pack("<i", one) for one in item)
    return struct.pack("<IIQ", 9, kind, len(item)) + body


def build(metadata: dict[str, Any], tensors: list[tuple[str, tuple[int, ...], int, int]] = [], data: int = 0) -> bytes:  # noqa: B006
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(text(key) + value(item) for key, item in metadata.items())
    for name, shape, kind, offset in tensors:
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return head + bytes(-len(head) % 32) + bytes(data)


HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)

QWEN = {
    "general.architecture": "qwen35",
    "general.name": "Hybrid",
    "qwen35.block_count": 32,
    "qwen35.embedding_length": 4096,
    "qwen35.context_length": 262144,
    "qwen35.attention.head_count": 16,
    "qwen35.attention.head_count_kv": 4,
    "qwen35.attention.key_length": 256,
    "qwen35.attention.value_length": 256,
    "qwen35.full_attention_interval": 4,
    "qwen35.ssm.conv_kernel": 4,
    "qwen35.ssm.state_size": 128,
    "qwen35.ssm.group_count": 16,
    "qwen35.ssm.inner_size": 4096,
    "tokenizer.chat_template": "{% if enable_thinking %}<function=",
    "tokenizer.ggml.tokens": [f"t{n}" for n in range(2000)],
    "list": [1, -2, 3],
}


QWEN2 = {"general.architecture": "qwen2", "tokenizer.chat_template": "<tool_call>"}


def put(tmp_path: Path, content: bytes, name: str = "m.gguf") -> Path:
    file = tmp_path / name
    file.write_bytes(content)
    return file


def test_a_header_is_read_and_long_arrays_are_only_counted(tmp_path: Path) -> None:
    tensors = [("token_embd.weight", (64, 100), 0, 0), ("x", (256, 2), 12, 25600)]
    file = put(tmp_path, build(QWEN, tensors, 25600 + 288))
    header = gguf.read(file)
    assert header.architecture == "qwen35" and header.number("block_count") == 32
    assert header.metadata["list"] == [1, -2, 3]
    assert header.metadata["tokenizer.ggml.tokens"] == gguf.LongArray(2000)
    assert header.expected_bytes == file.stat().st_size
    assert [tensor.bytes for tensor in header.tensors] == [25600, 288]
    kept = gguf.read(file, keep=frozenset({"tokenizer.ggml.tokens"}))
    assert kept.metadata["tokenizer.ggml.tokens"][1999] == "t1999"


def test_the_memory_of_a_hybrid_model_is_the_catalogues(tmp_path: Path) -> None:
    memory = gguf.read(put(tmp_path, build(QWEN))).memory()
    known = catalogue.load().get("qwen3.5-9b").memory
    assert memory and known and memory.kv_per_token == known.kv_per_token == 32768
    assert memory.state == 52690944 and abs(memory.state - known.state) < 1 << 20


def test_a_file_cut_short_says_by_how_much(tmp_path: Path) -> None:
    whole = build({"general.architecture": "x"}, [("t", (1024,), 0, 0)], 4096)
    file = put(tmp_path, whole[:-1000])
    with pytest.raises(ModelError, match=rf"cut short: it has {len(whole) - 1000:,} bytes of at least {len(whole):,}"):
        gguf.read(file)
    assert gguf.read(file, whole=False).architecture == "x"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "only 0 bytes"),
        (b"GGUF", "only 4 bytes"),
        (b"<html>" + b" " * 100, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF file"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(100), "byte order"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1), "tensors"),
        (HEAD + struct.pack("<Q", 1 << 62) + bytes(50), "middle of its header"),
        (HEAD + text("k") + struct.pack("<IIQ", 9, 0, 1 << 50), "longer than the file"),
        (HEAD + text("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(50), "unknown kind"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("t") + struct.pack("<IQIQ", 1, 1 << 60, 0, 0), "larger"),
    ],
)
def test_garbage_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        gguf.read(put(tmp_path, content))


def test_no_garbage_is_ever_more_than_a_model_error(tmp_path: Path) -> None:
    good = bytearray(build(QWEN, [("t", (256, 2), 12, 0)], 288))
    dice, began = random.Random(7), time.monotonic()
    for _ in range(400):
        bad = bytearray(good[: dice.randrange(24, len(good))]) if dice.random() < 0.3 else bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            bad[dice.randrange(4, len(bad))] = dice.choice([0, 1, 127, 255, dice.randrange(256)])
        try:
            gguf.read(put(tmp_path, bytes(bad))).memory()
        except LocalAgentError:
            pass
    assert time.monotonic() - began < 10


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        gguf.read(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="cannot be read"):
        gguf.read(tmp_path)


def test_the_pieces_of_a_split_model(tmp_path: Path) -> None:
    files = [put(tmp_path, build({"general.architecture": "x"}), f"m-0000{n}-of-00003.gguf") for n in (1, 2, 3)]
    assert gguf.pieces(files[0]) == files
    with pytest.raises(ModelError, match="piece 2 of a split"):
        gguf.pieces(files[1])
    files[2].unlink()
    with pytest.raises(ModelMissing, match="m-00003-of-00003"):
        gguf.pieces(files[0])


@pytest.mark.parametrize(
    ("change", "dialect", "thinks"),
    [
        ({}, "qwen35", True),
        ({"general.architecture": "qwen35moe"}, "qwen35", True),
        ({**QWEN2, "general.name": "Qwen2.5 Coder 1.5B"}, "coder", False),
        (QWEN2, "hermes", False),
    ],
)
def test_any_gguf_file_can_be_named(tmp_path: Path, change: dict[str, Any], dialect: str, thinks: bool) -> None:
    file = put(tmp_path, build(QWEN | change), "my own.gguf")
    entry = catalogue.load().find(str(file))
    assert (entry.dialect, entry.thinks, entry.id) == (dialect, thinks, str(file))
    made = entry.model_file(file, 4096)
    assert (made.path, made.context, made.dialect) == (str(file), 4096, dialect)
