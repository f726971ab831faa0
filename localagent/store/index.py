"""An index of the stored sessions, so that thousands of them are listed and searched at once.

It is a cache in one SQLite file: the transcripts are the truth. A file that is missing, damaged or of another version is
made again; where none can be written, one in the memory serves this once. Each look compares sizes and times and reads
what is new. Several processes may do so: one at a time writes, and the others go on with what is there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from ..errors import StoreError
from . import finding, meta
from .gist import Gist
from .lock import Busy, locked
from .paths import state_dir
from .transcript import sessions_dir

VERSION = 1
_WAIT_S = 3.0
_POLL_S = 0.05
_BATCH = 50
# A session's texts have the row numbers from its own number, times this, on.
_TEXTS = 1 << 22
_TAIL = 64
_GIST = tuple(f.name for f in fields(Gist))
_COLUMNS = f"number INTEGER PRIMARY KEY, id TEXT UNIQUE, size, time, touched, read, tail, texts, title, {', '.join(_GIST)}"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A session as lists show it. `title` is the person's own, "" where they gave none; `size` in bytes of its transcript.

    The rest is as in `Gist`.
    """

    id: str
    folder: str
    goal: str
    status: str
    title: str
    model: str
    requests: int
    messages: int
    size: int
    started: float
    last: float

    @property
    def name(self) -> str:
        return self.title or self.goal


@dataclass(frozen=True, slots=True)
class Hit:
    """A session in which all was found, and a line around the first of it."""

    row: Row
    snippet: str


def path() -> Path:
    return state_dir() / "sessions.db"


def with_index(work: Callable[[Index], T]) -> T:
    """What `work` makes of an index that is up to date. Raises StoreError where this Python's SQLite cannot search."""
    for attempt in range(2):
        try:
            with _opened(str(path())) as index:
                return index.read(work)
        except sqlite3.DatabaseError as error:
            # A bare DatabaseError is raised for a file that is no database, too.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if attempt or code not in _DAMAGED or not _forgotten():
                break
        except StoreError:
            # The folder takes no file.
            break
    try:
        with _opened(":memory:") as index:
            return index.read(work)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"The sessions cannot be listed: {error}.", "This Python's SQLite needs FTS5.") from error


def _damage(told: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def _forgotten() -> bool:
    """Take a damaged file away; the next one is made from the transcripts. Nobody writes it meanwhile."""
    try:
        with _writing():
            for name in (f"{path()}-journal", str(path())):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
    except (StoreError, OSError):
        return False
    return True


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Hold the right to write the index. Raises Busy where another has it for long."""
    tries = iter(range(int(_WAIT_S / _POLL_S)))

    def waiting() -> None:
        if next(tries, None) is None:
            raise Busy("The index of the sessions is being written.")

    with locked(state_dir() / "sessions.db.lock", waiting, _POLL_S):
        yield


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Index]:
    if name != ":memory:":
        with contextlib.suppress(OSError):
            # SQLite would let others read it.
            os.close(os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(name, isolation_level=None, timeout=_WAIT_S)
    try:
        yield Index(database, alone=name == ":memory:")
    finally:
        database.close()


class Index:
    """The open index; made by `with_index`."""

    def __init__(self, database: sqlite3.Connection, alone: bool) -> None:
        self._db = database
        self._alone = alone

    # ------------------------------------------------------------ reading

    def read(self, work: Callable[[Index], T]) -> T:
        """What `work` makes of it, up to date and of one moment: another process may write meanwhile."""
        self.update()
        self._db.execute("BEGIN")
        try:
            return work(self)
        finally:
            self._db.execute("ROLLBACK")

    def rows(self, limit: int | None = None, folder: str | None = None) -> list[Row]:
        """The newest sessions in which anything was asked."""
        where = "requests > 0" + (" AND folder = ?" if folder is not None else "")
        given = (*([folder] if folder is not None else []), -1 if limit is None else limit)
        asked = f"SELECT {_listed()} FROM sessions WHERE {where} ORDER BY id DESC LIMIT ?"
        return [Row(*one) for one in self._db.execute(asked, given)]

    def search(self, words: str, limit: int | None = None, folder: str | None = None) -> list[Hit]:
        """The newest sessions that hold all the words, each at the beginning of a word or, where that is nowhere, within one."""
        wanted = finding.terms(words)
        found = [self._texts(term) for term in wanted]
        if not found:
            return []
        numbers = set.intersection(*({text // _TEXTS for text in texts} for texts in found))
        # Of each session the text with the most of the words, the earliest of these.
        best: dict[int, tuple[int, int]] = {}
        for text in sorted(set().union(*found)):
            number = text // _TEXTS
            if number in numbers:
                held = sum(text in texts for texts in found)
                if held > best.get(number, (0, 0))[0]:
                    best[number] = (held, text)
        hits, ids = [], dict(self._db.execute("SELECT id, number FROM sessions"))
        for row in self.rows(None, folder):
            number = ids[row.id]
            if number in best and (limit is None or len(hits) < limit):
                text = self._db.execute("SELECT text FROM texts WHERE rowid = ?", (best[number][1],)).fetchone()
                if text is None or not isinstance(text[0], str):
                    raise _damage("a text is missing")
                hits.append(Hit(row, finding.snippet(finding.plain(text[0]), wanted)))
        return hits

    def _texts(self, term: str) -> set[int]:
        found = self._db.execute("SELECT rowid FROM texts WHERE texts MATCH ?", (finding.query(term),)).fetchall()
        if not found:
            asked = "SELECT rowid FROM texts WHERE text LIKE ? ESCAPE '\\'"
            found = self._db.execute(asked, (finding.like(term),)).fetchall()
        return {one for (one,) in found}

    def _number(self, session: str) -> int:
        return self._db.execute("SELECT number FROM sessions WHERE id = ?", (session,)).fetchone()[0]

    # ------------------------------------------------------------ keeping up

    def update(self) -> None:
        """Read what is new or has changed; nothing where that is being done elsewhere, or cannot be written."""
        if self._version() == VERSION and not any(self._differences()):
            return
        try:
            with contextlib.nullcontext() if self._alone else _writing():
                self._make()
                changed, gone = self._differences()
                for at in range(0, len(gone), _BATCH):
                    self._together(lambda batch: [self._forget(one) for one in batch], gone[at : at + _BATCH])
                for at in range(0, len(changed), _BATCH):
                    self._together(lambda batch: [self._read(*one) for one in batch], changed[at : at + _BATCH])
        except Busy:
            self._usable()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY:
                raise
            self._usable()

    def _usable(self) -> None:
        if self._version() != VERSION:
            raise sqlite3.OperationalError("the index is being made")

    def _version(self) -> int:
        return self._db.execute("PRAGMA user_version").fetchone()[0]

    def _make(self) -> None:
        if (found := self._version()) == VERSION:
            return
        if found:
            raise _damage(f"an index of version {found}")
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(f"CREATE TABLE sessions ({_COLUMNS})")
        self._db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._db.execute("COMMIT")

    def _differences(self) -> tuple[list[tuple[str, int, int, int]], list[str]]:
        """The sessions to read, each with the size and times of now; and those that are gone."""
        if self._version() != VERSION:
            return [], []
        known = {one[0]: one for one in self._db.execute("SELECT id, size, time, touched FROM sessions")}
        there = dict(_there())
        return [now for name, now in there.items() if known.get(name) != now], [n for n in known if n not in there]

    def _together(self, work: Callable[[list], object], batch: list) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            work(batch)
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _forget(self, session: str) -> None:
        number = self._number(session)
        self._db.execute("DELETE FROM texts WHERE rowid BETWEEN ? AND ?", (number * _TEXTS, (number + 1) * _TEXTS - 1))
        self._db.execute("DELETE FROM sessions WHERE number = ?", (number,))

    def _read(self, session: str, size: int, time: int, touched: int) -> None:
        """Take in a session: what was added since it was read last, or all of it."""
        kept = self._db.execute(f"SELECT number, read, tail, texts, {', '.join(_GIST)} FROM sessions WHERE id = ?", (session,))
        before, file = kept.fetchone(), sessions_dir() / session / "transcript.jsonl"
        number, read, tail, texts, gist = (*before[:4], Gist(*before[4:])) if before else (None, 0, b"", 1, Gist())
        found, end = [], read
        try:
            with open(file, "rb") as lines:
                lines.seek(max(0, read - _TAIL))
                if before and (size <= read or lines.read(min(_TAIL, read)) != tail):
                    self._forget(session)
                    number, end, tail, texts, gist = None, 0, b"", 1, Gist()
                lines.seek(end)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    end += len(line)
                    tail = (tail + line)[-_TAIL:]
                    found += gist.take(line)
        except OSError:
            # It is looked at again when it has changed.
            pass
        title = meta.load(session).title
        values = [session, size, time, touched, end, tail, texts + len(found), title, *(getattr(gist, f) for f in _GIST)]
        names = f"id, size, time, touched, read, tail, texts, title, {', '.join(_GIST)}"
        marks = ", ".join("?" * (len(values) + 1))
        self._db.execute(f"INSERT OR REPLACE INTO sessions (number, {names}) VALUES ({marks})", (number, *values))
        first = self._number(session) * _TEXTS
        self._db.execute("DELETE FROM texts WHERE rowid = ?", (first,))
        entries = [(first, title), *((first + texts + n, text) for n, text in enumerate(found))]
        stored = [(at, finding.stored(text)) for at, text in entries if text][: _TEXTS - texts]
        self._db.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", stored)


def _listed() -> str:
    return ", ".join(f.name for f in fields(Row))


def _there() -> Iterator[tuple[str, tuple[str, int, int, int]]]:
    """The sessions on the disk: id, size and time of the transcript, and the time of the folder, which a new title changes."""
    folder = sessions_dir()
    try:
        entries = os.scandir(folder)
    except OSError:
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                lines = os.stat(f"{entry.path}/transcript.jsonl")
                touched = entry.stat(follow_symlinks=False).st_mtime_ns
            except OSError:
                continue
            yield entry.name, (entry.name, lines.st_size, lines.st_mtime_ns, touched)
