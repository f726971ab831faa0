"""The journal's records: what each step was asked to do, and by which operations it did it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import StoreError
from ..values import Change
from .atomic import write_atomic

# stuck: broken off, and what it had begun cannot be reached to take it back; expired: its originals
# were dropped to save space; damaged: its record cannot be read.
State = Literal[
    "preparing", "committing", "done", "undoing", "undone", "redoing", "splitting", "stuck", "expired", "damaged"
]
# States in which a step is only when a process died.
IN_FLIGHT: tuple[State, ...] = ("preparing", "committing", "undoing", "redoing", "splitting")


@dataclass(frozen=True, slots=True)
class Step:
    """One commit. `number` 0 is a commit of nothing, which is not recorded. `at` is a Unix time.

    `about` is the folder that a change to a file of our own is about, "" for all others.
    """

    number: int
    changes: tuple[Change, ...]
    at: float
    label: str
    session: str = ""
    call: str = ""
    state: State = "done"
    about: str = ""

    def touches(self, folder: Path | str) -> bool:
        """Whether it changed something in that folder or beneath it, or something of ours that is about it."""
        top = os.path.realpath(folder).rstrip("/")
        places = [os.path.realpath(self.about)] if self.about else self._places()
        return any(path == top or path.startswith(top + "/") for path in places)

    def concerns(self, path: str) -> bool:
        """Whether it changed what is at `path` itself (no link followed), in it, or a folder that it lies in."""
        return any(
            path == place or path.startswith(place + "/") or place.startswith(path + "/") for place in self._places()
        )

    @property
    def name(self) -> str:
        """The label on one line, with nothing in it that a terminal would act on."""
        text = self.label
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)

    @property
    def folder(self) -> str:
        """The deepest folder that holds all it changed, "" where it changed nothing."""
        places = [os.path.dirname(path) for path in self._places()]
        return os.path.commonpath(places) if places else ""

    @property
    def recovery(self) -> str:
        """What is told of a step that a crash had broken off."""
        begun = f"Step {self.number} ({self.name}) was broken off and"
        if self.state != "stuck":
            return f"{begun} has been taken back."
        return (
            f"{begun} could not be taken back, because {self.folder} cannot be reached. "
            f"When it is there again, use: localagent undo --step {self.number}"
        )

    def _places(self) -> list[str]:
        named = [path for change in self.changes for path in (change.path, change.dest) if path]
        return [os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) for path in named]


@dataclass(slots=True)
class Sign:
    """What was or is at a path, well enough to tell whether somebody changed it since."""

    kind: Literal["file", "folder", "link"]
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(slots=True)
class Op:
    """One reversible operation; `path`, `dest`, `temp`, `gone` are relative to their root.

    mkdir; put: `temp` becomes `path`, an original goes to `kept`; move: `path` becomes `dest`;
    take: `path` goes to `kept` (by way of `gone` where that is on another file system); chmod.
    `alone` is a folder that goes without what is in it, which goes by itself.
    A put that copies names its source's root in `dest_root`. On undo what `put` made goes to
    `undone`, from where redo takes it.
    """

    kind: Literal["mkdir", "put", "move", "take", "chmod"]
    root: str
    path: str
    dest_root: str = ""
    dest: str = ""
    temp: str = ""
    kept: str = ""
    info: str = ""
    gone: str = ""
    undone: str = ""
    before: Sign | None = None
    after: Sign | None = None
    mode: int | None = None
    old_mode: int | None = None
    skipped: bool = False
    alone: bool = False


@dataclass(slots=True)
class Record:
    """A step with its operations in the order they are done. `folders`: absolute path -> the
    folder's time before and after the step, None where it does not exist. `origin` is the step of
    which this one was a part, and in whose folder the originals still are; 0 for none."""

    step: Step
    ops: list[Op] = field(default_factory=list)
    folders: dict[str, list[int | None]] = field(default_factory=dict)
    state: State = "preparing"
    turned: float = 0.0
    origin: int = 0


class Steps:
    """The folder of records, one subfolder a step, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "steps"
        self.active = folder / "active"

    def place(self, number: int) -> Path:
        return self.folder / f"{number:06d}"

    def numbers(self) -> list[int]:
        """All steps, newest first."""
        try:
            return sorted((int(name) for name in os.listdir(self.folder) if name.isdigit()), reverse=True)
        except FileNotFoundError:
            return []

    def records(self) -> Iterator[Record]:
        """All records, newest first; in the place of one that cannot be read one in the state damaged."""
        for number in self.numbers():
            path = self.place(number) / "record.json"
            if path.exists():
                try:
                    yield self.load(number)
                except StoreError:
                    at = path.stat().st_mtime
                    yield Record(Step(number, (), at, "its record is damaged", state="damaged"), state="damaged")

    def save(self, record: Record, *, ends: bool = True) -> None:
        """Write a record; while it is in flight, the file `active` names it (with `ends` False another one).

        Durable from the moment on that something of the user's is about to change.
        """
        number, path = record.step.number, self.place(record.step.number) / "record.json"
        data = json.dumps(asdict(record)).encode()
        if record.state == "preparing":
            self.active.write_text(str(number))
            part = path.with_suffix(".part")
            part.write_bytes(data)
            part.replace(path)
            return
        if record.state in IN_FLIGHT:
            write_atomic(self.active, str(number).encode())
        write_atomic(path, data)
        if ends and record.state not in IN_FLIGHT:
            self.active.unlink(missing_ok=True)

    def load(self, number: int) -> Record:
        """Raises StoreError where there is no such step, or its record is damaged."""
        path = self.place(number) / "record.json"
        try:
            record = _record(json.loads(path.read_bytes()))
            if record.step.number != number:
                raise ValueError(number)
            return record
        except FileNotFoundError as error:
            raise StoreError(f"There is no step {number}.", "List them with: localagent changes") from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(f"The record of step {number} is damaged ({path}).") from error


def _record(data: dict[str, Any]) -> Record:
    step = data["step"]
    changes = tuple(Change(**change) for change in step.pop("changes"))
    state = data["state"]
    step["state"] = state
    ops = [Op(**{**op, "before": _sign(op["before"]), "after": _sign(op["after"])}) for op in data["ops"]]
    return Record(Step(changes=changes, **step), ops, data["folders"], state, data["turned"], data.get("origin", 0))


def _sign(data: dict[str, Any] | None) -> Sign | None:
    return Sign(**data) if data else None
