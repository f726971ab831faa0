"""The models we know: ours from models.toml, extended by the user's file of the same form.

An `Entry` is one model in one quantisation (or one hosted model). What a file on the
user's disk is comes from `reuse`; what a machine can hold, from `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import ModelMissing, UsageError
from ..store import paths
from .base import Sampling
from .entry import Entry, Expect, Memory, Packages, Part, Remote

__all__ = ["Catalogue", "Entry", "Expect", "Memory", "Packages", "Part", "Remote"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Entries by id, in the order of the files. `providers` are the endpoints by their names."""

    entries: Mapping[str, Entry]
    default: str
    providers: Mapping[str, Remote] = field(default_factory=dict)

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
        import difflib

        near = difflib.get_close_matches(wanted, list(self.entries), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`localagent model list` shows them all."
        raise UsageError(f"There is no model {id!r} in the catalogue.", hint)

    def find(self, wanted: str) -> Entry:
        """By id, by PROVIDER/MODEL, or by the path of a GGUF file (anything else with a slash, or ending in .gguf)."""
        provider, slash, model = wanted.partition("/")
        if slash and model and (remote := self.providers.get(provider.lower())) is not None and not Path(wanted).is_file():
            # Whether it thinks is known of the endpoint; whether it sees, nobody knows before it was tried.
            own = replace(remote, model=model)
            return Entry(id=f"{provider.lower()}/{model}", name=model, thinks=bool(remote.thinking), remote=own, sees=True)
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
    from . import dialects, gguf

    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise ModelMissing(f"There is no model file {path}.", "Check the path, or see `localagent model list`.")
    header = gguf.read(path)
    pieces = gguf.pieces(path, header)
    template = header.text("tokenizer.chat_template")
    name = header.text("general.name") or path.stem
    dialect = dialect_of(header.architecture, name, template)
    thinks = dialects.thinks(dialect, template)
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
        projector=_beside(path),
    )


def _beside(path: Path) -> Part | None:
    """The projector in a model's folder, where there is just one, or one of half precision."""
    try:
        found = sorted(file for file in path.parent.glob("*.gguf") if "mmproj" in file.name.lower() and file != path)
    except OSError:
        return None
    half = [file for file in found if "f16" in file.name.lower() and "bf16" not in file.name.lower()]
    one = found[0] if len(found) == 1 else half[0] if len(half) == 1 else None
    return Part(str(one), one.stat().st_size, "") if one is not None else None


def dialect_of(architecture: str, name: str, template: str) -> str:
    """By the chat template, which early Qwen2.5-Coder shares with others, else by the architecture."""
    from . import dialects

    if architecture == "qwen2" and "coder" in name.lower():
        return "coder"
    found = (dialect for begin, dialect in _ARCHITECTURES if architecture.startswith(begin))
    return dialects.detect(template) or next(found, "hermes")


# Those that only one form belongs to, for files whose template does not tell.
_ARCHITECTURES = (
    ("qwen35", "qwen35"),
    ("glm4moe", "glm46"),
    ("gpt-oss", "harmony"),
    ("gemma4", "gemma"),
    ("minimax-m2", "minimax"),
    ("mistral3", "ministral"),
)


def completed(entry: Entry, found: Entry | None = None) -> Entry:
    """An entry whose `path` was given in a catalogue, with what only the file (`found`, else its header) knows."""
    if entry.path is None or entry.parts:
        return entry
    found = found or entry_of_file(Path(entry.path))
    if not entry.dialect:
        entry = replace(entry, dialect=found.dialect, thinks=found.thinks)
    return replace(
        entry,
        context=entry.context or found.context,
        sampling=entry.sampling or found.sampling,
        thinking_sampling=entry.thinking_sampling or found.thinking_sampling,
        parts=found.parts,
        memory=entry.memory or found.memory,
        judge=entry.judge or found.judge,
        projector=entry.projector or found.projector,
        path=found.path,
    )
