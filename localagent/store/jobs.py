"""The jobs and the record of their runs: one SQLite file in the state folder, for its owner alone.

A run is written down as begun, together with what its trigger looks for next, before it starts: a crash can cut it off, but
never lets the same occasion start it twice. `begin` also refuses a second run beside one of the same job, in whatever process.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import StoreError, UsageError
from . import paths
from .database import Database

if TYPE_CHECKING:
    import sqlite3

Kind = Literal["at", "every", "cron", "change", "output", "mail", "exit"]
TIMED: tuple[Kind, ...] = ("at", "every", "cron")
State = Literal["on", "paused", "done"]
RunState = Literal["begun", "done", "failed", "denied", "stopped", "cut off", "skipped", "missed"]
_VERSION = 1
_KEPT_RUNS = 500
_SCHEMA = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, spec TEXT NOT NULL, state TEXT NOT NULL, due REAL NOT NULL, cursor TEXT NOT NULL, problem TEXT NOT NULL,
  retry_at REAL NOT NULL, retry_of INTEGER NOT NULL) STRICT;
CREATE TABLE runs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, why TEXT NOT NULL, delta TEXT NOT NULL, begun REAL NOT NULL,
  ended REAL NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, owner TEXT NOT NULL, session TEXT NOT NULL, said TEXT NOT NULL,
  facts TEXT NOT NULL) STRICT;
CREATE INDEX of_job ON runs (job, number);
CREATE INDEX open_runs ON runs (state) WHERE state = 'begun';
"""
_RUN = "number, job, why, delta, begun, ended, state, attempt, owner, session, said, facts"


@dataclass(frozen=True, slots=True)
class Trigger:
    """What sets a job off. `text` is the schedule, path or command; `seconds` the interval of `every`, else how often to look.

    `zone` names the clock of `at` and `cron`. Mail: from this `sender`, with these `words`, on this `channel`, "" for any.
    `pid` is a process that began at `started` (seconds since the epoch).
    """

    kind: Kind
    text: str = ""
    seconds: float = 0.0
    zone: str = ""
    sender: str = ""
    words: str = ""
    channel: str = ""
    pid: int = 0
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a person agreed to, and it never grows. `allow` are rules, each with what its program was ("" for none), `tools` the
    names with a print of what each may do. `tell` is CHANNEL:ADDRESS, "" for nobody. `max_time` is in seconds. With `remind`
    the goal is only shown to the person, and no model runs. `mark` is a file without which the job is not there: undo takes it."""

    id: str
    name: str
    goal: str
    folder: str
    trigger: Trigger
    allow: tuple[tuple[str, str], ...] = ()
    deny: tuple[str, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    missed: Literal["once", "skip"] = "once"
    tell: str = ""
    model: str = ""
    max_time: float = 1800.0
    max_turns: int = 40
    made: float = 0.0
    remind: bool = False
    mark: str = ""

    @property
    def there(self) -> bool:
        return not self.mark or os.path.lexists(self.mark)


@dataclass(frozen=True, slots=True)
class Kept:
    """A job and where it stands. `due` is its next time, 0 where it has none; `cursor` is what the last look saw.

    `problem` is why it could not look. `retry_at` is when the run `retry_of` is tried again, 0 for never.
    """

    job: Job
    state: State
    due: float
    cursor: str = ""
    problem: str = ""
    retry_at: float = 0.0
    retry_of: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run, or why there was none (skipped, missed). `delta` is what others wrote. `facts` holds receipts, denied and error."""

    number: int
    job: str
    why: str
    delta: str
    begun: float
    ended: float
    state: RunState
    attempt: int
    owner: str
    session: str
    said: str
    facts: Mapping[str, Any]


class Jobs:
    """Open it once a process and use it from one thread. Raises StoreError where the disk refuses."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or paths.state_dir() / "jobs.db"
        self._db = Database(self.path, _SCHEMA, _VERSION, damaged="Move it away, and add the jobs anew.")

    def close(self) -> None:
        self._db.close()

    # ------------------------------------------------------------ jobs

    def add(self, job: Job, due: float, cursor: str = "") -> None:
        with self._db.writing() as db:
            values = (job.id, json.dumps(asdict(job), ensure_ascii=False), due, cursor)
            db.execute("INSERT INTO jobs VALUES (?, ?, 'on', ?, ?, '', 0, 0)", values)

    def all(self) -> list[Kept]:
        """In the order they were made."""
        with self._db.reading() as db:
            found = [_kept(row) for row in db.execute("SELECT * FROM jobs ORDER BY rowid")]
        return [kept for kept in found if kept.job.there]

    def find(self, id: str) -> Kept | None:
        with self._db.reading() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
            kept = _kept(row) if row else None
        return kept if kept is not None and kept.job.there else None

    def get(self, named: str) -> Kept:
        """By the beginning of its id, or its name. Raises UsageError where it is none, or several."""
        known = self.all()
        found = [one for one in known if one.job.id == named] or [one for one in known if named and one.job.name == named]
        found = found or [one for one in known if named and one.job.id.startswith(named)]
        if len(found) != 1:
            many = f"{named!r} may be {', '.join(one.job.id for one in found)}." if found else f"There is no job {named!r}."
            raise UsageError(many, "`localagent jobs list` shows them.")
        return found[0]

    def remove(self, id: str) -> None:
        """The job and the record of its runs."""
        if (kept := self.find(id)) is not None and kept.job.mark:
            try:
                os.unlink(kept.job.mark)
            except OSError as error:
                raise StoreError(f"{kept.job.mark} cannot be removed: {error.strerror}.") from None
        self.drop(id)

    def drop(self, id: str) -> None:
        """The same for one whose mark is not there (yet)."""
        with self._db.writing() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (id,))
            db.execute("DELETE FROM runs WHERE job = ?", (id,))

    def set_state(self, id: str, state: State, due: float | None = None, problem: str = "", cursor: str | None = None) -> None:
        with self._db.writing() as db:
            db.execute(
                "UPDATE jobs SET state = ?, due = coalesce(?, due), cursor = coalesce(?, cursor), problem = ?, retry_at = 0 WHERE id = ?",
                (state, due, cursor, problem, id),
            )

    def looked(self, id: str, cursor: str, problem: str = "") -> None:
        """Nothing has happened that starts a run."""
        with self._db.writing() as db:
            db.execute("UPDATE jobs SET cursor = ?, problem = ? WHERE id = ?", (cursor, problem, id))

    def changed(self) -> tuple[int, int]:
        """Something else whenever another process has written, or undone."""
        with self._db.reading() as db:
            version = db.execute("PRAGMA data_version").fetchone()[0]
        try:
            return version, os.stat(marks(self.path)).st_ctime_ns
        except OSError:
            return version, 0

    # ------------------------------------------------------------ runs

    def begin(
        self, id: str, why: str, delta: str, owner: str, now: float, *, after: Callable[[Kept], Kept] | None, attempt: int = 0
    ) -> Run | None:
        """Write a run down as begun, and with it the job as `after` makes it (None: it stays as it is).

        None where there is a run of this job already, or the job is gone, or (with `after`) no longer on.
        """
        with self._db.writing() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
            busy = db.execute("SELECT 1 FROM runs WHERE job = ? AND state = 'begun'", (id,)).fetchone()
            if row is None or not _kept(row).job.there or busy or (after is not None and row[2] == "paused"):
                return None
            if after is not None:
                _put(db, after(_kept(row)))
            number = _insert(db, id, why, delta, now, 0.0, "begun", attempt, owner)
            _prune(db, id)
            return _run(db.execute(f"SELECT {_RUN} FROM runs WHERE number = ?", (number,)).fetchone())

    def pass_over(self, id: str, state: Literal["skipped", "missed"], why: str, now: float, after: Callable[[Kept], Kept]) -> None:
        """An occasion that starts no run, with the job as `after` makes it."""
        with self._db.writing() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
            if row is not None and _kept(row).job.there:
                _put(db, after(_kept(row)))
                _insert(db, id, why, "", now, now, state, 0, "")
                _prune(db, id)

    def in_session(self, number: int, session: str) -> None:
        with self._db.writing() as db:
            db.execute("UPDATE runs SET session = ? WHERE number = ?", (session, number))

    def finish(
        self, number: int, state: RunState, said: str, facts: Mapping[str, Any], now: float,
        *, cursor: str | None = None, retry_at: float = 0.0,
    ) -> None:  # fmt: skip
        """Over; with `retry_at` it is tried again then, with `cursor` the look begins there."""
        with self._db.writing() as db:
            told = json.dumps(dict(facts), ensure_ascii=False, default=str)
            values = (state, _text(said), _text(told), now, number)
            done = db.execute("UPDATE runs SET state = ?, said = ?, facts = ?, ended = ? WHERE number = ? AND state = 'begun'", values)
            if done.rowcount:
                db.execute(
                    "UPDATE jobs SET cursor = coalesce(?, cursor), retry_at = ?, retry_of = ? "
                    "WHERE id = (SELECT job FROM runs WHERE number = ?)",
                    (cursor, retry_at, number if retry_at else 0, number),
                )

    def cut_off(self, alive: Callable[[str], bool], now: float) -> list[Run]:
        """Runs whose process is gone are over; they come back, each once."""
        with self._db.writing() as db:
            found = [_run(row) for row in db.execute(f"SELECT {_RUN} FROM runs WHERE state = 'begun'")]
            gone = [run for run in found if not alive(run.owner)]
            for run in gone:
                db.execute("UPDATE runs SET state = 'cut off', ended = ? WHERE number = ?", (now, run.number))
            return gone

    def run(self, number: int) -> Run | None:
        with self._db.reading() as db:
            row = db.execute(f"SELECT {_RUN} FROM runs WHERE number = ?", (number,)).fetchone()
            return _run(row) if row else None

    def runs(self, id: str = "", limit: int = 20) -> list[Run]:
        """The newest first; "" for those of all jobs."""
        with self._db.reading() as db:
            sql = f"SELECT {_RUN} FROM runs WHERE ? IN ('', job) ORDER BY number DESC LIMIT ?"
            return [_run(row) for row in db.execute(sql, (id, max(1, limit)))]

    def begun_since(self, id: str, since: float) -> int:
        with self._db.reading() as db:
            sql = "SELECT count(*) FROM runs WHERE job = ? AND begun >= ? AND state NOT IN ('skipped', 'missed')"
            return db.execute(sql, (id, since)).fetchone()[0]


def marks(path: Path | None = None) -> Path:
    """Where the marks of jobs lie (see `Job`)."""
    return (path or paths.state_dir() / "jobs.db").with_name("jobs")


def new_id() -> str:
    return secrets.token_hex(3)


def _put(db: sqlite3.Connection, kept: Kept) -> None:
    values = (kept.state, kept.due, kept.cursor, kept.problem, kept.retry_at, kept.retry_of, kept.job.id)
    db.execute("UPDATE jobs SET state = ?, due = ?, cursor = ?, problem = ?, retry_at = ?, retry_of = ? WHERE id = ?", values)


def _insert(
    db: sqlite3.Connection, id: str, why: str, delta: str, begun: float, ended: float, state: RunState, attempt: int, owner: str
) -> int:
    values = (id, _text(why), _text(delta), begun, ended, state, attempt, owner)
    sql = (
        "INSERT INTO runs (job, why, delta, begun, ended, state, attempt, owner, session, said, facts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '', '{}')"
    )
    return db.execute(sql, values).lastrowid or 0


def _prune(db: sqlite3.Connection, id: str) -> None:
    db.execute(
        "DELETE FROM runs WHERE job = ? AND number <= (SELECT number FROM runs WHERE job = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (id, id, _KEPT_RUNS),
    )


def _text(text: str) -> str:
    """Half a character cannot be stored."""
    return text.encode("utf-8", "replace").decode()


def _kept(row: tuple) -> Kept:
    spec = json.loads(row[1])
    trigger = Trigger(**spec.pop("trigger"))
    pairs = {name: tuple((one, other) for one, other in spec.pop(name)) for name in ("allow", "tools")}
    return Kept(Job(trigger=trigger, deny=tuple(spec.pop("deny")), **pairs, **spec), *row[2:])


def _run(row: tuple) -> Run:
    return Run(*row[:-1], json.loads(row[-1]))
