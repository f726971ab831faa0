"""The workspace as one call sees it: a copy it may change, and the difference as a change list.

The copy shares its blocks with the workspace where the file system can. What the program
did not touch is known by inode and change time, which no program can set, so only what
differs is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import stat
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from ..store.atomic import store_error
from ..store.copying import copy_attributes, copy_file
from ..store.files import remove_tree
from ..store.secrets import SECRET_NAMES
from ..values import Change
from . import linux
from .difference import Seen, difference, look

# Change times tick this coarsely on some kernels; a write within one tick would look like none.
_TICK_S = 0.01


@dataclass(frozen=True, slots=True)
class StageBudget:
    """The largest workspace that is copied for one call."""

    files: int = 20_000
    mb: int = 1024


class View:
    """The staged copy at `path`. `left_out` names what is not in it: pipes, sockets, devices, files
    that may not be read, and secrets, of which only empty places are there (`places`, by inode) for
    the sandbox to close; those are `closed`, by path. It lives as long as the `open` block."""

    def __init__(self, workspace: str, path: str) -> None:
        self.workspace = workspace
        self.path = Path(path)
        self.original: dict[str, Seen] = {}
        self.staged: dict[str, Seen] = {}
        self.left_out: tuple[str, ...] = ()
        self.places: set[int] = set()
        self.closed: list[str] = []

    def changes(self) -> tuple[Change, ...]:
        """What the program changed, as changes to the workspace; contents are files of this view.

        Order: folders, new, changed, moved, removed. `before` never matches where the
        workspace's own file has changed since it was copied, so that the commit refuses. Raises
        StoreError for paths that are too long to be carried over.
        """
        changes, left_out = difference(
            self.workspace, str(self.path), self.original, self.staged, self.left_out, self.places, self.closed
        )
        self.left_out = left_out
        return changes


@contextlib.asynccontextmanager
async def open(
    workspace: Path, scratch: Path, budget: StageBudget | None = None, closed: Sequence[str] = ()
) -> AsyncIterator[View]:
    """Stage `workspace` in a new folder in `scratch`, and remove it at the end of the block.

    The real paths `closed` are left out like secrets, and so is what is named like a place for keys.
    Raises StoreError when the workspace is over the budget, or there is no room for the copy.
    """
    real = os.path.realpath(workspace)
    path = os.path.join(os.path.realpath(scratch), f"stage-{secrets.token_hex(6)}")
    view = View(real, path)
    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(_fill, view, budget or StageBudget(), stop, closed))
    try:
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(StoreError):
                await work
            raise
        await asyncio.sleep(_TICK_S)
        yield view
    finally:
        await asyncio.shield(asyncio.to_thread(remove_tree, path))


def _fill(view: View, budget: StageBudget, stop: threading.Event, closed: Sequence[str]) -> None:
    path = str(view.path)
    try:
        if os.path.realpath(path).startswith(view.workspace.rstrip("/") + "/"):
            raise StoreError(
                f"{view.workspace} holds localagent's own working folder, so it cannot be copied for a program.",
                "Choose a folder inside it to work in.",
            )
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.mkdir(path, 0o700)
        _Copy(view, budget, stop, closed).run()
    except OSError as error:
        raise store_error(error, error.filename or path) from error


class _Copy:
    def __init__(self, view: View, budget: StageBudget, stop: threading.Event, closed: Sequence[str]) -> None:
        self._view = view
        self._budget = budget
        self._stop = stop
        self._bytes = 0
        self._linked: dict[tuple[int, int], str] = {}
        self._left_out: list[str] = []
        self._folders: list[tuple[str, os.stat_result]] = []
        self._closed = frozenset((*linux.closed(), *closed))

    def run(self) -> None:
        pending = [""]
        while pending:
            folder = pending.pop()
            try:
                entries = sorted(os.scandir(os.path.join(self._view.workspace, folder)), key=lambda entry: entry.name)
            except PermissionError:
                self._left_out.append(folder)
                continue
            pending += [path for entry in entries if (path := self._entry(folder, entry))]
        # Last, because a folder may be read-only, and because filling it changes its time.
        for path, info in reversed(self._folders):
            target = os.path.join(self._view.path, path)
            os.chmod(target, stat.S_IMODE(info.st_mode))
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
        for path in self._view.original:
            self._view.staged[path] = look(os.path.join(self._view.path, path))
        self._view.left_out = tuple(self._left_out)

    def _entry(self, folder: str, entry: os.DirEntry[str]) -> str:
        """Copy one entry; a folder's path is returned, to be filled later."""
        path = os.path.join(folder, entry.name)
        target = os.path.join(self._view.path, path)
        try:
            info = entry.stat(follow_symlinks=False)
            named = entry.name.casefold() in SECRET_NAMES and not stat.S_ISLNK(info.st_mode)
            if named or entry.path in self._closed:
                self._place(target, info)
                self._left_out.append(path)
                self._view.closed.append(path)
                return ""
            made = self._make(entry.path, target, info)
        except FileNotFoundError:
            return ""
        except PermissionError:
            info, made = None, False
        if info is None or not made:
            self._left_out.append(path)
            return ""
        self._view.original[path] = Seen.of(info)
        self._count(info)
        return path if stat.S_ISDIR(info.st_mode) else ""

    def _place(self, target: str, info: os.stat_result) -> None:
        """Something empty instead of a secret: without it there would be nothing to close."""
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(target, 0o700)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._view.places.add(os.lstat(target).st_ino)

    def _make(self, source: str, target: str, info: os.stat_result) -> bool:
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(target, 0o700)
            copy_attributes(source, target)
            self._folders.append((os.path.relpath(target, self._view.path), info))
        elif stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(source), target)
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
        elif not stat.S_ISREG(info.st_mode):
            return False
        elif twin := self._linked.get((info.st_dev, info.st_ino)):
            os.link(twin, target)
        else:
            self._copy(source, target)
            if info.st_nlink > 1:
                self._linked[info.st_dev, info.st_ino] = target
        return True

    def _copy(self, source: str, target: str) -> None:
        reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                # Owned by us: inside, nobody may write what belongs to somebody else.
                copy_file(reading, writing, owner=False)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _count(self, info: os.stat_result) -> None:
        if self._stop.is_set():
            raise StoreError("The copy of the workspace was broken off.")
        if stat.S_ISREG(info.st_mode):
            self._bytes += info.st_blocks * 512
        files, limit = len(self._view.original), self._budget.mb * 1024 * 1024
        if files > self._budget.files or self._bytes > limit:
            raise StoreError(
                f"{self._view.workspace} is too large to run a program on a copy of it: more than "
                f"{self._budget.files:,} files or {self._budget.mb:,} MB "
                f"(counted {files:,} files, {self._bytes // 1048576:,} MB).",
                "Choose a smaller folder with --cwd.",
            )
