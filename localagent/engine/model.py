"""What the engine must know of one model file."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import Sampling


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One GGUF file and how to talk to it.

    `path` is absolute. `sha256` is "" where nobody computed it. `context` is the number of
    tokens to make room for, `bytes` the size of its files
    (0: not known). `dialect` names the way it writes calls. `thinking_sampling` None
    means `sampling` serves thinking too; `thinks` says whether it can think at all. `projector` is the file with which
    it sees, "" for none.
    """

    id: str
    path: str
    context: int = 16384
    dialect: str = "hermes"
    sha256: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    thinking_sampling: Sampling | None = None
    thinks: bool = False
    bytes: int = 0
    projector: str = ""

    @property
    def key(self) -> str:
        """What marks generated token ids as this model's own."""
        return self.sha256 or self.id
