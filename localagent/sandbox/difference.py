"""What differs between a workspace as it was copied and the copy after a program ran in it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from ..errors import StoreError
from ..store.copying import sha256
from ..store.fingerprint import fingerprint
from ..values import Change

# The hash of no file: `before` of something that changed under our hands.
_STALE = "0" * 64


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a file. The change time tells whether anything happened to it since."""

    mode: int
    size: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    @staticmethod
    def of(info: os.stat_result) -> Seen:
        return Seen(info.st_mode, info.st_size, info.st_ino, info.st_mtime_ns, info.st_ctime_ns)

    @property
    def folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def file(self) -> bool:
        return stat.S_ISREG(self.mode)


def look(path: str) -> Seen:
    return Seen.of(os.lstat(path))


def difference(
    workspace: str,
    stage: str,
    original: Mapping[str, Seen],
    staged: Mapping[str, Seen],
    left_out: Sequence[str],
    places: Container[int] = (),
    closed: Sequence[str] = (),
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """(changes, what is left out) of a stage; see `stage.View.changes`."""
    try:
        return _Difference(workspace, stage, original, staged, left_out, places, closed).result()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise StoreError("The program made folders so deep that they cannot be carried over.") from error


class _Difference:
    def __init__(
        self,
        workspace: str,
        stage: str,
        original: Mapping[str, Seen],
        staged: Mapping[str, Seen],
        left_out: Sequence[str],
        places: Container[int],
        closed: Sequence[str],
    ) -> None:
        self._workspace = workspace
        self._stage = stage
        self._original = original
        self._staged = staged
        self._left_out = list(left_out)
        self._places = places
        self._closed = closed
        self._now: dict[str, Seen] = {}
        self._hashes: dict[str, str] = {}
        self._scan()

    def result(self) -> tuple[tuple[Change, ...], tuple[str, ...]]:
        now, was = self._now, self._original
        new = [path for path in now if path not in was or not _same_kind(now[path], was[path])]
        gone = [path for path in was if path not in now or not _same_kind(now[path], was[path])]
        moves = self._moves(new, gone)
        from_, to = set(moves), set(moves.values())
        folders = [Change("make_folder", self._host(p), mode=_bits(now[p])) for p in new if now[p].folder]
        folders = [c for c in folders if not _inside(os.path.relpath(c.path, self._workspace), to)]
        created = [self._created(path) for path in new if not now[path].folder and not _inside(path, to)]
        changed = [change for path in now if path in was and path not in new and (change := self._changed(path))]
        moved = [
            Change("move", self._host(a), dest=self._host(b), before=self._before(a), size=self._original[a].size)
            for a, b in moves.items()
        ]
        removed = self._removed([path for path in gone if not _inside(path, from_)], moves)
        return (*folders, *created, *changed, *moved, *removed), tuple(self._left_out)

    def _host(self, path: str) -> str:
        return os.path.join(self._workspace, path)

    def _scan(self) -> None:
        pending = [""]
        while pending:
            folder = os.path.join(self._stage, pending.pop())
            if not os.access(folder, os.R_OK | os.X_OK):
                os.chmod(folder, stat.S_IMODE(os.lstat(folder).st_mode) | 0o700)
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                path = os.path.relpath(entry.path, self._stage)
                seen = look(entry.path)
                if seen.inode in self._places:
                    continue
                if not (seen.folder or seen.link or seen.file):
                    self._left_out.append(path)
                    continue
                self._now[path] = seen
                if seen.folder:
                    pending.append(path)
                elif seen.file and not seen.mode & 0o400:
                    os.chmod(entry.path, stat.S_IMODE(seen.mode) | 0o400)
        self._now = dict(sorted(self._now.items(), key=lambda item: item[0].split("/")))

    # ------------------------------------------------------------ content

    def _hash(self, path: str) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256(os.path.join(self._stage, path))
        return self._hashes[path]

    def _before(self, path: str) -> str | None:
        """What the workspace had here as it was copied, as `Change.before` says it."""
        was = self._original[path]
        host = self._host(path)
        try:
            if was.folder:
                return (fingerprint(host) if self._same_tree(host) else None) or _STALE
            if was.link:
                return (fingerprint(host) if look(host) == was else None) or _STALE
            if look(host) != was:
                return _STALE
            digest = sha256(host)
            return digest if look(host) == was else _STALE
        except OSError:
            return _STALE

    def _same_tree(self, folder: str) -> bool:
        """Whether the workspace's folder holds nothing that was not in it, as it was, at the copy."""
        pending = [folder]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    path = os.path.relpath(entry.path, self._workspace)
                    if path in self._left_out:
                        continue
                    was, now = self._original.get(path), look(entry.path)
                    if was is None or not (now == was or (now.folder and was.folder)):
                        return False
                    if now.folder:
                        pending.append(entry.path)
        return True

    def _untouched(self, path: str) -> bool:
        return self._now[path] == self._staged.get(path)

    def _created(self, path: str) -> Change:
        seen, real = self._now[path], os.path.join(self._stage, path)
        if seen.link:
            return Change("link", self._host(path), content=os.readlink(real), before="")
        return Change(
            "write",
            self._host(path),
            content=real,
            before="",
            after=self._hash(path),
            size=seen.size,
            mode=_bits(seen),
            mtime_ns=seen.mtime_ns,
        )

    def _changed(self, path: str) -> Change | None:
        if self._untouched(path):
            return None
        seen, was, real = self._now[path], self._original[path], os.path.join(self._stage, path)
        mode = _bits(seen) if _bits(seen) != _bits(was) else None
        if seen.link:
            target = os.readlink(real)
            old = None
            with contextlib.suppress(OSError):
                old = os.readlink(self._host(path))
            return Change("link", self._host(path), content=target) if target != old else None
        if seen.folder:
            return Change("chmod", self._host(path), mode=mode) if mode is not None else None
        before = self._before(path)
        after = self._hash(path)
        if after == before and seen.mtime_ns == was.mtime_ns and self._same_attributes(path, path):
            return Change("chmod", self._host(path), before=before, mode=mode) if mode is not None else None
        return Change(
            "write",
            self._host(path),
            content=real,
            before=before,
            after=after,
            size=seen.size,
            mode=mode,
            mtime_ns=seen.mtime_ns,
        )

    def _same_attributes(self, old: str, new: str) -> bool:
        """Whether `new` in the view has the extended attributes that `old` has in the workspace."""
        if not hasattr(os, "listxattr"):
            return True
        with contextlib.suppress(OSError):
            one, two = self._host(old), os.path.join(self._stage, new)
            names = [n for n in os.listxattr(two) if n.startswith("user.")]
            return names == [n for n in os.listxattr(one) if n.startswith("user.")] and all(
                os.getxattr(one, name) == os.getxattr(two, name) for name in names
            )
        return True

    # ------------------------------------------------------------ moves and removals

    def _moves(self, new: Sequence[str], gone: Sequence[str]) -> dict[str, str]:
        """Old path -> new path, for what is the same thing at another place and was not there before."""
        moves: dict[str, str] = {}
        missing = [path for path in gone if path not in self._now and _under_folders(path, self._now)]
        by_inode = {self._staged[path].inode: path for path in missing if path in self._staged}
        fresh = [path for path in new if path not in self._original and _under_folders(path, self._original)]
        for path in fresh:
            old = by_inode.get(self._now[path].inode)
            if old is None or old in moves or _inside(path, set(moves.values())):
                continue
            if (self._now[path].folder and self._whole(old, path)) or (
                self._now[path].file and not _inside(old, set(moves)) and self._same_file(old, path)
            ):
                moves[old] = path
        moves = {old: path for old, path in moves.items() if not _inside(old, set(moves) - {old})}
        by_size: dict[int, list[str]] = {}
        for old in missing:
            if self._original[old].file and self._original[old].size and not _inside(old, set(moves)):
                by_size.setdefault(self._original[old].size, []).append(old)
        for path in fresh:
            if not self._now[path].file or _inside(path, set(moves.values())):
                continue
            for old in by_size.get(self._now[path].size, ()):
                if old not in moves and self._same_file(old, path):
                    moves[old] = path
                    break
        return moves

    def _same_file(self, old: str, new: str) -> bool:
        one, two = self._original[old], self._now[new]
        if not one.file or one.size != two.size or _bits(one) != _bits(two) or one.mtime_ns != two.mtime_ns:
            return False
        return self._before(old) == self._hash(new) and self._same_attributes(old, new)

    def _whole(self, old: str, new: str) -> bool:
        """Whether the folder `new` is all of what `old` was, and nothing else."""
        before = {p[len(old) :]: s for p, s in self._staged.items() if p.startswith(old + "/")}
        after = {p[len(new) :]: s for p, s in self._now.items() if p.startswith(new + "/")}
        return (
            _bits(self._original[old]) == _bits(self._now[new])
            and before == after
            and not any(_inside(path, {old}) for path in self._left_out)
        )

    def _removed(self, gone: list[str], moves: Mapping[str, str]) -> list[Change]:
        """Whole folders where nothing of them lives on, else piece by piece, deepest first."""
        removed: list[Change] = []
        whole: set[str] = set()
        for path in sorted(gone, key=lambda path: path.split("/")):
            if _inside(path, whole):
                continue
            seen = self._original[path]
            if seen.folder and any(old.startswith(path + "/") for old in self._closed):
                # What the program could not see is not its to remove.
                continue
            if seen.folder and any(old.startswith(path + "/") for old in (*moves, *self._left_out)):
                removed.insert(0, Change("trash", self._host(path), before=self._before(path)))
                continue
            if seen.folder:
                whole.add(path)
                removed.insert(0, Change("trash", self._host(path), before=self._before(path)))
            else:
                removed.insert(0, Change("trash", self._host(path), before=self._before(path), size=seen.size))
        return removed


def _bits(seen: Seen) -> int:
    return stat.S_IMODE(seen.mode)


def _same_kind(one: Seen, two: Seen) -> bool:
    return stat.S_IFMT(one.mode) == stat.S_IFMT(two.mode)


def _under_folders(path: str, others: Mapping[str, Seen]) -> bool:
    """Whether nothing above `path` is a file in `others`: no move can wait for a file to go first."""
    while path := os.path.dirname(path):
        if path in others and not others[path].folder:
            return False
    return True


def _inside(path: str, tops: set[str]) -> bool:
    """Whether `path` is one of `tops` or below one."""
    while path:
        if path in tops:
            return True
        path = os.path.dirname(path)
    return False
