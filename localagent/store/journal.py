"""The one committer: every change to the user's files goes through here, and can be undone.

A step is prepared completely (new contents beside their places, durable), then recorded,
then done by renames, so that a crash leaves either nothing or something the next start
takes back. Originals are kept by a second name or a copy in the journal's own folder;
what is deleted goes to the desktop's trash where that is on the same file system.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import StoreError
from ..values import Change
from . import adopt as adopting
from . import choice, prune
from .apply import Roots, apply, conflicts, discard_temp, let_go, revert, where
from .atomic import store_error
from .files import remove_tree
from .folders import parents, set_time, sync, time_of
from .lock import Busy, take
from .plan import Plan
from .reach import reach
from .steps import IN_FLIGHT, Record, State, Step, Steps
from .transcript import sessions_dir

__all__ = ["Journal", "Step", "Undone", "reach"]

_LOCK_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Undone:
    """What `undo` or `redo` did: absolute paths. `conflicts` are sentences about what was left
    alone because it was changed since; `left` are folders that stay because something is in them."""

    step: Step
    restored: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Journal:
    """The journal in `folder` (made on demand, 0700). Safe for several processes: one acts at a time."""

    def __init__(self, folder: Path, budget_mb: int | None = None) -> None:
        """`budget_mb` is what the originals may take in all (None: `prune.BYTES`)."""
        self.folder = self._folder = Path(folder)
        self._steps = Steps(self._folder)
        self._budget = None if budget_mb is None else budget_mb << 20

    # ------------------------------------------------------------ reading

    def steps(self, limit: int = 20) -> list[Step]:
        """The newest steps, newest first; `state` is done or undone, or tells why neither can be:
        expired (its originals were dropped), stuck (broken off out of reach), damaged (no record)."""
        found: list[Step] = []
        for record in self._steps.records():
            if len(found) == limit:
                break
            if record.state not in IN_FLIGHT:
                found.append(record.step)
        return found

    def used(self) -> tuple[int, int]:
        """(bytes that the kept originals take, bytes they may take); what is in the desktop's trash is not counted."""
        return prune.used(self._steps), prune.BYTES if self._budget is None else self._budget

    def step(self, number: int) -> Step:
        """One step. Raises StoreError where there is none of that number."""
        return self._steps.load(number).step

    # ------------------------------------------------------------ commit

    def commit(
        self,
        changes: Sequence[Change],
        roots: Sequence[Path | str],
        *,
        session: str,
        call: str,
        label: str,
        stop: threading.Event | None = None,
        about: str = "",
    ) -> Step:
        """Carry out all of `changes`, or none.

        Order: folders, new files, changed files, permissions, moves, deletions. A file with several
        hard links is replaced under this name only. A root is a folder beneath which anything may
        change, or a path that is no folder (yet) and may be changed itself (see `reach`). Raises
        Conflict when a file is not what `before` says or exists where it must not; StoreError when a
        target is outside `roots` or protected, or the disk is full or not writable, or `stop` was set
        before the first change was made. Nothing is changed then. With what `reach` returned as
        `roots`, a path that leads elsewhere by now is a Conflict too. `about`: see `Step`; files of our own may be named then.
        """
        if not changes:
            return Step(0, (), time.time(), label, session, call)
        with self._locked(stop=stop):
            number = max(self._steps.numbers(), default=0) + 1
            place = self._steps.place(number)
            step = Step(number, tuple(changes), time.time(), label, session, call, about=about)
            record = Record(step)
            with _as_store_errors(str(self._folder)):
                place.mkdir(mode=0o700, parents=True)
            with Roots() as open_roots:
                self._prepare(record, roots, open_roots, place, stop)
                self._carry_out(record, open_roots)
        return record.step

    def adopt(self, before: adopting.Before, *, session: str, call: str, label: str) -> Step | None:
        """Have what a program did to a folder by itself as a step, which is undone like any other; None for nothing."""
        with self._locked(), _as_store_errors(before.root):
            number = max(self._steps.numbers(), default=0) + 1
            made = adopting.record(self._steps, number, before, Step(number, (), time.time(), label, session, call))
        return made.step if made is not None else None

    def _prepare(
        self,
        record: Record,
        roots: Sequence[Path | str],
        open_roots: Roots,
        place: Path,
        stop: threading.Event | None,
    ) -> None:
        try:
            with _as_store_errors(record.step.changes[0].path):
                plan = Plan(record.step.changes, roots, open_roots, place, stop, own=bool(record.step.about))
                record.ops = plan.make()
                for op in record.ops:
                    for path in map(os.path.realpath, parents(op)):
                        record.folders.setdefault(path, [time_of(path), None])
                # Known to the next start before the first of them exists, so that none is left behind.
                plan.name_temps()
                self._steps.save(record)
                plan.prepare()
        except BaseException:
            self._forget(record, open_roots)
            raise

    def _carry_out(self, record: Record, roots: Roots) -> None:
        """Do all operations, or take back those that were done."""
        again = record.state == "redoing"
        record.state = "redoing" if again else "committing"
        try:
            with _as_store_errors(where(record.ops[0]) if record.ops else str(self._folder)):
                self._steps.save(record)
                for op in record.ops:
                    if not op.skipped:
                        apply(op, roots)
                sync(record.ops, roots)
                self._finish(record, roots, "done")
        except BaseException:
            self._take_back(record, roots)
            if again:
                self._finish(record, roots, "undone")
            else:
                self._forget(record, roots)
            raise

    def _forget(self, record: Record, roots: Roots) -> None:
        """A step that did not happen leaves no trace, unless an original is still only in the journal."""
        for op in record.ops:
            with contextlib.suppress(StoreError):
                discard_temp(op, roots.get(op.root))
        for path, (before, _) in sorted(record.folders.items(), reverse=True):
            set_time(path, before)
        if any(op.kept and not op.info and os.path.lexists(op.kept) for op in record.ops):
            self._finish(record, roots, "undone")
            return
        remove_tree(str(self._steps.place(record.step.number)))
        self._steps.active.unlink(missing_ok=True)

    def _take_back(self, record: Record, roots: Roots) -> tuple[str, ...]:
        """Revert every operation that was done, latest first; the paths that stay as they are."""
        left = [where(op) for op in reversed(record.ops) if not op.skipped and not revert(op, roots)]
        for path, (before, _) in sorted(record.folders.items(), reverse=True):
            set_time(path, before)
        sync(record.ops, roots)
        return tuple(left)

    def _finish(self, record: Record, roots: Roots, state: State) -> None:
        for op in record.ops:
            if op.gone and state == "done":
                with contextlib.suppress(OSError):
                    let_go(op, roots.get(op.root))
        for path, times in record.folders.items():
            times[1] = time_of(path) if state == "done" else times[1]
        record.state = state
        record.step = replace(record.step, state=record.state)
        record.turned = time.time()
        self._steps.save(record)

    # ------------------------------------------------------------ undo and redo

    def undo(
        self,
        step: int | None = None,
        force: bool = False,
        within: Path | str | None = None,
        file: Path | str | None = None,
    ) -> Undone:
        """Restore what a step (None: the latest not undone, of those that changed something in the
        folder `within`) changed; with `file` only what it changed at that path (None: the latest that did).

        Where something was changed since, nothing is restored and `conflicts` says what; with
        `force` the rest is. Raises StoreError when there is nothing to undo. A stuck step is tried again.
        """
        with self._locked():
            record = self._chosen(step, "done", "undo", within, file, force)
            if record.state == "stuck":
                return self._unstick(record)
            with Roots() as roots:
                blocked = conflicts(record.ops, roots, redo=False)
                sentences = self._with_later(record, blocked)
                if blocked and (not force or all(op.skipped or i in blocked for i, op in enumerate(record.ops))):
                    return Undone(record.step, conflicts=sentences)
                for index in blocked:
                    record.ops[index].skipped = True
                times = {path: time_of(path) for path in record.folders}
                record.state = "undoing"
                with _as_store_errors(str(self._folder)):
                    self._steps.save(record)
                    left = self._put_back(record, roots, times)
                restored = tuple(where(op) for op in record.ops if not op.skipped and where(op) not in left)
                if blocked and not restored:
                    for index in blocked:
                        record.ops[index].skipped = False
                self._finish(record, roots, "done" if blocked and not restored else "undone")
        return Undone(record.step, tuple(dict.fromkeys(restored)), sentences, left)

    def _with_later(self, record: Record, blocked: dict[int, str]) -> tuple[str, ...]:
        """What stands in the way, with the later steps that touched it: to be undone first."""
        if not blocked:
            return ()
        number = record.step.number
        later = [one.step for one in self._steps.records() if one.step.number > number and one.state == "done"]
        told = []
        for index, sentence in blocked.items():
            op = record.ops[index]
            paths = [where(op), *([os.path.join(op.dest_root, op.dest)] if op.kind == "move" else [])]
            found = [str(step.number) for step in later if any(step.concerns(path) for path in paths)]
            steps = f"step {found[0]}" if len(found) == 1 else f"steps {', then '.join(found)}"
            told.append(f"{sentence}: undo {steps} first" if found else sentence)
        return tuple(told)

    def _put_back(self, record: Record, roots: Roots, times: dict[str, int | None]) -> tuple[str, ...]:
        left = [where(op) for op in reversed(record.ops) if not op.skipped and not revert(op, roots)]
        sync(record.ops, roots)
        for path, (before, after) in sorted(record.folders.items(), reverse=True):
            if times.get(path) == after:
                set_time(path, before)
        return tuple(left)

    def redo(self, step: int | None = None, within: Path | str | None = None, file: Path | str | None = None) -> Undone:
        """Do again what `undo` took back last (of what is in `within`, or at the path `file`), or step `step`.

        Conflicts change nothing."""
        with self._locked():
            record = self._chosen(step, "undone", "redo", within, file)
            with Roots() as roots:
                blocked = conflicts(record.ops, roots, redo=True)
                if blocked:
                    return Undone(record.step, conflicts=tuple(blocked.values()))
                record.state = "redoing"
                with _as_store_errors(str(self._folder)):
                    self._again(record, roots)
                self._carry_out(record, roots)
                done = tuple(dict.fromkeys(where(op) for op in record.ops if not op.skipped))
        return Undone(record.step, done)

    def _again(self, record: Record, roots: Roots) -> None:
        for op in record.ops:
            if op.skipped:
                continue
            root = roots.get(op.root)
            if op.kind == "put":
                op.temp = op.undone
            elif op.kind == "take" and op.gone:
                remove_tree(op.kept)
                root.copy_out(op.path, op.kept, alone=op.alone)
            elif op.kind == "take" and os.path.lexists(op.kept):
                raise StoreError(f"{where(op)} cannot be deleted again: its place in the trash is taken.")

    def _chosen(
        self,
        number: int | None,
        state: str,
        word: str,
        within: Path | str | None,
        file: Path | str | None,
        force: bool = False,
    ) -> Record:
        if file is None:
            return choice.choose(self._steps, number, state, word, within)
        with _as_store_errors(str(self._folder)):
            return choice.about(self._steps, os.fspath(file), number, state, word, force)

    # ------------------------------------------------------------ after a crash

    def recover(self, *, tidy: bool = True) -> list[Step]:
        """Take back what a process that died had begun; the steps concerned.

        One of the state stuck could not be taken back, because its folder cannot be reached: it is
        put aside and told once. With `tidy`, also drops old originals and outputs, now and then. Called at
        every start; returns at once when nothing is open, or another process is at work.
        """
        begun = self._steps.active.exists()
        tidy = tidy and prune.due(self._folder)
        if not begun and not tidy:
            return []
        try:
            with self._locked(wait=0.0, recover=False):
                found = self._recover() if begun else []
                if tidy:
                    with contextlib.suppress(OSError, StoreError):
                        prune.prune(self._folder, self._steps, self._budget)
                        prune.sweep(sessions_dir(), "*/spill/*", prune.DAYS)
                return found
        except Busy:
            return []

    def _recover(self) -> list[Step]:
        try:
            number = int(self._steps.active.read_bytes())
            record = self._steps.load(number)
        except FileNotFoundError:
            return []
        except (StoreError, ValueError):
            self._steps.active.unlink(missing_ok=True)
            return []
        if record.state not in IN_FLIGHT:
            self._steps.active.unlink(missing_ok=True)
            return []
        if record.state == "splitting":
            # Nothing of the user's is concerned, so there is nothing to tell.
            choice.settle(self._steps, record)
            return []
        with Roots() as roots, _as_store_errors(str(self._folder)):
            if record.state != "preparing" and self._unreachable(record, roots):
                self._finish(record, roots, "stuck")
            elif record.state in ("preparing", "committing"):
                self._forget(record, roots)
            else:
                self._finish(record, roots, "undone")
        return [record.step]

    def _unreachable(self, record: Record, roots: Roots) -> tuple[str, ...]:
        """Take back what can be; the paths of which nobody can tell how they are now."""
        lost = []
        for op in reversed(record.ops):
            try:
                if not op.skipped:
                    revert(op, roots)
            except (OSError, StoreError):
                lost.append(where(op))
        for path, (before, _) in sorted(record.folders.items(), reverse=True):
            set_time(path, before)
        sync(record.ops, roots)
        return tuple(lost)

    def _unstick(self, record: Record) -> Undone:
        with Roots() as roots, _as_store_errors(str(self._folder)):
            lost = self._unreachable(record, roots)
            if lost:
                return Undone(record.step, conflicts=tuple(f"{path} cannot be reached" for path in lost))
            restored = tuple(dict.fromkeys(where(op) for op in record.ops if not op.skipped))
            self._finish(record, roots, "undone")
        return Undone(record.step, restored)

    # ------------------------------------------------------------ one process at a time

    @contextlib.contextmanager
    def _locked(
        self, wait: float = _LOCK_WAIT_S, recover: bool = True, stop: threading.Event | None = None
    ) -> Iterator[None]:
        with _as_store_errors(str(self._folder)):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            take(fd, wait, stop)
            if recover:
                self._recover()
            yield
        finally:
            os.close(fd)


@contextlib.contextmanager
def _as_store_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) and os.path.isabs(error.filename) else path
        raise store_error(error, name) from error
