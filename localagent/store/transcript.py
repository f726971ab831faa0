"""A session on disk: one event a line, in the order they happened.

The transcript is what a resumed session is rebuilt from. Token ids that the model
generated lie beside it (`tokens.jsonl`), because they are of use to one model only.
Deltas and progress are not written: the message that they built is.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import StoreError, UsageError
from ..events import (
    EngineProgress,
    Event,
    MessageDone,
    PrefillProgress,
    TextDelta,
    ThinkingDelta,
    ToolOutput,
    from_json,
    to_json,
)
from ..values import Generated
from .paths import state_dir

_PASSING = (EngineProgress, PrefillProgress, TextDelta, ThinkingDelta, ToolOutput)


def sessions_dir() -> Path:
    return state_dir() / "sessions"


def new_id() -> str:
    """Sorts by time, within a second too: `20260131-142530-1f3a9c`."""
    now = time.time()
    part = int(now % 1 * 0x10000)
    return f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{part:04x}{secrets.token_hex(1)}"


def find(wanted: str) -> str:
    """The id of a stored session: exact, a unique beginning, or `last`. Raises UsageError."""
    folder = sessions_dir()
    known = sorted(p.name for p in folder.iterdir() if _whole(p)) if folder.is_dir() else []
    if wanted == "last" and known:
        return known[-1]
    matches = [name for name in known if name == wanted] or [name for name in known if name.startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if len(matches) > 1:
        raise UsageError(f"{wanted!r} names {len(matches)} sessions.", f"Give more of the id: {', '.join(matches[-3:])}")
    last = f"The last one is {known[-1]}." if known else "There are no sessions yet."
    raise UsageError(f"There is no session {wanted!r}.", last)


def _whole(place: Path) -> bool:
    """Whether a session is there; one that begins with a dot is still being copied."""
    return not place.name.startswith(".") and (place / "transcript.jsonl").exists()


class _Claim:
    """A lock on a session's folder for this process, let go of when nobody here uses it any more."""

    def __init__(self, folder: Path) -> None:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, handle)
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                "This conversation is open in another localagent, and two would write into it.",
                "Leave it there first, or go on in a copy: localagent sessions fork ID",
            ) from None
        except (ImportError, OSError):
            return  # a file system or a platform without locks


_claims: weakref.WeakValueDictionary[Path, _Claim] = weakref.WeakValueDictionary()


class Transcript:
    """Appends events and reads them back. Raises StoreError when the disk refuses, or another process writes here."""

    def __init__(self, session_id: str) -> None:
        self.folder = sessions_dir() / session_id
        self._claim: _Claim | None = None
        self._lines = self.folder / "transcript.jsonl"
        self._tokens = self.folder / "tokens.jsonl"
        self._messages = 0

    @property
    def spill(self) -> Path:
        """Where whole outputs lie that were too long for the model."""
        return self.folder / "output"

    def claim(self) -> None:
        """Keep other processes from writing into this session, from now on or from the first event on."""
        if self._claim is None:
            self._claim = _claims.get(self.folder)
        if self._claim is None:
            self._claim = _claims[self.folder] = _Claim(self.folder)

    def append(self, event: Event) -> None:
        if isinstance(event, _PASSING):
            return
        self._write(self._lines, to_json(event))
        if isinstance(event, MessageDone):
            ids = event.message.generated
            if ids is not None:
                self._write(self._tokens, {"message": self._messages, "model": ids.model, "ids": list(ids.ids)})
            self._messages += 1

    def read(self) -> Iterator[Event]:
        """All events, oldest first; the ids are put back on their messages. Damaged lines are dropped."""
        ids = _ids(self._tokens)
        self._messages = 0
        for line in _json_lines(self._lines):
            try:
                event = from_json(line)
            except (ValueError, TypeError, AttributeError, KeyError):
                continue
            if isinstance(event, MessageDone):
                if self._messages in ids:
                    event = replace(event, message=replace(event.message, generated=ids[self._messages]))
                self._messages += 1
            yield event

    def raw(self) -> Iterator[bytes]:
        """The lines as they are on the disk. Raises StoreError."""
        try:
            with self._lines.open("rb") as lines:
                yield from lines
        except OSError as error:
            raise _unreadable(self._lines, error) from error

    def _write(self, path: Path, value: dict) -> None:
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.claim()
            _append(path, data + b"\n")
        except OSError as error:
            raise StoreError(
                f"The session cannot be written to {path}: {error.strerror}.",
                "Free some space or set LOCALAGENT_STATE_DIR to another folder.",
            ) from error


def _append(path: Path, line: bytes) -> None:
    """Add a whole line or nothing: a disk that fills up takes a part, which is taken back.

    A line that an earlier crash left torn is closed first, so that it swallows nothing.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        end = os.fstat(fd).st_size
        if end and os.pread(fd, 1, end - 1) != b"\n":
            line = b"\n" + line
        try:
            while line:
                line = line[os.write(fd, line) :]
        except OSError:
            os.ftruncate(fd, end)
            raise
    finally:
        os.close(fd)


def _json_lines(path: Path) -> Iterator[dict]:
    """The lines that are whole JSON objects; anything else is passed over."""
    try:
        lines = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error
    with lines:
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be read: {error.strerror}.", "Check who owns it and its permissions.")


def _ids(path: Path) -> dict[int, Generated]:
    """Message number -> its ids. They only save work, so a line that is wrong is passed over."""
    found = {}
    for line in _json_lines(path):
        ids = line.get("ids")
        if isinstance(ids, list) and all(isinstance(one, int) for one in ids) and isinstance(line.get("message"), int):
            found[line["message"]] = Generated(str(line.get("model")), tuple(ids))
    return found
