"""Reads the header of a GGUF file: what the model is and how large the file must be.

Bytes that are no GGUF, or lie about themselves, end in one `ModelError`: every length is
checked against the file before anything is made from it.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, ModelMissing

if TYPE_CHECKING:
    from .entry import Memory

MAGIC = b"GGUF"
_SPLIT = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_MAX_KEYS = 1 << 16
_MAX_TENSORS = 1 << 20
_KEPT_ITEMS = 512

# GGUF value types: 8 is a string, 9 an array, the others are numbers.
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9

# ggml tensor types: (elements in a block, bytes of a block)
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array too long to keep: only how many items it has."""

    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """`bytes` None where its type is unknown to us; `offset` counts from the header's `data_offset`."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Header:
    """`expected_bytes` is what the file must have at least, 0 where a tensor's type is unknown."""

    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    data_offset: int
    expected_bytes: int

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    def text(self, key: str) -> str:
        """A text value, "" where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """A whole number under `key`, or under `ARCHITECTURE.key`."""
        value = self.metadata.get(key, self.metadata.get(f"{self.architecture}.{key}"))
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default

    def memory(self) -> Memory | None:
        """What a context of this model needs beside its file; None where the header does not say."""
        from .entry import Memory

        layers, hidden = self.number("block_count"), self.number("embedding_length")
        heads = self.number("attention.head_count")
        if not (0 < layers < 4096 and 0 < hidden < 1 << 20 and heads):
            return None
        width = hidden // heads
        per_head = self.number("attention.key_length", width) + self.number("attention.value_length", width)
        interval = self.number("full_attention_interval", 1) or 1
        kv_heads = self.metadata.get(f"{self.architecture}.attention.head_count_kv", heads)
        if isinstance(kv_heads, list):
            per_token = sum(n for n in kv_heads if isinstance(n, int)) * per_head * 2
        else:
            per_token = layers // interval * self.number("attention.head_count_kv", heads) * per_head * 2
        vocabulary = next((t.shape[-1] for t in self.tensors if t.name == "token_embd.weight"), 0)
        state = (layers - layers // interval) * self.layer_state()
        return Memory(per_token, state, 512 * 4 * (vocabulary + hidden))

    def layer_state(self) -> int:
        """Bytes that a layer without full attention keeps, 0 where the model has none."""
        inner, state = self.number("ssm.inner_size"), self.number("ssm.state_size")
        kernel, groups = self.number("ssm.conv_kernel"), self.number("ssm.group_count")
        if not inner or not state or not kernel:
            return 0
        return 4 * ((kernel - 1) * (inner + 2 * groups * state) + state * inner)


def read(path: Path, *, keep: frozenset[str] = frozenset(), whole: bool = True) -> Header:
    """The header of the file at `path`. Arrays of more than 512 items are kept only if named in `keep`.

    With `whole` a file shorter than its tensors is refused. ModelMissing, ModelError.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if size < 24:
                raise ModelError(f"{path} is not a GGUF file: it has only {size} bytes.", _AGAIN)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _header(data, path, keep)
    except FileNotFoundError:
        raise ModelMissing(
            f"There is no model file {path}.", "Check the path, or see `localagent model list`."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if whole and header.expected_bytes > size:
        raise ModelError(f"{path} is cut short: it has {size:,} bytes of at least {header.expected_bytes:,}.", _AGAIN)
    return header


_AGAIN = "Download it again, for example with `localagent model pull ID`."


class _Damaged(Exception):
    pass


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> Any:
        size = struct.calcsize(form)
        if self.at + size > len(self.data):
            raise _Damaged("it ends in the middle of its header")
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += size
        return value

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise _Damaged("it ends in the middle of its header")
        self.at += size

    def string(self) -> str:
        size = self.take("<Q")
        start = self.at
        self.skip(size)
        return self.data[start : self.at].decode("utf-8", errors="replace")

    def value(self, kind: int, kept: bool) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array(kept)
        if kind not in _SCALARS:
            raise _Damaged(f"its header has a value of unknown kind {kind}")
        return self.take(_SCALARS[kind])

    def array(self, kept: bool) -> Any:
        kind, count = self.take("<I"), self.take("<Q")
        if kind != _STRING and kind not in _SCALARS:
            raise _Damaged(f"its header has an array of unknown kind {kind}")
        least = 8 if kind == _STRING else struct.calcsize(_SCALARS[kind])
        if count * least > len(self.data) - self.at:
            raise _Damaged("its header has an array longer than the file")
        if kept or count <= _KEPT_ITEMS:
            return [self.value(kind, kept) for _ in range(count)]
        if kind == _STRING:
            unpack, data, end, at = struct.Struct("<Q").unpack_from, self.data, len(self.data), self.at
            for _ in range(count):
                if at + 8 > end:
                    raise _Damaged("it ends in the middle of its header")
                at += 8 + unpack(data, at)[0]
            if at > end:
                raise _Damaged("it ends in the middle of its header")
            self.at = at
        else:
            self.skip(count * least)
        return LongArray(count)


def _header(data: mmap.mmap, path: Path, keep: frozenset[str]) -> Header:
    if data[:4] != MAGIC:
        raise ModelError(f"{path} is not a GGUF file: it begins with {bytes(data[:4])!r}.", _hint(bytes(data[:64])))
    try:
        reader = _Reader(data)
        reader.skip(4)
        version = reader.take("<I")
        if version not in (2, 3):
            raise _Damaged(f"GGUF version {version} is unknown; a file of another byte order is not supported")
        tensors, keys = reader.take("<Q"), reader.take("<Q")
        if tensors > _MAX_TENSORS or keys > _MAX_KEYS:
            raise _Damaged(f"its header names {tensors} tensors and {keys} keys")
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = reader.string()
            metadata[key] = reader.value(reader.take("<I"), key in keep)
        table = tuple(_tensor(reader) for _ in range(tensors))
    except _Damaged as error:
        raise ModelError(f"{path} is a damaged GGUF file: {error}.", _AGAIN) from None
    step = metadata.get("general.alignment", 32)
    step = step if isinstance(step, int) and 0 < step <= 1 << 20 else 32
    offset = -(-reader.at // step) * step
    known = all(tensor.bytes is not None for tensor in table)
    expected = max((offset + t.offset + (t.bytes or 0) for t in table), default=reader.at) if known else 0
    return Header(version, metadata, table, offset, expected)


def _tensor(reader: _Reader) -> Tensor:
    name, count = reader.string(), reader.take("<I")
    if count > 8:
        raise _Damaged(f"a tensor has {count} dimensions")
    shape = tuple(reader.take("<Q") for _ in range(count))
    kind, offset = reader.take("<I"), reader.take("<Q")
    elements = 1
    for length in shape:
        elements *= length
    if elements > 1 << 50 or offset > 1 << 50:
        raise _Damaged("a tensor is larger than any disk")
    block = _BLOCKS.get(kind)
    return Tensor(name, shape, kind, offset, elements // block[0] * block[1] if block else None)


def _hint(start: bytes) -> str:
    if start.lstrip()[:1] == b"<":
        return "It is a web page: the download got an answer for people. Download it again."
    if start.startswith(b"version https://git-lfs"):
        return "It is a pointer of git-lfs: fetch the file itself with `git lfs pull`."
    return _AGAIN


def pieces(path: Path, header: Header | None = None) -> list[Path]:
    """All files of a split model, in order, or just `path`.

    ModelError where `path` is not the first piece, ModelMissing where one is missing.
    """
    match = _SPLIT.fullmatch(path.name)
    count = (header.number("split.count") if header else 0) or (int(match[3]) if match else 1)
    if count <= 1 or not match:
        return [path]
    found = [path.with_name(f"{match[1]}-{n:05d}-of-{match[3]}.gguf") for n in range(1, int(match[3]) + 1)]
    if int(match[2]) != 1:
        raise ModelError(f"{path.name} is piece {int(match[2])} of a split model.", f"Name the first one: {found[0]}")
    for piece in found:
        if not piece.is_file():
            raise ModelMissing(f"The piece {piece} of a split model is missing.", "Download it too.")
    return found
