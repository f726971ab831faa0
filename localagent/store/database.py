"""SQLite files of ours: for their owner alone, whole after a crash, and every trouble as a sentence with the next step."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .lock import locked

if TYPE_CHECKING:
    import sqlite3

_BUSY_S = 10.0


class Database:
    """A journalled file that stays open; several processes and threads may use it.

    `schema` makes a new file of `version`; another version is refused. `sync` FULL where what was said must be on the disk, NORMAL
    where the last moment before a power cut may be lost. `damaged` is what helps a person whose file cannot be read any more.
    """

    def __init__(self, path: Path, schema: str, version: int, *, sync: str = "FULL", damaged: str = "Move it away.") -> None:
        self.path = path
        self._schema, self._version, self._sync, self._damaged = schema, version, sync, damaged
        self._lock = threading.RLock()
        self._made: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Raises StoreError."""
        with self._lock, said(self.path, self._damaged):
            yield self._open()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, there whole or not at all. Raises StoreError."""
        with self._lock, said(self.path, self._damaged):
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._made is None:
            import sqlite3

            owned(self.path)
            db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                # Two that turn a new file into a journalled one at once would find it locked, and not wait.
                with locked(self.path.with_suffix(".lock"), poll_s=0.01):
                    self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._made = db
        return self._made

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._sync}")
        db.execute("PRAGMA foreign_keys = ON")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            db.execute("BEGIN IMMEDIATE")
            for statement in _statements(self._schema):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {self._version}")
            db.execute("COMMIT")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != self._version:
            hint = "Use that one, or move the file away."
            raise StoreError(f"{self.path} was written by another version of localagent ({version}).", hint)


@contextlib.contextmanager
def transaction(path: Path, schema: str, what: str) -> Iterator[sqlite3.Connection]:
    """A file that is opened for one transaction, committed and synced at its end; rows know their names.

    `what` names it in the StoreError that is raised where the disk refuses.
    """
    import sqlite3

    db = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        owned(path)
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("pragma synchronous = full")
        db.executescript(schema)
        db.execute("begin immediate")
        yield db
        db.execute("commit")
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{what} cannot be used: {error}.", f"It lies in {path.parent}.") from error
    finally:
        if db is not None:
            db.close()


def owned(path: Path) -> None:
    """Make the file, or take it, for its owner alone: SQLite gives its other files the permissions of this one."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), 0o600))
    if os.name != "nt":
        os.chmod(path, 0o600)


def _statements(schema: str) -> Iterator[str]:
    import sqlite3

    held = ""
    for piece in schema.split(";"):
        held += piece + ";"
        if sqlite3.complete_statement(held):
            yield held
            held = ""


@contextlib.contextmanager
def said(path: Path, damaged: str) -> Iterator[None]:
    """What SQLite and the disk complain of, as one sentence."""
    import sqlite3

    try:
        yield
    except sqlite3.OperationalError as error:
        hint = "Another localagent is writing; try again." if "locked" in str(error) else ""
        raise StoreError(f"{path} cannot be used: {error}.", hint) from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is damaged: {error}.", damaged) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}.") from None
