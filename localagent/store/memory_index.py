"""An index of what is remembered, so that thousands of entries are searched at once (SQLite's FTS5).

It is a cache in one file of the cache folder: the Markdown files are the truth, and a file that is not as it was is read anew. A
damaged index is made again; where none can be written, or another process is at it for long, one in the memory serves this once.
The terms of a text are the caller's: what is stored are they, so that every script is found that can be cut into terms.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import StoreError
from . import memory
from .lock import Busy, locked
from .memory import Book, Entry
from .paths import cache_dir

VERSION = 1
_WAIT_S = 1.0
_POLL_S = 0.02
# Marks of all scripts belong to their letters.
_MAKE = (
    "CREATE TABLE books (path TEXT PRIMARY KEY, size, time, node)",
    "CREATE VIRTUAL TABLE remembered USING fts5(terms, book UNINDEXED, id UNINDEXED, text UNINDEXED, date UNINDEXED, source UNINDEXED, "
    "first UNINDEXED, last UNINDEXED, tokenize = \"unicode61 remove_diacritics 0 categories 'L* M* N* Co'\")",
)
_ROW = "id, text, date, source, first, last"

T = TypeVar("T")
Keys = Callable[[str], Iterable[str]]
"""The terms of a text, each of letters, marks and digits alone."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An entry and the file that it stands in."""

    book: Book
    entry: Entry


def path() -> Path:
    return cache_dir() / "memory.db"


def with_index(books: Sequence[Book], keys: Keys, version: int, work: Callable[[Index], T]) -> T:
    """What `work` makes of an up-to-date index of these files. `version` is that of the terms. Raises StoreError."""
    try:
        with _writing(), _opened(str(path())) as database:
            return work(Index(database, books, keys, version))
    except (Busy, sqlite3.OperationalError, StoreError):
        pass
    except sqlite3.DatabaseError:
        _forgotten()
    try:
        with _opened(":memory:") as database:
            return work(Index(database, books, keys, version))
    except sqlite3.DatabaseError as error:
        raise StoreError(f"What is remembered cannot be searched: {error}.", "This Python's SQLite needs FTS5.") from error


def _forgotten() -> None:
    with contextlib.suppress(StoreError, OSError), _writing():
        for name in (f"{path()}-journal", str(path())):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    tries = iter(range(int(_WAIT_S / _POLL_S)))

    def waiting() -> None:
        if next(tries, None) is None:
            raise Busy("The index of what is remembered is being written.")

    with locked(cache_dir() / "memory.db.lock", waiting, _POLL_S):
        yield


@contextlib.contextmanager
def _opened(name: str) -> Iterator[sqlite3.Connection]:
    if name != ":memory:":
        with contextlib.suppress(OSError):
            # SQLite would let others read it.
            os.close(os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(name, isolation_level=None, timeout=_WAIT_S)
    try:
        yield database
    finally:
        database.close()


class Index:
    """The open index; made by `with_index`."""

    def __init__(self, database: sqlite3.Connection, books: Sequence[Book], keys: Keys, version: int) -> None:
        self._db, self._keys = database, keys
        self._books = {str(book.path): book for book in books}
        self._make(VERSION * 1000 + version)
        for book in books:
            self._update(book)

    def count(self) -> int:
        """How many entries these files have."""
        return self._db.execute(f"SELECT count(*) FROM remembered WHERE {self._here()}", tuple(self._books)).fetchone()[0]

    def held(self, key: str, start: str) -> int:
        """How many of them have this term, or where none has, one that begins so."""
        return self._held(_whole(key)) or self._held(_query(start))

    def _held(self, query: str) -> int:
        asked = f"SELECT count(*) FROM remembered WHERE remembered MATCH ? AND {self._here()}"
        return self._db.execute(asked, (query, *self._books)).fetchone()[0]

    def search(self, asked_for: Sequence[tuple[str, str]], limit: int) -> list[Remembered]:
        """Those with any of these terms, or one that begins as is given with it; the best first as FTS5 sees it."""
        if not asked_for:
            return []
        queries = dict.fromkeys(query for key, start in asked_for for query in (_whole(key), _query(start)))
        asked = f"SELECT book, {_ROW} FROM remembered WHERE remembered MATCH ? AND {self._here()} ORDER BY rank, rowid LIMIT ?"
        return self._told(self._db.execute(asked, (" OR ".join(queries), *self._books, limit)))

    def newest(self, limit: int) -> list[Remembered]:
        """What was written down last."""
        asked = f"SELECT book, {_ROW} FROM remembered WHERE {self._here()} ORDER BY date DESC, rowid DESC LIMIT ?"
        return self._told(self._db.execute(asked, (*self._books, limit)))

    def _here(self) -> str:
        return f"book IN ({', '.join('?' * len(self._books))})"

    def _told(self, rows: Iterable[tuple]) -> list[Remembered]:
        return [Remembered(self._books[row[0]], Entry(*map(str, row[1:5]), int(row[5]), int(row[6]))) for row in rows]

    def _make(self, version: int) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found == version:
            return
        if found:
            raise sqlite3.DatabaseError(f"an index of version {found}")
        self._db.execute("BEGIN IMMEDIATE")
        for statement in _MAKE:
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {version}")
        self._db.execute("COMMIT")

    def _update(self, book: Book) -> None:
        """Take the file as it is now, where it is not what was read."""
        name, now = str(book.path), _stamp(book.path)
        if self._db.execute("SELECT size, time, node FROM books WHERE path = ?", (name,)).fetchone() == now:
            return
        found = memory.entries(book) if now is not None else []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM remembered WHERE book = ?", (name,))
            self._db.execute("DELETE FROM books WHERE path = ?", (name,))
            rows = [(" ".join(self._keys(one.text)), name, one.id, one.text, one.date, one.source, one.first, one.last) for one in found]
            self._db.executemany(f"INSERT INTO remembered (terms, book, {_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            if now is not None:
                self._db.execute("INSERT INTO books VALUES (?, ?, ?, ?)", (name, *now))
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _whole(key: str) -> str:
    return '"' + key.replace('"', '""') + '"'


def _query(start: str) -> str:
    return f"{_whole(start)}*"
