"""Snapshots on disk: what every conversation begins with, and the conversations themselves.

A file serves only the model, the build of llama.cpp and the layout of the state it was made with.
It is written in idle moments, a little at a time; one that is damaged is dropped.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import shutil
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..store import snapfile
from . import gguf, reuse
from .snapshots import Snapshot, begins, shared

log = logging.getLogger("localagent.engine")
LIMIT_MB = 4096
RESERVE = 1 << 30
"""Bytes of the disk that are left to others."""
PAUSE_S = 600.0
"""How long nothing is written after the disk refused."""
_TOO_SHORT = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: the tokens of its whole state, and the lengths after which it holds partial ones."""

    path: Path
    tokens: array[int]
    lengths: tuple[int, ...]
    fixed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that brings a context to `length` tokens; `partial` says by one of its partial states."""

    entry: Entry
    length: int
    partial: bool


class Archive:
    """The files of one key. Nothing here raises: what cannot be read or written is done without."""

    def __init__(self, key: Mapping[str, Any], limit: int | None = None) -> None:
        self._key = json.loads(json.dumps(key))
        self._limit = limit_bytes() if limit is None else limit
        self._name = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()[:16]
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[str, tuple[Snapshot, ...]] = {}
        self._writing: tuple[str, Iterator[None]] | None = None
        self._not_before = -PAUSE_S
        self.trouble = ""
        self.files = self.bytes = 0
        if self._limit:
            self._scan()

    def _scan(self) -> None:
        try:
            self.files, self.bytes = snapfile.prune(self._limit)
            found = sorted(snapfile.folder(self._name).glob(f"[!.]*{snapfile.SUFFIX}"))
        except (OSError, StoreError) as error:
            self._refused(error)
            return
        for path in found:
            if entry := self._open(path):
                self._entries[path.name] = entry

    def _open(self, path: Path) -> Entry | None:
        try:
            with open(path, "rb") as file:
                header = snapfile.read_header(file)
                if header.about["key"] != self._key:
                    raise snapfile.Damaged("it belongs to another model or engine")
                raw = bytearray(header.sections[0].length)
                snapfile.read_section(file, header.sections[0], raw)
            tokens = array("i", bytes(raw))
            lengths = tuple(int(length) for length in header.about["lengths"])
            if len(header.sections) != 2 + len(lengths):
                raise snapfile.Damaged("it has not the sections that it names")
            return Entry(path, tokens, lengths, path.name.startswith("fixed-"))
        except (snapfile.Damaged, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            self._drop(path, error)
            return None

    def _drop(self, path: Path, error: Exception) -> None:
        log.warning("the snapshot %s is dropped: %s", path.name, error)
        self._entries.pop(path.name, None)
        try:
            path.unlink(missing_ok=True)
        except OSError:
            log.warning("%s cannot be removed", path)

    # ------------------------------------------------------------ reading

    def find(self, goal: array[int], limit: int, recurrent: bool, room: int) -> Found | None:
        """What serves most of the first `limit` tokens of `goal`, in a context of `room` tokens."""
        best: Found | None = None
        for entry in self._entries.values():
            if len(entry.tokens) > room:
                continue
            common = min(shared(entry.tokens, goal), limit)
            partial = recurrent and common < len(entry.tokens)
            length = max((n for n in entry.lengths if n <= common), default=0) if partial else common
            if length > (best.length if best else 0):
                best = Found(entry, length, partial)
        return best

    def read(self, found: Found) -> list[Snapshot]:
        """The whole state and the partial ones up to `found.length`; empty where the file is damaged, and is now gone."""
        entry = found.entry
        try:
            with open(entry.path, "rb", buffering=0) as file:
                header = snapfile.read_header(file)
                if header.about["key"] != self._key or tuple(header.about["lengths"]) != entry.lengths:
                    raise snapfile.Damaged("it is another one than before")
                whole = Snapshot(entry.tokens, _section(file, header.sections[1]), False, entry.fixed)
                partial = [
                    Snapshot(entry.tokens[:length], _section(file, section), True)
                    for length, section in zip(entry.lengths, header.sections[2:], strict=True)
                    if length <= found.length
                ]
        except (snapfile.Damaged, OSError, ValueError, KeyError, TypeError, IndexError, MemoryError) as error:
            self._drop(entry.path, error)
            return []
        snapfile.used(entry.path)
        return [whole, *partial]

    def reject(self, found: Found) -> None:
        """llama.cpp would not take it."""
        self._drop(found.entry.path, ValueError("the engine does not take it"))

    # ------------------------------------------------------------ writing

    def offer(self, snapshots: Sequence[Snapshot], *, fixed: bool) -> None:
        """Keep a whole state, and partial ones on its way, when there is time. They must not change any more."""
        whole = snapshots[0]
        if not self.takes or len(whole.tokens) < _TOO_SHORT:
            return
        lengths = ",".join(str(len(s.tokens)) for s in snapshots)
        digest = hashlib.sha256(whole.tokens.tobytes() + lengths.encode()).hexdigest()[:24]
        name = f"{'fixed' if fixed else 'session'}-{digest}{snapfile.SUFFIX}"
        if name in self._entries:
            return
        if not fixed:
            for older in [known for known in self._waiting if known.startswith("session-")]:
                del self._waiting[older]
        self._waiting[name] = tuple(snapshots)

    @property
    def takes(self) -> bool:
        """Whether anything would be written."""
        return self._limit > 0 and time.monotonic() >= self._not_before

    def work(self, stop: Callable[[], bool]) -> None:
        """Write what waits until `stop` says so, looked at every MiB; the next call goes on from there."""
        while self._waiting and not stop():
            if self._writing is None or self._writing[0] not in self._waiting:
                self._begin(next(iter(self._waiting)))
            try:
                self._step(stop)
            except (OSError, StoreError) as error:
                self._refused(error)

    def _begin(self, name: str) -> None:
        self._close()
        about = {"key": self._key, "lengths": [len(s.tokens) for s in self._waiting[name][1:]]}
        whole = self._waiting[name][0]
        sections = [whole.tokens.tobytes(), *(s.state for s in self._waiting[name])]
        self._writing = name, _steps(self._name, name, about, sections)

    def _step(self, stop: Callable[[], bool]) -> None:
        assert self._writing is not None
        name, steps = self._writing
        for _ in steps:
            if stop():
                return
        self._writing = None
        whole, *partial = self._waiting.pop(name)
        fixed = name.startswith("fixed-")
        path = snapfile.folder(self._name) / name
        self._entries[name] = Entry(path, whole.tokens, tuple(len(s.tokens) for s in partial), fixed)
        self.trouble = ""
        self._supersede(self._entries[name])
        self.files, self.bytes = snapfile.prune(self._limit)
        self._entries = {n: e for n, e in self._entries.items() if e.path.exists()}

    def _supersede(self, new: Entry) -> None:
        """Drop what was kept of the same conversation earlier: most of it stands in the new one, too."""
        start = max(
            (len(e.tokens) for e in self._entries.values() if e.fixed and begins(new.tokens, e.tokens)), default=0
        )
        for name, old in list(self._entries.items()):
            own = len(old.tokens) - start
            if old is new or old.fixed or new.fixed or own <= 0:
                continue
            if 2 * (shared(old.tokens, new.tokens) - start) > own:
                old.path.unlink(missing_ok=True)
                del self._entries[name]

    def _refused(self, error: Exception) -> None:
        self.trouble = getattr(error, "strerror", None) or str(error)
        log.warning("no snapshot is written to the disk: %s", self.trouble)
        self._not_before = time.monotonic() + PAUSE_S
        self._close()
        self._waiting.clear()

    def _close(self) -> None:
        if self._writing is not None:
            self._writing[1].close()  # type: ignore[attr-defined]
            self._writing = None

    def close(self) -> None:
        """Leave nothing half written behind."""
        self._close()
        self._waiting.clear()


def key(path: str, layout: str, build: str, context: int) -> dict[str, Any]:
    """What a saved state depends on: the model by its sha256 (or its files' facts), the engine, the state's form.

    Some models turn their keys by other factors where the `context` (in tokens) is larger than what they first learnt.
    """
    header = gguf.read(Path(path))
    pieces = gguf.pieces(Path(path), header)
    model = [reuse.recorded(piece) or _facts(piece) for piece in pieces]
    first = header.number("rope.scaling.original_context_length")
    far = {"rope": "long"} if 0 < first < context else {}
    return {"model": model, "engine": f"{metadata.version('llama-cpp-python')} {build}", "layout": layout, **far}


def _facts(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def limit_bytes() -> int:
    """How much of the disk all snapshots may take; 0 where none are wanted."""
    try:
        return max(0, int(os.environ.get("LOCALAGENT_SNAPSHOTS_MB", LIMIT_MB))) << 20
    except ValueError:
        return LIMIT_MB << 20


def _steps(folder: str, name: str, about: Mapping[str, Any], sections: Sequence[Any]) -> Iterator[None]:
    """Of writing a file, where there is room for it. Raises OSError or StoreError."""
    place = snapfile.folder(folder)
    if shutil.disk_usage(place).free < sum(map(len, sections)) + RESERVE:
        raise StoreError("there is too little room on the disk")
    yield from snapfile.write(place / name, about, sections)


def _section(file: Any, section: snapfile.Section) -> Any:
    buffer = (ctypes.c_uint8 * section.length)()
    snapfile.read_section(file, section, buffer)
    return buffer
