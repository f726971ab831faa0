"""Who may talk to the agent by message, and what became of each of their messages: one SQLite file for its owner alone.

A pairing is a sender in a chat of a channel, let in by a code that was shown on this machine. A message is put down as
`waiting` in the same transaction that moves on the place up to which the inbox was looked through, as `running` before
the agent begins with it, and as `done` or `cut` behind that: no message is begun twice, whatever stops us between.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import UsageError
from . import paths
from .database import transaction

if TYPE_CHECKING:
    import sqlite3

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without the letters and digits that look alike."""
CODE_LENGTH = 8
CODE_S = 600.0
TRIES = 5
_KEPT_SESSIONS = 20
_KEPT_TASKS_S = 30 * 86400.0

State = Literal["waiting", "running", "done", "cut", "dropped"]
_SCHEMA = """
create table if not exists pairings (
    id integer primary key autoincrement, channel text not null, sender text not null, chat text not null, name text not null,
    folder text not null, mode text not null, allow text not null, mail integer not null, made real not null,
    sessions text not null, unique (channel, sender, chat)
) strict;
create table if not exists codes (
    channel text primary key, salt blob not null, hash blob not null, folder text not null, mode text not null,
    allow text not null, mail integer not null, until real not null, tries integer not null, refused text not null
) strict;
create table if not exists tasks (
    number integer primary key, pairing integer not null, state text not null, changed real not null
) strict;
create table if not exists place (one integer primary key check (one = 1), number integer not null) strict;
"""


@dataclass(frozen=True, slots=True)
class Grants:
    """What a chat may: its folder (absolute), its mode, rules as the user writes them, and whether it may read received messages."""

    folder: str
    mode: str = "ask"
    allow: tuple[str, ...] = ()
    mail: bool = False


@dataclass(frozen=True, slots=True)
class Pairing:
    """A sender who was let in, in one chat. `sessions` are the ids of its sessions, the last one the current; "" begins a new one."""

    id: int
    channel: str
    sender: str
    chat: str
    name: str
    grants: Grants
    made: float
    sessions: tuple[str, ...] = ()

    @property
    def session(self) -> str:
        return self.sessions[-1] if self.sessions else ""


@dataclass(frozen=True, slots=True)
class Code:
    """A pairing code that is out. `refused` says why the last message with the right code was not let in, "" for none."""

    channel: str
    grants: Grants
    until: float
    tries: int
    refused: str = ""

    @property
    def open(self) -> bool:
        return self.tries < TRIES and time.time() < self.until


def plain(code: str) -> str:
    """A code as it is compared: people write it in small letters, with blanks and dashes."""
    return "".join(char for char in code.upper() if char.isalnum())


class Gate:
    """Every method raises StoreError where the disk refuses. Several processes may use it at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or paths.state_dir() / "gateway.db"

    # ------------------------------------------------------------ pairing

    def offer(self, channel: str, grants: Grants) -> str:
        """A new code for the channel, in place of an earlier one. Only its hash is kept."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        salt = secrets.token_bytes(16)
        values = (channel, salt, _hash(salt, code), *_kept(grants), time.time() + CODE_S, 0, "")
        with self._open() as db:
            db.execute(f"insert or replace into codes values ({','.join('?' * len(values))})", values)
        return code

    def codes(self) -> list[Code]:
        """The codes that are open, or were refused."""
        with self._open() as db:
            rows = db.execute("select * from codes order by channel").fetchall()
        found = [Code(row["channel"], _grants(row), row["until"], row["tries"], row["refused"]) for row in rows]
        return [code for code in found if code.open or code.refused]

    def tried(self, channel: str, code: str, sender: str, chat: str, name: str, vouched: bool) -> Pairing | None:
        """Let a sender in who has the code. Each other one counts, and the last of `TRIES` ends it.

        `vouched` False: the channel does not answer for the sender, who is not let in; that stands in the code's `refused`.
        """
        with self._open() as db:
            row = db.execute("select * from codes where channel = ?", (channel,)).fetchone()
            if row is None or row["tries"] >= TRIES or time.time() >= row["until"]:
                return None
            if not hmac.compare_digest(row["hash"], _hash(row["salt"], plain(code))):
                db.execute("update codes set tries = tries + 1 where channel = ?", (channel,))
                return None
            if not vouched or not sender or not chat:
                told = f"the right code came from {sender or 'nobody'}, but {channel} does not vouch for that sender"
                # Whoever forged the mail may have read the code: it is used up.
                db.execute("update codes set refused = ?, tries = ? where channel = ?", (told, TRIES, channel))
                return None
            db.execute("delete from codes where channel = ?", (channel,))
            db.execute("delete from pairings where channel = ? and sender = ? and chat = ?", (channel, sender, chat))
            columns = "channel, sender, chat, name, folder, mode, allow, mail, made, sessions"
            kept = (channel, sender, chat, name, *_kept(_grants(row)), time.time(), "[]")
            db.execute(f"insert into pairings ({columns}) values ({','.join('?' * len(kept))})", kept)
            return _pairing(db.execute("select * from pairings where id = last_insert_rowid()").fetchone())

    def pairings(self) -> list[Pairing]:
        with self._open() as db:
            return [_pairing(row) for row in db.execute("select * from pairings order by id")]

    def of(self, channel: str, sender: str, chat: str) -> Pairing | None:
        """Who that is, None for a stranger; the same sender in another chat is one."""
        query = "select * from pairings where channel = ? and sender = ? and chat = ?"
        with self._open() as db:
            row = db.execute(query, (channel, sender, chat)).fetchone()
        return _pairing(row) if row is not None else None

    def get(self, id: int) -> Pairing | None:
        with self._open() as db:
            row = db.execute("select * from pairings where id = ?", (id,)).fetchone()
        return _pairing(row) if row is not None else None

    def remove(self, id: int) -> Pairing:
        """Shut a sender out; what waits of theirs is dropped. Raises UsageError where there is no such pairing."""
        with self._open() as db:
            row = db.execute("select * from pairings where id = ?", (id,)).fetchone()
            if row is None:
                raise UsageError(f"There is no pairing {id}.", "`localagent gateway list` shows them.")
            db.execute("delete from pairings where id = ?", (id,))
            db.execute("update tasks set state = 'dropped' where pairing = ? and state = 'waiting'", (id,))
        return _pairing(row)

    def forget(self, channel: str) -> int:
        """The channel is gone, and whoever bears its name later is another: its code and its pairings end; how many those were."""
        with self._open() as db:
            db.execute("delete from codes where channel = ?", (channel,))
            chosen = "pairing in (select id from pairings where channel = ?)"
            db.execute(f"update tasks set state = 'dropped' where state = 'waiting' and {chosen}", (channel,))
            return db.execute("delete from pairings where channel = ?", (channel,)).rowcount

    def session(self, id: int, session: str) -> None:
        """The chat's current session from now on, "" for one that is still to be made."""
        with self._open() as db:
            row = db.execute("select sessions from pairings where id = ?", (id,)).fetchone()
            if row is None:
                return
            known = [one for one in json.loads(row["sessions"]) if one and one != session]
            db.execute("update pairings set sessions = ? where id = ?", (json.dumps([*known, session][-_KEPT_SESSIONS:]), id))

    # ------------------------------------------------------------ messages

    def place(self, newest: int) -> int:
        """The inbox number up to which everything was looked at; `newest` at the first time, so that nothing old begins anything."""
        with self._open() as db:
            db.execute("insert or ignore into place values (1, ?)", (newest,))
            return int(db.execute("select number from place").fetchone()["number"])

    def pass_by(self, number: int, pairing: int | None = None) -> bool:
        """The inbox was looked through up to this message, which waits for the agent if it is a `pairing`'s.

        False where another look was there first.
        """
        with self._open() as db:
            moved = db.execute("update place set number = ? where number < ?", (number, number)).rowcount
            if moved and pairing is not None:
                db.execute("insert or ignore into tasks values (?, ?, 'waiting', ?)", (number, pairing, time.time()))
            return bool(moved)

    def begin(self, number: int) -> bool:
        """`running`, on the disk before this returns; False where it does not wait any more."""
        return self._step(number, "running", ("waiting",))

    def end(self, number: int, state: State) -> bool:
        return self._step(number, state, ("waiting", "running"))

    def tasks(self, state: State, pairing: int | None = None) -> list[tuple[int, int]]:
        """(inbox number, pairing) in the order in which they came."""
        with self._open() as db:
            rows = db.execute("select number, pairing from tasks where state = ? order by number", (state,)).fetchall()
        return [(row["number"], row["pairing"]) for row in rows if pairing in (None, row["pairing"])]

    def tidy(self) -> None:
        """Forget what was over a month ago."""
        with self._open() as db:
            over = ("done", "cut", "dropped", time.time() - _KEPT_TASKS_S)
            db.execute("delete from tasks where state in (?, ?, ?) and changed < ?", over)

    def _step(self, number: int, state: State, begins: Sequence[State]) -> bool:
        marks = ",".join("?" * len(begins))
        with self._open() as db:
            sql = f"update tasks set state = ?, changed = ? where number = ? and state in ({marks})"
            return bool(db.execute(sql, (state, time.time(), number, *begins)).rowcount)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction that writes, committed and synced at its end."""
        return transaction(self.path, _SCHEMA, "The list of pairings")


def _hash(salt: bytes, code: str) -> bytes:
    return hashlib.scrypt(code.encode("utf-8", "replace"), salt=salt, n=1 << 12, r=8, p=1)


def _kept(grants: Grants) -> tuple[str, str, str, int]:
    return grants.folder, grants.mode, json.dumps(grants.allow), int(grants.mail)


def _grants(row: sqlite3.Row) -> Grants:
    return Grants(row["folder"], row["mode"], tuple(json.loads(row["allow"])), bool(row["mail"]))


def _pairing(row: sqlite3.Row) -> Pairing:
    who = (row["id"], row["channel"], row["sender"], row["chat"], row["name"])
    return Pairing(*who, _grants(row), row["made"], tuple(json.loads(row["sessions"])))
