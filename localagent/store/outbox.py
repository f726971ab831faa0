"""The outbox: every message from the moment it is written until it is known what became of it.

    draft -> held -> sending -> sent | handed over | failed | unconfirmed
      \\        \\-> cancelled            (failed for now: held again, with a later `due`)
       \\-> refused

One SQLite file, each transition a transaction that is on the disk before anything follows from it. `sending` is written
before the network is touched, so a message that a dead process was sending is known for one that may have gone out.
`key` says which call of which session wrote it: the same call cannot write it twice. Attachments are kept as copies:
what goes out is what was seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from ..errors import StoreError
from ..values import Attachment, Outgoing, Sent
from . import paths
from .database import transaction

if TYPE_CHECKING:
    import sqlite3

State = Literal["draft", "refused", "held", "sending", "sent", "handed over", "failed", "unconfirmed", "cancelled"]
OPEN: tuple[State, ...] = ("draft", "held", "sending")
_LEAVES: dict[str, tuple[State, ...]] = {
    "held": ("draft", "failed", "unconfirmed", "cancelled", "refused", "held"),
    "refused": ("draft",),
    "cancelled": ("draft", "held", "failed", "unconfirmed"),
    "sending": ("held",),
}
_MOST_BYTES = 25 * 1024 * 1024
_PIECE = 1 << 20
_SCHEMA = """
create table if not exists messages (
    id text primary key, key text unique not null, session text not null, state text not null, message text not null,
    print text not null, channel text not null, made real not null, changed real not null, due real not null,
    owner text not null, attempts integer not null, proof text not null, detail text not null
) strict;
create index if not exists by_state on messages (state, due);
create index if not exists by_print on messages (print, changed);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and where it stands. Times are seconds since the epoch; `due` is when it may go out.

    `owner` is the process that waits for it, "" where any sender may take it once it is due.
    """

    message: Outgoing
    state: State
    session: str
    made: float
    changed: float
    due: float
    owner: str = ""
    attempts: int = 0
    proof: str = ""
    detail: str = ""

    @property
    def id(self) -> str:
        return self.message.id


class Outbox:
    """Raises StoreError where the disk refuses, or where a message is not in the state that a step begins from."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or paths.state_dir() / "outbox"
        self._files = self.folder / "files"

    # ------------------------------------------------------------ writing

    def draft(self, message: Outgoing, key: str, session: str = "") -> Entry:
        """Take a message in. The same `key` again gives the entry that is there, whatever became of it."""
        with self._open() as db:
            row = db.execute("select * from messages where key = ?", (key,)).fetchone()
            if row is not None:
                return _entry(row)
            made = replace(message, id=message.id or uuid.uuid4().hex, attachments=self._kept(message.attachments))
            now = time.time()
            self._insert(db, Entry(made, "draft", session, now, now, now), key)
        return self.get(made.id)

    def hold(self, id: str, seconds: float, owner: str = "", detail: str = "", seen: Entry | None = None) -> Entry:
        """It may go out in `seconds` (agreed to by a person or a rule).

        `seen` is what was agreed to: StoreError where it has other words, or stands elsewhere, by now.
        """
        return self._move(id, "held", due=time.time() + seconds, owner=owner, detail=detail, seen=seen)

    def refuse(self, id: str, why: str) -> Entry:
        return self._move(id, "refused", detail=why)

    def cancel(self, id: str) -> Entry:
        """StoreError where it is on its way already."""
        return self._move(id, "cancelled")

    def reword(self, id: str, *, text: str, subject: str) -> Entry:
        """Other words, by the person's own hand, before it goes out. It is a draft again: nobody agreed to these."""
        with self._open() as db:
            entry = self._of(db, id)
            if entry.state not in ("draft", "held"):
                raise StoreError(f"The message {id[:8]} is {entry.state} and cannot be changed any more.")
            message = replace(entry.message, text=text, subject=subject)
            db.execute(
                "update messages set state = 'draft', message = ?, print = ?, changed = ? where id = ?",
                (_json(message), fingerprint(message), time.time(), id),
            )
        return self.get(id)

    # ------------------------------------------------------------ the sender's side

    def begin(self, id: str, seen: Entry | None = None) -> Entry | None:
        """`sending`, on the disk before this returns; None where it is not held any more (cancelled, or taken).

        None as well where it is not as it was `seen`: held anew, it has a time of its own.
        """
        with self._open() as db:
            done = db.execute(
                "update messages set state = 'sending', attempts = attempts + 1, changed = ? "
                "where id = ? and state = 'held' and changed = coalesce(?, changed)",
                (time.time(), id, seen.changed if seen is not None else None),
            )
            return self._of(db, id) if done.rowcount else None

    def record(self, id: str, sent: Sent, again_at: float | None = None) -> Entry:
        """What became of it; with `again_at` it is held until then."""
        state: State = "held" if again_at is not None else sent.state
        with self._open() as db:
            done = db.execute(
                "update messages set state = ?, proof = ?, detail = ?, changed = ?, due = coalesce(?, due) "
                "where id = ? and state = 'sending'",
                (state, sent.proof, sent.detail, time.time(), again_at, id),
            )
            if not done.rowcount:
                raise StoreError(f"The message {id[:8]} was not being sent.")
        return self.get(id)

    def postpone(self, id: str, due: float, detail: str) -> Entry:
        """Later (quiet hours, too many of late); any sender may take it then."""
        return self._move(id, "held", due=due, owner="", detail=detail)

    # ------------------------------------------------------------ reading

    def get(self, id: str) -> Entry:
        """By its id, or a beginning of it that only one has. StoreError where there is none."""
        with self._open() as db:
            return self._of(db, id)

    def knows(self, *, key: str = "", id: str = "") -> bool:
        """Whether there is a message of that key, or of that whole id."""
        with self._open() as db:
            return db.execute("select 1 from messages where key = ? or id = ?", (key or None, id or None)).fetchone() is not None

    def entries(self, states: Sequence[State] = (), limit: int = 200) -> list[Entry]:
        """The newest first."""
        marks = ",".join("?" * len(states))
        where = f"where state in ({marks})" if states else ""
        with self._open() as db:
            rows = db.execute(f"select * from messages {where} order by made desc limit ?", (*states, limit)).fetchall()
        return [_entry(row) for row in rows]

    def since(self, channel: str, at: float) -> list[float]:
        """When the channel's messages went out after `at`, oldest first."""
        query = (
            "select changed from messages where channel = ? and changed > ? and "
            "state in ('sent', 'handed over', 'unconfirmed', 'sending') order by changed"
        )
        with self._open() as db:
            return [row["changed"] for row in db.execute(query, (channel, at))]

    def same(self, message: Outgoing, since: float) -> Entry | None:
        """The newest message with the same words to the same address that went out, or may have, after `since`."""
        query = (
            "select * from messages where print = ? and changed > ? and id != ? and "
            "state in ('held', 'sending', 'sent', 'handed over', 'unconfirmed') order by changed desc limit 1"
        )
        with self._open() as db:
            row = db.execute(query, (fingerprint(message), since, message.id)).fetchone()
        return _entry(row) if row is not None else None

    def prune(self, before: float) -> int:
        """Forget what is over and older, with the copies that nothing needs any more. How many messages that were."""
        marks = ",".join("?" * len(OPEN))
        with self._open() as db:
            gone = db.execute(
                f"delete from messages where changed < ? and state not in ({marks}, 'unconfirmed')", (before, *OPEN)
            ).rowcount
            used = {a["sha256"] for (text,) in db.execute("select message from messages") for a in json.loads(text)["attachments"]}
            # Within the transaction: a draft that comes meanwhile may count on a copy that is there.
            for file in self._files.iterdir() if self._files.is_dir() else ():
                if file.name not in used and file.stat().st_mtime < before:
                    file.unlink(missing_ok=True)
        return gone

    # ------------------------------------------------------------ within

    def _move(
        self, id: str, state: State, *, due: float | None = None, owner: str | None = None, detail: str = "", seen: Entry | None = None
    ) -> Entry:
        begins = _LEAVES[state]
        with self._open() as db:
            entry = self._of(db, id)
            if seen is not None and (entry.message, entry.state) != (seen.message, seen.state):
                now = f"is {entry.state} now" if entry.state != seen.state else "has other words now"
                raise StoreError(f"The message {entry.id[:8]} {now}, which is not what was agreed to.", "Look at it again.")
            if entry.state not in begins:
                raise StoreError(f"The message {entry.id[:8]} is {entry.state}, so it cannot be {state}.")
            db.execute(
                "update messages set state = ?, detail = ?, changed = ?, due = coalesce(?, due), owner = coalesce(?, owner) "
                "where id = ?",
                (state, detail, time.time(), due, owner, entry.id),
            )
        return self.get(entry.id)

    def _of(self, db: sqlite3.Connection, id: str) -> Entry:
        rows = db.execute("select * from messages where id = ?", (id,)).fetchall()
        if not rows and id.isalnum():
            rows = db.execute("select * from messages where id glob ? limit 2", (id + "*",)).fetchall()
        if len(rows) != 1:
            told = "There is no message" if not rows else "There are several messages"
            raise StoreError(f"{told} {id!r} in the outbox.", "`localagent outbox list` shows them.")
        return _entry(rows[0])

    def _insert(self, db: sqlite3.Connection, entry: Entry, key: str) -> None:
        values = (
            *(entry.id, key, entry.session, entry.state, _json(entry.message), fingerprint(entry.message)),
            *(entry.message.channel, entry.made, entry.changed, entry.due, entry.owner, 0, "", ""),
        )
        db.execute(f"insert into messages values ({','.join('?' * len(values))})", values)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction that writes, committed and synced at its end."""
        return transaction(self.folder / "outbox.sqlite", _SCHEMA, "The outbox")

    def _kept(self, attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
        return tuple(replace(one, path=str(self._keep(one))) for one in attachments)

    def _keep(self, attachment: Attachment) -> Path:
        """A copy of exactly the bytes that the attachment names, under their hash."""
        kept = self._files / attachment.sha256
        if kept.exists() and str(kept) != attachment.path:
            return kept
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._files / f".{uuid.uuid4().hex}"
        with _source(attachment) as source, open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            digest, size = hashlib.sha256(), 0
            while piece := source.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                if size > _MOST_BYTES:
                    break
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        if size > _MOST_BYTES or digest.hexdigest() != attachment.sha256:
            new.unlink()
            told = "is larger than 25 MB" if size > _MOST_BYTES else "has changed since it was looked at"
            raise StoreError(f"{attachment.name} {told}, so the message was not taken in.")
        os.replace(new, kept)
        return kept


def _source(attachment: Attachment) -> IO[bytes]:
    """The file, opened without waiting: a pipe that came in its place would keep the outbox busy for good."""
    source = os.fdopen(os.open(attachment.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)), "rb")
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        source.close()
        raise StoreError(f"{attachment.name} is no plain file, so the message was not taken in.")
    return source


def fingerprint(message: Outgoing) -> str:
    """The same for the same words with the same files to the same address on the same channel."""
    what = [message.channel, message.address.casefold(), message.subject, message.text, [a.sha256 for a in message.attachments]]
    return hashlib.sha256(json.dumps(what).encode("utf-8", "surrogatepass")).hexdigest()


def _json(message: Outgoing) -> str:
    return json.dumps(asdict(message), ensure_ascii=True)


def _entry(row: sqlite3.Row) -> Entry:
    told = json.loads(row["message"])
    attachments = tuple(Attachment(**one) for one in told.pop("attachments"))
    names = ("session", "made", "changed", "due", "owner", "attempts", "proof", "detail")
    return Entry(Outgoing(**told, attachments=attachments), row["state"], **{name: row[name] for name in names})
