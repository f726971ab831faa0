"""A step for what a program did to a folder by itself: from a copy of before and the folder as it is now."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..values import Change
from .apply import sign
from .copying import copy_attributes, copy_entry
from .files import Root, remove_tree
from .steps import Op, Record, Sign, Step, Steps


@dataclass(frozen=True, slots=True)
class Before:
    """A copy of the folder `root`, made before a program ran there, in the folder `copy`.

    `untouched` are the relative paths of which nothing has changed since; `skipped` are neither
    compared nor restored, with what is beneath them.
    """

    root: str
    copy: str
    untouched: frozenset[str] = frozenset()
    skipped: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """Paths by what became of them."""

    changed: list[str] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def record(steps: Steps, number: int, before: Before, step: Step) -> Record | None:
    """The record of the step `number`, saved as done, whose originals are moved out of the copy; None where
    nothing was changed. Raises OSError; the copy is then of no more use."""
    with Root(before.copy) as old, Root(before.root) as now:
        was, found = _walk(before.copy, before.skipped), _Found()
        there = _walk(before.root, before.skipped)
        _compare(was, there, before, found)
        if not (found.changed or found.modes or found.gone or found.new):
            return None
        place = steps.place(number)
        place.mkdir(mode=0o700, parents=True)
        try:
            ops = _ops(found, was, there, before, place, old, now)
            changes = tuple(_changes(ops, there))
            made = Record(_of(step, number, changes), ops, _folders(ops, was, there, before), "done", time.time())
            steps.save(made)
        except BaseException:
            remove_tree(str(place))
            raise
    return made


def _of(step: Step, number: int, changes: tuple[Change, ...]) -> Step:
    return Step(number, changes, step.at, step.label, step.session, step.call)


def _walk(top: str, skipped: Sequence[str]) -> dict[str, os.stat_result]:
    """Files, links and folders by relative path, a folder before what is in it."""
    found: dict[str, os.stat_result] = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        with contextlib.suppress(OSError), os.scandir(os.path.join(top, folder)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = os.path.join(folder, entry.name)
                info = entry.stat(follow_symlinks=False)
                kind = stat.S_IFMT(info.st_mode)
                if path in skipped or kind not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
                    continue
                found[path] = info
                if kind == stat.S_IFDIR:
                    pending.append(path)
    return found


def _compare(
    was: Mapping[str, os.stat_result], there: Mapping[str, os.stat_result], before: Before, found: _Found
) -> None:
    for path, info in was.items():
        now = there.get(path)
        if now is None or stat.S_IFMT(now.st_mode) != stat.S_IFMT(info.st_mode):
            found.gone.append(path)
        elif path not in before.untouched and (stat.S_ISDIR(info.st_mode) or not _same(path, info, now, before)):
            same_bits = stat.S_IMODE(info.st_mode) == stat.S_IMODE(now.st_mode)
            if not stat.S_ISDIR(info.st_mode):
                found.changed.append(path)
            elif not same_bits:
                found.modes.append(path)
    for path, now in there.items():
        if path not in was or stat.S_IFMT(now.st_mode) != stat.S_IFMT(was[path].st_mode):
            found.new.append(path)


def _same(path: str, old: os.stat_result, now: os.stat_result, before: Before) -> bool:
    one, two = os.path.join(before.copy, path), os.path.join(before.root, path)
    if stat.S_ISLNK(old.st_mode):
        return os.readlink(one) == os.readlink(two)
    facts = (old.st_mode, old.st_size, old.st_mtime_ns) == (now.st_mode, now.st_size, now.st_mtime_ns)
    return facts and _sign(before.copy, path).sha256 == _sign(before.root, path).sha256


def _sign(top: str, path: str) -> Sign:
    with Root(top) as root:
        found = sign(root, path)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(top, path))
    return found


def _ops(
    found: _Found,
    was: Mapping[str, os.stat_result],
    there: Mapping[str, os.stat_result],
    before: Before,
    place: Path,
    old: Root,
    now: Root,
) -> list[Op]:
    """As if the step had done them: changes, removals (deepest first), new folders, new files."""
    ops: list[Op] = []

    def kept(word: str = "kept") -> str:
        return str(place / f"{word}-{len(ops)}")

    for path in found.changed:
        op = Op("put", before.root, path, kept=kept(), undone=kept("undone"))
        op.before, op.after = sign(old, path), sign(now, path)
        _out(os.path.join(before.copy, path), op.kept)
        ops.append(op)
    for path in found.modes:
        one, two = stat.S_IMODE(was[path].st_mode), stat.S_IMODE(there[path].st_mode)
        ops.append(Op("chmod", before.root, path, before=sign(now, path), mode=two, old_mode=one))
    deepest = sorted(found.gone, key=lambda path: path.count("/"), reverse=True)
    for path in sorted(deepest, key=lambda path: stat.S_ISDIR(was[path].st_mode)):
        op = Op("take", before.root, path, kept=kept(), before=sign(old, path))
        source = os.path.join(before.copy, path)
        if stat.S_ISDIR(was[path].st_mode):
            _folder_out(source, op.kept, was[path])
        else:
            _out(source, op.kept)
        ops.append(op)
    for path in sorted(found.new, key=lambda path: not stat.S_ISDIR(there[path].st_mode)):
        if stat.S_ISDIR(there[path].st_mode):
            ops.append(Op("mkdir", before.root, path, mode=stat.S_IMODE(there[path].st_mode)))
        else:
            ops.append(Op("put", before.root, path, undone=kept("undone"), after=sign(now, path)))
    return ops


def _out(source: str, kept: str) -> None:
    try:
        os.rename(source, kept)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_entry(source, kept, sync=True)


def _folder_out(source: str, kept: str, info: os.stat_result) -> None:
    """The folder without what was in it, which is kept by itself."""
    os.mkdir(kept, 0o700)
    copy_attributes(source, kept)
    os.chmod(kept, stat.S_IMODE(info.st_mode))
    os.utime(kept, ns=(info.st_atime_ns, info.st_mtime_ns))


def _changes(ops: Sequence[Op], there: Mapping[str, os.stat_result]) -> list[Change]:
    made = []
    for op in ops:
        path = os.path.join(op.root, op.path)
        if op.kind == "put":
            assert op.after is not None
            kind = "link" if op.after.kind == "link" else "write"
            content = op.after.target if kind == "link" else None
            new = "" if op.before is None else op.before.sha256 or None
            made.append(
                Change(kind, path, content=content, before=new, after=op.after.sha256 or None, size=op.after.size)
            )
        elif op.kind == "take":
            made.append(Change("trash", path))
        elif op.kind == "mkdir":
            made.append(Change("make_folder", path))
        else:
            made.append(Change("chmod", path, mode=op.mode))
    return made


def _folders(
    ops: Sequence[Op], was: Mapping[str, os.stat_result], there: Mapping[str, os.stat_result], before: Before
) -> dict[str, list[int | None]]:
    """The times of the folders concerned, before and after."""
    found: dict[str, list[int | None]] = {}
    for path in {os.path.dirname(op.path) for op in ops}:
        if not path:
            continue
        times = [one[path].st_mtime_ns if path in one else None for one in (was, there)]
        found[os.path.join(before.root, path)] = times
    return found
