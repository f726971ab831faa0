"""Doing and undoing one operation of a step, so that either can be begun again after a crash."""

from __future__ import annotations

import contextlib
import os
import stat

from ..errors import Conflict, StoreError
from .copying import facts, sha256
from .files import Root, remove_tree, rename_new
from .steps import Op, Sign


class Roots:
    """The open roots of one transaction, by path."""

    def __init__(self) -> None:
        self._open: dict[str, Root] = {}

    def __enter__(self) -> Roots:
        return self

    def __exit__(self, *_: object) -> None:
        for root in self._open.values():
            root.close()

    def get(self, path: str) -> Root:
        if path not in self._open:
            try:
                self._open[path] = Root(path)
            except OSError as error:
                raise StoreError(f"The folder {path} cannot be opened: {error.strerror}.") from error
        return self._open[path]


def sign(root: Root, path: str, *, hashed: bool = True) -> Sign | None:
    """What is at `path` now; None where nothing is. StoreError for pipes, sockets and devices."""
    info = root.stat(path)
    if info is None:
        return None
    if stat.S_ISDIR(info.st_mode):
        return Sign("folder", info.st_ino)
    if stat.S_ISLNK(info.st_mode):
        return Sign("link", info.st_ino, info.st_size, info.st_mtime_ns, target=root.readlink(path))
    fd = root.open(path)
    try:
        info = os.fstat(fd)
        return Sign("file", info.st_ino, info.st_size, info.st_mtime_ns, sha256(fd) if hashed else "")
    finally:
        os.close(fd)


def matches(root: Root, path: str, expected: Sign | None) -> bool:
    """Whether `path` still is what it was: the same untouched inode, or the same bytes."""
    info = root.stat(path)
    if info is None or expected is None:
        return info is None and expected is None
    if expected.kind == "folder":
        return stat.S_ISDIR(info.st_mode)
    if expected.kind == "link":
        return stat.S_ISLNK(info.st_mode) and root.readlink(path) == expected.target
    if not stat.S_ISREG(info.st_mode) or info.st_size != expected.size:
        return False
    if (info.st_ino, info.st_mtime_ns) == (expected.inode, expected.mtime_ns):
        return True
    now = sign(root, path)
    return now is not None and bool(expected.sha256) and now.sha256 == expected.sha256


def where(op: Op) -> str:
    """The absolute path an operation is about, for people."""
    return os.path.join(op.root, op.path)


def mode_of(root: Root, path: str) -> int | None:
    info = root.stat(path)
    return None if info is None else stat.S_IMODE(info.st_mode)


# ---------------------------------------------------------------- forward


def apply(op: Op, roots: Roots) -> None:
    """Do it. Conflict when the path is not what it was when the step was planned."""
    root = roots.get(op.root)
    try:
        _FORWARD[op.kind](op, root, roots)
    except FileExistsError as error:
        raise Conflict(f"{where(op)} was made by somebody else in the meantime.") from error
    except FileNotFoundError as error:
        raise Conflict(f"{where(op)} was removed by somebody else in the meantime.") from error


def _mkdir(op: Op, root: Root, roots: Roots) -> None:
    root.mkdir(op.path)
    if op.mode is not None:
        root.chmod(op.path, op.mode)


def _put(op: Op, root: Root, roots: Roots) -> None:
    if not matches(root, op.path, op.before):
        raise Conflict(f"{where(op)} was changed by somebody else in the meantime.")
    if op.before is not None:
        root.keep(op.path, op.kept)
    if os.path.isabs(op.temp):
        root.move_in(op.temp, op.path, replace=op.before is not None)
    else:
        root.rename(op.temp, root, op.path, replace=op.before is not None)


def _move(op: Op, root: Root, roots: Roots) -> None:
    root.rename(op.path, roots.get(op.dest_root), op.dest)


def _take(op: Op, root: Root, roots: Roots) -> None:
    if not matches(root, op.path, op.before):
        raise Conflict(f"{where(op)} was changed by somebody else in the meantime.")
    if op.gone:
        root.rename(op.path, root, op.gone)
        return
    if op.info:
        _write_trash_info(op)
    with root.parent(op.path) as (folder, name), Root(os.path.dirname(op.kept)) as place:
        # Never over what lies there: it may be the only copy of something.
        rename_new(folder, name, place.fd, os.path.basename(op.kept))


def let_go(op: Op, root: Root) -> None:
    """Remove what was taken to another file system, once all of it is kept there: what came into a folder
    between its copy and its going is copied again first. Raises OSError; it then stays where it is."""
    if root.stat(op.gone) is None:
        return
    with root.at(op.gone) as real:
        same = op.alone or facts(real) == facts(op.kept)
        left = op.alone and os.listdir(real)
    if left or not same:
        spare = f"{op.kept}.again"
        remove_tree(spare)
        root.copy_out(op.gone, spare)
        remove_tree(op.kept)
        os.rename(spare, op.kept)
    root.remove(op.gone)


def _write_trash_info(op: Op) -> None:
    import time
    from urllib.parse import quote

    text = f"[Trash Info]\nPath={quote(os.fsencode(where(op)))}\nDeletionDate={time.strftime('%Y-%m-%dT%H:%M:%S')}\n"
    remove_tree(op.info)
    with open(os.open(op.info, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)


def _chmod(op: Op, root: Root, roots: Roots) -> None:
    if op.mode is not None:
        root.chmod(op.path, op.mode)


_FORWARD = {"mkdir": _mkdir, "put": _put, "move": _move, "take": _take, "chmod": _chmod}

# ---------------------------------------------------------------- back


def revert(op: Op, roots: Roots) -> bool:
    """Undo it if it was done, and never touch what is not ours; False where something stays as it is."""
    root = roots.get(op.root)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return _BACK[op.kind](op, root, roots)
    return False


def _unmkdir(op: Op, root: Root, roots: Roots) -> bool:
    info = root.stat(op.path)
    if info is None:
        return True
    if not stat.S_ISDIR(info.st_mode):
        return False
    try:
        root.rmdir(op.path)
    except OSError:
        # Somebody put something into it.
        return False
    return True


def _unput(op: Op, root: Root, roots: Roots) -> bool:
    back = op.before is not None and os.path.lexists(op.kept)
    if op.before is not None and not back:
        discard_temp(op, root)
        return matches(root, op.path, op.before)
    prepared = op.temp and not os.path.isabs(op.temp) and root.stat(op.temp) is not None
    if prepared or not matches(root, op.path, op.after) or _not_yet(op, root):
        if back and matches(root, op.path, op.before):
            remove_tree(op.kept)
        discard_temp(op, root)
        return matches(root, op.path, op.before)
    remove_tree(op.undone)
    if not back:
        root.move_out(op.path, op.undone)
        return True
    root.keep(op.path, op.undone)
    root.move_in(op.kept, op.path, replace=True)
    return True


def _not_yet(op: Op, root: Root) -> bool:
    """The original is kept but the new has not taken its place: both names are one file."""
    if op.before is None:
        return False
    info, kept = root.stat(op.path), os.lstat(op.kept)
    return info is not None and (info.st_dev, info.st_ino) == (kept.st_dev, kept.st_ino)


def discard_temp(op: Op, root: Root) -> None:
    """Remove what was prepared for a put that did not happen."""
    if op.kind == "put" and op.temp and not os.path.isabs(op.temp):
        with contextlib.suppress(OSError, StoreError):
            root.remove(op.temp)


def _unmove(op: Op, root: Root, roots: Roots) -> bool:
    there = roots.get(op.dest_root)
    if root.stat(op.path) is not None:
        return there.stat(op.dest) is None
    if not matches(there, op.dest, op.before):
        return False
    _make_parents(root, op.path)
    there.rename(op.dest, root, op.path)
    return True


def _untake(op: Op, root: Root, roots: Roots) -> bool:
    if root.stat(op.path) is not None:
        if op.gone and root.stat(op.gone) is None:
            return False
        return matches(root, op.path, op.before)
    _make_parents(root, op.path)
    if op.gone and root.stat(op.gone) is not None:
        root.rename(op.gone, root, op.path)
        remove_tree(op.kept)
        return True
    if not os.path.lexists(op.kept):
        return False
    root.move_in(op.kept, op.path)
    if op.info:
        remove_tree(op.info)
    return True


def _make_parents(root: Root, path: str) -> None:
    folder = os.path.dirname(path)
    if folder and root.stat(folder) is None:
        _make_parents(root, folder)
        root.mkdir(folder)


def _unchmod(op: Op, root: Root, roots: Roots) -> bool:
    if op.old_mode is not None and mode_of(root, op.path) == op.mode:
        root.chmod(op.path, op.old_mode)
    return mode_of(root, op.path) == op.old_mode


_BACK = {"mkdir": _unmkdir, "put": _unput, "move": _unmove, "take": _untake, "chmod": _unchmod}

# ---------------------------------------------------------------- may it be undone, or done again


def conflicts(ops: list[Op], roots: Roots, *, redo: bool) -> dict[int, str]:
    """Index -> why this operation cannot be undone (or redone) without touching a later change."""
    found: dict[int, str] = {}
    free: set[str] = set()
    order = range(len(ops)) if redo else range(len(ops) - 1, -1, -1)
    for index in order:
        op = ops[index]
        if op.skipped:
            continue
        reason = _redo_conflict(op, roots, free) if redo else _undo_conflict(op, roots, free)
        if reason:
            found[index] = reason
    return found


def _vacant(root: Root, path: str, free: set[str]) -> bool:
    here = os.path.join(root.path, path)
    if root.stat(path) is None:
        return True
    while here and here != root.path:
        if here in free:
            return True
        here = os.path.dirname(here)
    return False


def _undo_conflict(op: Op, roots: Roots, free: set[str]) -> str:
    root = roots.get(op.root)
    if op.kind == "mkdir":
        free.add(where(op))
    elif op.kind == "put":
        if not matches(root, op.path, op.after):
            return f"{where(op)} was changed since"
        if op.before is not None and not os.path.lexists(op.kept):
            return f"{where(op)}: its earlier content is gone from the journal"
        free.add(where(op))
    elif op.kind == "move":
        there = os.path.join(op.dest_root, op.dest)
        if not matches(roots.get(op.dest_root), op.dest, op.before):
            return f"{there} was changed since"
        if not _vacant(root, op.path, free):
            return f"{where(op)} exists again"
        free.add(there)
    elif op.kind == "take":
        if not os.path.lexists(op.kept):
            return f"{where(op)} is no longer in the trash"
        if not _vacant(root, op.path, free):
            return f"{where(op)} exists again"
    elif mode_of(root, op.path) != op.mode:
        return f"the permissions of {where(op)} were changed since"
    return ""


def _redo_conflict(op: Op, roots: Roots, free: set[str]) -> str:
    root = roots.get(op.root)
    if op.kind in ("mkdir", "put") and op.before is None:
        if op.kind == "put" and not os.path.lexists(op.undone):
            return f"{where(op)}: its new content is gone from the journal"
        return "" if _vacant(root, op.path, free) else f"{where(op)} exists already"
    if op.kind == "chmod":
        return "" if mode_of(root, op.path) in (op.old_mode, op.mode) else f"{where(op)} was changed since"
    if not matches(root, op.path, op.before):
        return f"{where(op)} was changed since"
    if op.kind == "put":
        return "" if os.path.lexists(op.undone) else f"{where(op)}: its new content is gone from the journal"
    if op.kind == "move" and not _vacant(roots.get(op.dest_root), op.dest, free):
        return f"{os.path.join(op.dest_root, op.dest)} exists already"
    free.add(where(op))
    return ""
