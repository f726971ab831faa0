"""The model files on this machine: fetched by us, or found where other programs keep theirs.

A file is taken for a part of an entry by its size and sha256, never by its name. A found
file is used in place. What was verified is remembered with size, time and inode, so that it
is hashed once; the record dies with the first change to the file.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelError, ModelMissing, StoreError
from ..store import paths
from ..store.atomic import write_atomic
from ..store.lock import locked
from .entry import Entry, Part

Progress = Callable[[int, int], None]
_CHUNK = 1 << 22


def folder() -> Path:
    """Where our own model files are."""
    made = paths.data_dir() / "models"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def own_path(entry: Entry, part: Part) -> Path:
    """Where the part is or will be when we fetch it."""
    return paths.data_dir() / "models" / entry.base_id / part.name


def installed(entry: Entry) -> Path | None:
    """The first file of the entry if all its parts are here and verified, else None.

    A file that was never verified is hashed now (seconds for each gigabyte).
    """
    if entry.path is not None:
        return Path(entry.path) if Path(entry.path).is_file() else None
    if not entry.parts:
        return None
    own = [own_path(entry, part) for part in entry.parts]
    if all(matches(path, part) for path, part in zip(own, entry.parts, strict=True)):
        return own[0]
    return _recorded(entry)


def projector(entry: Entry) -> Path | None:
    """The file with which the entry's model sees, if it is here and verified, else None."""
    if entry.projector is None:
        return None
    if (eyes := entry.eyes) is not None:
        return installed(eyes)
    return Path(entry.projector.file) if Path(entry.projector.file).is_file() else None


def damage(entry: Entry) -> str:
    """What is wrong with our own files of an entry that is not installed; "" where there are none."""
    for part in entry.parts if entry.path is None else ():
        path = own_path(entry, part)
        if not path.is_file():
            continue
        size = path.stat().st_size
        if size != part.bytes:
            return f"{path} has {size:,} bytes instead of {part.bytes:,}"
        if not matches(path, part):
            return f"{path} does not have the sha256 of the catalogue"
    return ""


def matches(path: Path, part: Part, progress: Progress | None = None) -> bool:
    """Whether the file is that part: from the record, or by hashing it once."""
    facts = _facts(path)
    if facts is None or facts["size"] != part.bytes:
        return False
    sha256 = recorded(path)
    if not sha256:
        sha256 = hash_file(path, progress)
        remember(path, sha256)
    return sha256 == part.sha256


def recorded(path: Path) -> str:
    """The sha256 of the file from the record alone, "" where none stands there or the file has changed since."""
    facts, known = _facts(path), _records().get(str(path), {})
    return str(known.get("sha256", "")) if facts and facts.items() <= known.items() else ""


def hash_file(path: Path, progress: Progress | None = None) -> str:
    """The sha256 of a file. ModelError where it cannot be read."""
    import hashlib

    digest, done = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            total = os.fstat(file.fileno()).st_size
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def remember(path: Path, sha256: str) -> None:
    """Record that the file as it is now has this sha256."""
    facts = _facts(path)
    if facts is not None:
        _change(lambda records: records.__setitem__(str(path), {**facts, "sha256": sha256}))


def forget(found: Iterable[Path]) -> None:
    """Drop the records of these files."""
    gone = {str(path) for path in found}
    _change(lambda records: [records.pop(path, None) for path in gone])


def recorded_paths(entry: Entry) -> list[Path]:
    """All recorded files, ours or not, with the sha256 of one of the entry's parts."""
    wanted = {part.sha256 for part in entry.parts}
    return [Path(path) for path, record in _records().items() if record.get("sha256") in wanted]


def _recorded(entry: Entry) -> Path | None:
    """Verified files elsewhere; the pieces of a split model must stand together under their own names."""
    for path in recorded_paths(entry):
        if (together := _together(path, entry)) and all(
            matches(one, part) for one, part in zip(together, entry.parts, strict=True)
        ):
            return together[0]
    return None


def _together(first: Path, entry: Entry) -> list[Path] | None:
    if len(entry.parts) == 1:
        return [first]
    found = [first.with_name(part.name) for part in entry.parts]
    return found if first.name == entry.parts[0].name and all(path.is_file() for path in found) else None


# ---------------------------------------------------------------- the record


def _facts(path: Path) -> dict[str, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}


def _index() -> Path:
    return paths.data_dir() / "models" / "index.json"


def _records() -> dict[str, dict[str, Any]]:
    try:
        read = json.loads(_index().read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(read, dict):
        return {}
    return {path: record for path, record in read.items() if isinstance(record, dict)}


def _change(change: Callable[[dict[str, dict[str, Any]]], object]) -> None:
    # A folder that cannot be written costs another hash the next time, nothing else.
    with contextlib.suppress(StoreError, OSError), locked(folder() / "index.lock"):
        records = _records()
        change(records)
        alive = {path: record for path, record in records.items() if os.path.exists(path)}
        write_atomic(_index(), json.dumps(alive, indent=1).encode())


# ---------------------------------------------------------------- other programs' folders


def search(entry: Entry, progress: Progress | None = None) -> Path | None:
    """Find the entry among the files of other programs; what is found is recorded and used in place."""
    if entry.path is not None or not entry.parts:
        return None
    for first in _candidates(entry):
        if found := _accept(first, entry, progress):
            return found
    return None


def adopt(entry: Entry, given: Path, progress: Progress | None = None) -> Path:
    """Use a file (or the folder that holds it) the user names. ModelMissing, ModelError where it is not that model."""
    path = given.expanduser().absolute()
    if path.is_dir():
        candidates = [file for file in _walk(path, 4) if _has_size(file, entry.parts[0].bytes)]
        if not candidates:
            size = f"{entry.parts[0].bytes:,}"
            raise ModelMissing(f"No file in {path} has the {size} bytes of {entry.id}.", "Name the file itself.")
    elif path.is_file():
        candidates = [path]
    else:
        raise ModelMissing(f"There is no file {path}.", "Check the path.")
    for candidate in candidates:
        if found := _accept(candidate, entry, progress):
            return found
    size = candidates[0].stat().st_size
    raise ModelError(
        f"{candidates[0]} is not {entry.id}: it has {size:,} bytes, and size or sha256 differ from the catalogue.",
        f"To use it as it is, name it: localagent model use {candidates[0]}",
    )


def _accept(first: Path, entry: Entry, progress: Progress | None) -> Path | None:
    together = _together(first, entry)
    if together is None:
        return None
    sizes_fit = all(_has_size(path, part.bytes) for path, part in zip(together, entry.parts, strict=True))
    if sizes_fit and all(matches(path, part, progress) for path, part in zip(together, entry.parts, strict=True)):
        return together[0]
    return None


def _has_size(path: Path, size: int) -> bool:
    facts = _facts(path)
    return facts is not None and facts["size"] == size


def _candidates(entry: Entry) -> Iterator[Path]:
    first = entry.parts[0]
    for hub in _hub_caches():
        repository = hub / f"models--{entry.repository.replace('/', '--')}"
        yield from sorted(repository.glob(f"snapshots/*/{first.file}"))
        if len(entry.parts) == 1:
            yield from sorted(hub.glob(f"models--*/blobs/{first.sha256}"))
    if len(entry.parts) == 1:
        yield from (blobs / f"sha256-{first.sha256}" for blobs in _ollama_blobs())
    for place in _model_folders():
        yield from (file for file in _walk(place, 4) if _has_size(file, first.bytes))


def _hub_caches() -> list[Path]:
    found = [Path(os.environ[name]) for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") if os.environ.get(name)]
    if home := os.environ.get("HF_HOME"):
        found.append(Path(home) / "hub")
    cache = os.environ.get("XDG_CACHE_HOME")
    found.append((Path(cache) if cache else Path.home() / ".cache") / "huggingface" / "hub")
    return [path for path in dict.fromkeys(found) if path.is_dir()]


def _ollama_blobs() -> list[Path]:
    found = [Path(os.environ["OLLAMA_MODELS"])] if os.environ.get("OLLAMA_MODELS") else []
    found += [Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]
    return [path / "blobs" for path in found]


def _model_folders() -> list[Path]:
    home = Path.home()
    found = [Path(os.environ["LLAMA_CACHE"])] if os.environ.get("LLAMA_CACHE") else []
    found += [
        home / ".lmstudio" / "models",
        home / ".cache" / "lm-studio" / "models",
        home / ".cache" / "llama.cpp",
        home / "Library" / "Caches" / "llama.cpp",
    ]
    return [path for path in found if path.is_dir()]


def _walk(place: Path, depth: int) -> Iterator[Path]:
    """GGUF files below a folder, not endlessly deep."""
    with contextlib.suppress(OSError):
        for item in sorted(os.scandir(place), key=lambda one: one.name):
            if item.is_dir(follow_symlinks=False):
                if depth > 1:
                    yield from _walk(Path(item.path), depth - 1)
            elif item.name.lower().endswith(".gguf"):
                yield Path(item.path)
