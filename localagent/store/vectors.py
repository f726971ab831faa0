"""Bytes that can be made again, kept under the hash of what they were made of: one SQLite file in the cache folder.

Several processes may use it at once. What is damaged is thrown away, and where nothing can be kept nothing is: it is only slower.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .paths import cache_dir

_MOST = 20_000
_WAIT_S = 2.0
_TABLE = "CREATE TABLE IF NOT EXISTS made (key TEXT PRIMARY KEY, value BLOB NOT NULL, day INTEGER NOT NULL) WITHOUT ROWID"


def path() -> Path:
    return cache_dir() / "search.db"


def kept(keys: Sequence[str]) -> dict[str, bytes]:
    """What there is of these."""
    found: dict[str, bytes] = {}
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(_opened()) as base:
        for begin in range(0, len(keys), 500):
            part = keys[begin : begin + 500]
            asked = f"SELECT key, value FROM made WHERE key IN ({','.join('?' * len(part))})"
            found |= {key: bytes(value) for key, value in base.execute(asked, part) if isinstance(value, bytes)}
    return found


def keep(made: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
    """Keep these; of too many the oldest go."""
    rows, day = dict(made), int(time.time() // 86400)
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(_opened()) as base, base:
        base.executemany("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", [(key, value, day) for key, value in rows.items()])
        beyond = base.execute("SELECT count(*) FROM made").fetchone()[0] - _MOST
        if beyond > 0:
            base.execute("DELETE FROM made WHERE key IN (SELECT key FROM made ORDER BY day LIMIT ?)", (beyond,))


def _opened() -> sqlite3.Connection:
    """The file, made anew where it is none of ours."""
    file = path()
    try:
        return _connected(file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        return _connected(file)


def _connected(file: Path) -> sqlite3.Connection:
    if not file.exists():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    base = sqlite3.connect(file, timeout=_WAIT_S)
    try:
        base.execute(_TABLE)
    except sqlite3.Error:
        base.close()
        raise
    return base
