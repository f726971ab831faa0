"""The record of what was decided and what was done: append-only lines, each holding the hash of the one before.

    {"n": 7, "at": 1767225600.0, "prev": "9f86...", "what": "decided", ...}

No contents: programs, hashes, rules, verdicts, exit codes, sizes. `head`, beside it, holds the number,
the hash and the end of the last line: what is cut off at the end is missed as well. Whoever may write
both files can still make up another history as a whole; that it was changed in place shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .atomic import store_error
from .lock import locked
from .paths import state_dir

START = "0" * 64
HEAD_LOST = "head lost"
"""Written where a log was found without its head: how long it had been, nobody can tell any more."""
_HEAD_BYTES = 160
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Checked:
    """`lines` that hold together from the first on; `broken` is the first that does not (0 none) and `why`."""

    lines: int
    broken: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Head:
    """The last line: its number, its hash, and how many bytes the file had behind it."""

    n: int = 0
    digest: str = START
    end: int = 0


def folder() -> Path:
    made = state_dir() / "audit"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def append(what: str, facts: Mapping[str, Any]) -> None:
    """Add one line, in a file only its owner can read. Raises StoreError where the disk refuses."""
    place = folder()
    try:
        with locked(place / "lock", poll_s=0.005):
            log = os.open(place / "log.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND | _FLAGS, 0o600)
            head = os.open(place / "head", os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                _append(log, head, {"what": what, **facts})
            finally:
                os.close(log)
                os.close(head)
    except OSError as error:
        raise store_error(error, place / "log.jsonl") from error


def _append(log: int, head: int, facts: Mapping[str, Any]) -> None:
    known = _read_head(head)
    last, torn = _last(log, known)
    if not known.n and last.n > 1:
        last = _add(log, last, {"what": HEAD_LOST})
    if torn:
        # A process died while it wrote: nobody was told that this line stands.
        os.ftruncate(log, last.end)
        last = _add(log, last, {"what": "repaired", "dropped_bytes": len(torn), "sha256": _digest(torn)})
    last = _add(log, last, facts)
    text = f"{last.n} {last.digest} {last.end}".ljust(_HEAD_BYTES - 1) + "\n"
    os.pwrite(head, text.encode(), 0)


def _add(log: int, last: _Head, facts: Mapping[str, Any]) -> _Head:
    line = {"n": last.n + 1, "at": round(time.time(), 3), "prev": last.digest, **facts}
    data = json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode()
    left = data + b"\n"
    try:
        while left:
            left = left[os.write(log, left) :]
    except OSError:
        os.ftruncate(log, last.end)
        raise
    return _Head(last.n + 1, _digest(data), last.end + len(data) + 1)


def _last(log: int, head: _Head) -> tuple[_Head, bytes]:
    """The last whole line and the torn one behind it.

    One line may stand behind the head: its process died before the head was written.
    A file that no longer fits its head is gone on from its head: `verify` then names the place.
    """
    rest = os.pread(log, max(os.fstat(log).st_size - head.end, 0), head.end)
    *lines, torn = rest.split(b"\n")
    for line in lines:
        head = _Head(head.n + 1, _digest(line), head.end + len(line) + 1)
    return (head if head.end <= os.fstat(log).st_size else _Head(head.n, head.digest, os.fstat(log).st_size)), torn


def _read_head(fd: int) -> _Head:
    try:
        n, digest, end = os.pread(fd, _HEAD_BYTES, 0).decode("ascii").split()
        return _Head(int(n), digest, int(end))
    except ValueError:
        return _Head()


def read() -> Iterator[dict[str, Any]]:
    """The lines that can be read, oldest first."""
    path = folder() / "log.jsonl"
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def verify() -> Checked:
    """Follow the chain from its start to the head."""
    place = folder()
    with locked(place / "lock", poll_s=0.005):
        try:
            data = (place / "log.jsonl").read_bytes()
        except FileNotFoundError:
            data = b""
        try:
            fd = os.open(place / "head", os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return Checked(0, 1, "the file `head` is gone") if data else Checked(0)
        try:
            head = _read_head(fd)
        finally:
            os.close(fd)
    return _follow(data, head)


def _follow(data: bytes, head: _Head) -> Checked:
    *lines, torn = data.split(b"\n")
    before, end = START, 0
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError:
            return Checked(number - 1, number, "it is no JSON")
        if not isinstance(value, dict) or value.get("n") != number:
            return Checked(number - 1, number, "it has another number: lines are missing, added or in another order")
        if value.get("prev") != before:
            return Checked(number - 1, number, "it does not fit the line before: one of the two was changed")
        if value.get("what") == HEAD_LOST:
            return Checked(
                number - 1, number, "the file `head` was gone when it was written: lines may be missing before it"
            )
        before, end = _digest(line), end + len(line) + 1
        if number == head.n and (before != head.digest or end != head.end):
            return Checked(number - 1, number, "it is not the line that was written last: it was changed")
    if len(lines) < head.n:
        return Checked(len(lines), len(lines) + 1, f"the end is cut off: {head.n - len(lines)} lines are missing")
    if len(lines) > head.n + 2:
        return Checked(head.n, head.n + 1, "lines were added by something else")
    torn_note = f"a line of {len(torn)} bytes was left unfinished behind the last one" if torn else ""
    return Checked(len(lines), 0, torn_note)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
