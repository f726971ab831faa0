"""The stored sessions, newest first: listed, searched, forked, put aside. The transcripts themselves are never changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreError, UsageError
from . import index, meta, prune
from .atomic import store_error, sync_folder
from .index import Hit, Row
from .paths import state_dir
from .transcript import new_id, sessions_dir

__all__ = ["KEPT_DAYS", "Hit", "Row", "forked", "remove", "restore", "row", "rows", "search"]

KEPT_DAYS = 30
"""How long a session that was put aside can be brought back."""

_AT_WORK_S = 600


def rows(limit: int | None = None, folder: str | None = None) -> list[Row]:
    """The newest sessions in which anything was asked, of one folder or of all. Raises StoreError."""
    return index.with_index(lambda found: found.rows(limit, folder))


def search(words: str, limit: int | None = None, folder: str | None = None) -> list[Hit]:
    """The newest sessions that hold all the words, in requests, answers, calls or titles. Raises StoreError."""
    return index.with_index(lambda found: found.search(words, limit, folder))


def row(session: str) -> Row | None:
    """One of them; None where nothing was asked in it. Raises StoreError."""
    return next((one for one in rows() if one.id == session), None)


def forked(session: str, at: int | None = None) -> str:
    """A new session that begins with the first `at` requests of this one and what came of them, by default with all.

    Its id. The old one stays as it is, and what the new one needs of it is copied. Raises UsageError, StoreError.
    """
    old = sessions_dir() / session
    lines, requests, messages = _first(old / "transcript.jsonl", at)
    made = new_id()
    draft, new = sessions_dir() / f".{made}", sessions_dir() / made
    prune.sweep(sessions_dir(), ".2*")
    try:
        draft.mkdir(mode=0o700)
        if (old / "output").is_dir():
            shutil.copytree(old / "output", draft / "output", symlinks=True)
            lines = [_moved(line, f"{old}/output/", f"{new}/output/") for line in lines]
        _write(draft / "transcript.jsonl", lines)
        if tokens := [line for line in _lines(old / "tokens.jsonl") if _message(line) < messages]:
            _write(draft / "tokens.jsonl", tokens)
        os.rename(draft, new)
        sync_folder(new.parent)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise store_error(error if isinstance(error, OSError) else OSError(str(error)), new) from error
    known = meta.load(session)
    meta.save(made, meta.Meta(known.title and f"{known.title} (fork)", session, requests))
    return made


def _first(file: Path, at: int | None) -> tuple[list[bytes], int, int]:
    """The whole lines of the first `at` requests; how many requests and answers they are."""
    lines = list(_lines(file))
    # Where the requests begin that are still part of the conversation: it may have been gone back behind some.
    begins: list[int] = []
    for n, line in enumerate(lines):
        event = _json(line)
        if event.get("event") == "TurnStarted":
            begins.append(n)
        elif event.get("event") == "Rewound" and isinstance(to := event.get("to"), int) and to >= 0:
            del begins[to:]
    if not begins:
        raise UsageError("Nothing was asked in this session yet.")
    if at is not None and not 0 <= at <= len(begins):
        raise UsageError(f"This session has {len(begins)} requests, not {at}.")
    requests = len(begins) if at is None else at
    kept = lines[: begins[requests]] if requests < len(begins) else lines
    return kept, requests, sum(_event(line) == "MessageDone" for line in kept)


def _lines(file: Path) -> Iterator[bytes]:
    """The whole lines of a file; none where it is not there."""
    try:
        with open(file, "rb") as lines:
            yield from (line for line in lines if line.endswith(b"\n"))
    except FileNotFoundError:
        return


def _json(line: bytes) -> dict:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _event(line: bytes) -> str:
    return str(_json(line).get("event"))


def _message(line: bytes) -> int:
    number = _json(line).get("message")
    return number if isinstance(number, int) else -1


def _moved(line: bytes, old: str, new: str) -> bytes:
    """A result tells where the whole of an output lies; the fork has its own copy."""
    if _event(line) not in ("ToolFinished", "Compacted"):
        return line
    before, after = (json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "backslashreplace") for text in (old, new))
    return line.replace(before, after)


def _write(file: Path, lines: list[bytes]) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        out.writelines(lines)
        out.flush()
        os.fsync(out.fileno())


# ------------------------------------------------------------ putting aside


def _aside() -> Path:
    return state_dir() / "removed-sessions"


def remove(session: str, force: bool = False) -> None:
    """Put a session aside: it is listed no more, and `restore` brings it back within 30 days.

    What it changed on the disk can still be undone. UsageError where it seems to be at work, unless `force`.
    """
    place, target = sessions_dir() / session, _aside() / session
    found = row(session)
    if found and found.status == "cut off" and not force and _age(place / "transcript.jsonl") < _AT_WORK_S:
        raise UsageError(f"The session {session} seems to be at work.", "Stop it first, or say --force.")
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        prune.sweep(target.parent, "*", KEPT_DAYS)
        if target.exists():
            raise StoreError(f"A session {session} was put aside before.", f"`localagent sessions restore {session}` first.")
        # The days count from now.
        os.utime(place)
        os.rename(place, target)
        sync_folder(target.parent)
        sync_folder(place.parent)
    except OSError as error:
        raise store_error(error, target) from error


def restore(session: str) -> None:
    """Bring back what `remove` put aside. Raises UsageError, StoreError."""
    place, target = _aside() / session, sessions_dir() / session
    if not session or os.sep in session or not place.is_dir():
        known = sorted(path.name for path in _aside().glob("*"))
        hint = f"There is {', '.join(known[-5:])}." if known else "None is put aside."
        raise UsageError(f"No session {session!r} was put aside.", hint)
    if target.exists():
        raise StoreError(f"There is a session {session} already.", "Put that one aside first.")
    try:
        os.rename(place, target)
        sync_folder(target.parent)
    except OSError as error:
        raise store_error(error, target) from error


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0
