"""What came in: one SQLite file in the state folder, for its owner alone, searched by words.

A message and the cursor behind it are stored together, so that none is missed and none comes twice, whatever
stops us between. Several processes may use it at once. Everything in it is untrusted text of others.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..values import Attachment, Incoming
from . import attachments, paths
from .database import Database

if TYPE_CHECKING:
    import sqlite3

MOST_MB, MOST_DAYS = 1024, 365
_VERSION = 1
_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE messages (
  number INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, id TEXT NOT NULL, sender TEXT NOT NULL, chat TEXT NOT NULL,
  text TEXT NOT NULL, at REAL NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL, reply_to TEXT NOT NULL, thread TEXT NOT NULL,
  authentic INTEGER, stored REAL NOT NULL, files TEXT NOT NULL, UNIQUE (channel, id));
CREATE INDEX by_time ON messages (at);
CREATE TABLE attachments (
  message INTEGER NOT NULL REFERENCES messages (number) ON DELETE CASCADE, position INTEGER NOT NULL, path TEXT NOT NULL,
  name TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (message, position));
CREATE TABLE channels (
  channel TEXT PRIMARY KEY, cursor TEXT NOT NULL DEFAULT '', reached REAL NOT NULL DEFAULT 0,
  failed REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '');
CREATE VIRTUAL TABLE words USING fts5 (
  subject, text, sender, name, files, content='messages', content_rowid='number', tokenize='unicode61 remove_diacritics 2');
CREATE TRIGGER told AFTER INSERT ON messages BEGIN
  INSERT INTO words (rowid, subject, text, sender, name, files)
  VALUES (new.number, new.subject, new.text, new.sender, new.name, new.files); END;
CREATE TRIGGER forgotten AFTER DELETE ON messages BEGIN
  INSERT INTO words (words, rowid, subject, text, sender, name, files)
  VALUES ('delete', old.number, old.subject, old.text, old.sender, old.name, old.files); END;
"""
_FIELDS = "number, channel, id, sender, chat, text, at, subject, name, reply_to, thread, authentic, stored"
_WORD = re.compile(r"[^\W_]+(?:[.@'_-][^\W_]+)*")
# Written without spaces between words, which the index cannot take apart.
_UNSPACED = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class Stored:
    """A message with its number here, which never becomes another's, and when it was stored (seconds since the epoch)."""

    number: int
    message: Incoming
    stored: float


@dataclass(frozen=True, slots=True)
class State:
    """How fresh a channel's messages are: when its service was last reached and when that last failed, 0 for never."""

    cursor: str = ""
    reached: float = 0.0
    failed: float = 0.0
    reason: str = ""


class Inbox:
    """Open it once a process; usable from several threads. Every method raises StoreError where the disk fails."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or paths.state_dir() / "inbox.db"
        hint = "Move it away; messages are fetched again where they still are."
        self._db = Database(self.path, _SCHEMA, _VERSION, sync="NORMAL", damaged=hint)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Inbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cursor(self, channel: str) -> str:
        """Behind which the next message is, "" before the first time."""
        return self.state(channel).cursor

    def state(self, channel: str) -> State:
        with self._db.reading() as db:
            row = db.execute("SELECT cursor, reached, failed, reason FROM channels WHERE channel = ?", (channel,)).fetchone()
        return State(*row) if row else State()

    def take(self, channel: str, messages: Sequence[Incoming], cursor: str, now: float | None = None) -> tuple[Stored, ...]:
        """Store messages and the cursor behind them ("" leaves it as it is), all or nothing; those that are new come back."""
        at, made = time.time() if now is None else now, []
        with self._db.writing() as db:
            for message in messages:
                if (number := _insert(db, channel, message, at)) is not None:
                    made.append(Stored(number, message, at))
            _touch(db, channel)
            db.execute("UPDATE channels SET reached = max(reached, ?) WHERE channel = ?", (at, channel))
            if cursor:
                db.execute("UPDATE channels SET cursor = ? WHERE channel = ?", (cursor, channel))
        return tuple(made)

    def failed(self, channel: str, reason: str, now: float | None = None) -> None:
        """The service could not be reached, or refused."""
        with self._db.writing() as db:
            _touch(db, channel)
            values = (time.time() if now is None else now, reason[:500], channel)
            db.execute("UPDATE channels SET failed = ?, reason = ? WHERE channel = ?", values)

    def get(self, number: int) -> Stored | None:
        with self._db.reading() as db:
            row = db.execute(f"SELECT {_FIELDS} FROM messages WHERE number = ?", (number,)).fetchone()
            return _stored(db, row) if row else None

    def by_id(self, channel: str, id: str) -> Stored | None:
        with self._db.reading() as db:
            row = db.execute(f"SELECT {_FIELDS} FROM messages WHERE channel = ? AND id = ?", (channel, id)).fetchone()
            return _stored(db, row) if row else None

    def genuine_before(self, stored: Stored, beginning: str) -> bool:
        """Whether a message of the same sender, whose id begins so and for whom the channel vouches, was stored earlier."""
        sql = (
            "SELECT 1 FROM messages WHERE channel = ? AND id >= ? AND id < ? AND sender = ? AND authentic = 1 AND number < ?"
        )
        message = stored.message
        beyond = beginning[:-1] + chr(ord(beginning[-1]) + 1)
        with self._db.reading() as db:
            return db.execute(sql, (message.channel, beginning, beyond, message.sender, stored.number)).fetchone() is not None

    def after(self, number: int, limit: int = 200) -> list[Stored]:
        """What was stored behind that number, in this order."""
        sql = f"SELECT {_FIELDS} FROM messages WHERE number > ? ORDER BY number LIMIT ?"
        with self._db.reading() as db:
            return [_stored(db, row) for row in db.execute(sql, (number, limit)).fetchall()]

    def last(self) -> int:
        """The number of the message that was stored last, 0 for none."""
        with self._db.reading() as db:
            return db.execute("SELECT coalesce(max(number), 0) FROM messages").fetchone()[0]

    def newest(self) -> int:
        """The highest number there ever was, 0 before the first message."""
        with self._db.reading() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
        return int(row[0]) if row else 0

    def search(
        self,
        words: str = "",
        *,
        sender: str = "",
        channel: str = "",
        since: float = 0.0,
        before: float = 0.0,
        limit: int = 20,
    ) -> list[Stored]:
        """The newest first. Every word must stand somewhere (subject, text, sender, file names), or begin a word there;
        `sender` is a part of the address or name."""
        where, values = _conditions(words, sender, channel, since, before)
        sql = f"SELECT {_FIELDS} FROM messages WHERE {' AND '.join(where) or '1'} ORDER BY at DESC, number DESC LIMIT ?"
        with self._db.reading() as db:
            return [_stored(db, row) for row in db.execute(sql, (*values, max(1, limit))).fetchall()]

    def count(self, channel: str = "") -> int:
        with self._db.reading() as db:
            return db.execute("SELECT count(*) FROM messages WHERE ? IN ('', channel)", (channel,)).fetchone()[0]

    def forget(self, channel: str) -> int:
        """Remove a channel's messages, its cursor and its files; how many messages there were."""
        with self._db.writing() as db:
            gone = db.execute("DELETE FROM messages WHERE channel = ?", (channel,)).rowcount
            db.execute("DELETE FROM channels WHERE channel = ?", (channel,))
        self._sweep()
        return gone

    def prune(self, days: float = MOST_DAYS, megabytes: float = MOST_MB, now: float | None = None) -> int:
        """Remove what is older than `days`, and then the oldest until texts and files take no more than `megabytes`."""
        at = time.time() if now is None else now
        sizes = (
            "SELECT number, length(text) + 500 + coalesce((SELECT sum(size) FROM attachments WHERE message = number), 0) AS size, at"
            " FROM messages"
        )
        with self._db.writing() as db:
            gone = db.execute("DELETE FROM messages WHERE at < ? AND stored < ?", (at - days * 86400,) * 2).rowcount
            gone += db.execute(
                "DELETE FROM messages WHERE number IN (SELECT number FROM (SELECT number, sum(size) OVER "
                f"(ORDER BY at DESC, number DESC) AS together FROM ({sizes})) WHERE together > ?)",
                (megabytes * 1e6,),
            ).rowcount
        self._sweep(at)
        return gone

    def _sweep(self, now: float | None = None) -> None:
        with self._db.writing() as db:
            # Within the transaction, so that nobody names a file meanwhile.
            named = {row[0] for row in db.execute("SELECT DISTINCT sha256 FROM attachments")}
            try:
                attachments.sweep(named, now)
            except OSError as error:
                raise StoreError(f"{attachments.folder()} cannot be cleared: {error.strerror}.") from None


def _touch(db: sqlite3.Connection, channel: str) -> None:
    db.execute("INSERT OR IGNORE INTO channels (channel) VALUES (?)", (channel,))


def _insert(db: sqlite3.Connection, channel: str, message: Incoming, at: float) -> int | None:
    authentic = None if message.authentic is None else int(message.authentic)
    values = (message.id, message.sender, message.chat, message.text, message.at, message.subject, message.name)
    files = "\n".join(one.name for one in message.attachments)
    done = db.execute(
        "INSERT OR IGNORE INTO messages (channel, id, sender, chat, text, at, subject, name, reply_to, thread, authentic, stored, files)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (channel, *map(_clean, values), _clean(message.reply_to), _clean(message.thread), authentic, at, _clean(files)),
    )
    if done.rowcount != 1:
        return None
    number = done.lastrowid
    for position, one in enumerate(message.attachments):
        row = (number, position, one.path, _clean(one.name), _clean(one.media_type), one.size, one.sha256)
        db.execute("INSERT INTO attachments VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return number


def _clean(value: object) -> object:
    """Half a character cannot be stored, and a NUL ends a text for SQLite."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    return value


def _stored(db: sqlite3.Connection, row: tuple) -> Stored:
    number, channel, id, sender, chat, text, at, subject, name, reply_to, thread, authentic, stored = row
    sql = "SELECT path, name, media_type, size, sha256 FROM attachments WHERE message = ? ORDER BY position"
    files = tuple(Attachment(*one) for one in db.execute(sql, (number,)))
    verdict = None if authentic is None else bool(authentic)
    message = Incoming(id, channel, sender, chat, text, at, subject, name, files, reply_to, thread, verdict)
    return Stored(number, message, stored)


def _conditions(words: str, sender: str, channel: str, since: float, before: float) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []
    indexed = []
    for word in _WORD.findall(words)[:50]:
        if _UNSPACED.search(word):
            where.append("(subject || char(10) || text || char(10) || files) LIKE ? ESCAPE '\\'")
            values.append(_like(word))
        else:
            indexed.append(f'"{word}"*')
    if indexed:
        where.append("number IN (SELECT rowid FROM words WHERE words MATCH ?)")
        values.append(" AND ".join(indexed))
    if sender:
        where.append("(sender LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\')")
        values += [_like(sender), _like(sender)]
    for condition, value in (("channel = ?", channel), ("at >= ?", since), ("at < ?", before)):
        if value:
            where.append(condition)
            values.append(value)
    return where, values


def _like(text: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
