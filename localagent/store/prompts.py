"""What a person typed before, for the arrow keys: one JSON text a line, the newest last."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from .atomic import write_atomic
from .paths import state_dir

_KEPT = 1000
# A text this long was pasted; nobody steps back to it.
_LONGEST = 20_000


def _path() -> Path:
    return state_dir() / "prompts.jsonl"


def load(limit: int = _KEPT) -> list[str]:
    """The newest `limit`, oldest first. What cannot be read is left out."""
    found: list[str] = []
    try:
        lines = _path().read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    for line in lines[-limit:]:
        with contextlib.suppress(ValueError):
            text = json.loads(line)
            if isinstance(text, str) and text.strip():
                found.append(text)
    return found


def add(text: str) -> None:
    """Remember it. A disk that refuses is no reason to lose the request itself."""
    if not text.strip() or len(text) > _LONGEST:
        return
    known = load(_KEPT * 2)
    if known[-1:] == [text]:
        return
    with contextlib.suppress(OSError):
        if len(known) >= _KEPT * 2:
            write_atomic(_path(), "".join(_line(one) for one in [*known[-_KEPT:], text]).encode())
            return
        with open(os.open(_path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(_line(text).encode())


def _line(text: str) -> str:
    return json.dumps(text) + "\n"
