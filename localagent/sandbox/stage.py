"""The workspace as one call sees it: a view it may change, and the difference as a change list.

The view is a copy, which shares its blocks with the workspace where the file system can. What the
program did not touch is known by inode and change time, which no program can set, so only what
differs is read again. A workspace too large to copy is overlaid instead, where the kernel lets us.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import stat
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StoreError
from ..store.atomic import store_error
from ..store.copying import copy_attributes, copy_file
from ..store.files import by_descriptor, open_unlinked, remove_tree
from ..store.secrets import SECRET_NAMES
from ..values import Change
from . import linux
from . import overlay as overlays
from .difference import Seen, difference, look
from .profile import Overlay

_T = TypeVar("_T")

# Change times tick this coarsely on some kernels; a write within one tick would look like none.
_TICK_S = 0.01
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Each takes a mount of its own.
_MOST_SECRETS = 300


class TooLarge(StoreError):
    """The workspace is over the budget: there is no view of it, however much room the disk has."""


@dataclass(frozen=True, slots=True)
class StageBudget:
    """The largest workspace that is copied for one call, and the largest (in files) that is overlaid.

    Up to `soon_files` and `soon_mb` a copy is quicker, and above an overlay is tried first. `copied` False
    copies none, `overlaid` False overlays none.
    """

    files: int = 20_000
    mb: int = 1024
    soon_files: int = 5_000
    soon_mb: int = 256
    overlay_files: int = 500_000
    copied: bool = True
    overlaid: bool = True


@dataclass(slots=True)
class _Size:
    """What lies in a workspace, counted no further than a decision needs; `secrets` are paths named like one."""

    files: int = 0
    bytes: int = 0
    secrets: list[str] = field(default_factory=list)


class View:
    """What a call may change: the staged copy at `path`, or (then `overlay` is given) the workspace at its
    own place, overlaid. `binds`, `overlay` and `secrets` (to be closed) are for the call's `Profile`.

    `left_out` names what is not in it: pipes, sockets, devices, files that may not be read, and
    secrets, of which only empty places are there (`places`, by inode) for the sandbox to close; those
    are `closed`, by path. It lives as long as the `open` block.
    """

    def __init__(self, workspace: str, path: str) -> None:
        self.workspace = workspace
        self.path = Path(path)
        self.original: dict[str, Seen] = {}
        self.staged: dict[str, Seen] = {}
        self.left_out: tuple[str, ...] = ()
        self.places: set[int] = set()
        self.closed: list[str] = []
        self.overlay: Overlay | None = None
        self.secrets: tuple[str, ...] = ()
        self._concerned: overlays.Concerned | None = None

    @property
    def binds(self) -> tuple[tuple[str, str], ...]:
        return ((self.workspace if self.overlay else str(self.path), self.workspace),)

    def is_overlaid(self, overlay: Overlay, begun: int, closed: Sequence[str]) -> None:
        top = self.workspace.rstrip("/") + "/"
        self.overlay, self.secrets = overlay, tuple(path for path in closed if path.startswith(top))
        self._concerned = overlays.Concerned(overlay, begun, self.secrets)

    def changes(self) -> tuple[Change, ...]:
        """What the program changed, as changes to the workspace; contents are files of this view.

        Order: folders, new, changed, moved, removed. `before` never matches where the
        workspace's own file has changed since it was copied, so that the commit refuses. Raises
        StoreError for paths that are too long to be carried over.
        """
        if self.overlay is not None and self._concerned is not None:
            seen = self._concerned
            seen.settle()
            changes, left_out = difference(
                self.workspace, self.overlay.upper, seen.original, {}, seen.left_out, (), seen.closed
            )
            self.left_out = left_out
            return changes
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
    A workspace over the budget is overlaid. Raises StoreError where that cannot be, or there is no room for the copy.
    """
    real = os.path.realpath(workspace)
    path = os.path.join(os.path.realpath(scratch), f"stage-{secrets.token_hex(6)}")
    view, limit = View(real, path), budget or StageBudget()
    stop = threading.Event()
    try:
        await _broken_off(asyncio.to_thread(_make_place, view), stop)
        size = await _broken_off(asyncio.to_thread(_measure, real, limit, stop), stop)
        fits = limit.copied and size.files <= limit.files and size.bytes <= limit.mb << 20
        small = fits and size.files <= limit.soon_files and size.bytes <= limit.soon_mb << 20
        refused = None
        if not small and (limit.overlaid or not fits):
            refused = await _overlay(view, size, limit, closed)
        if refused is not None and not fits:
            raise refused
        if view.overlay is None:
            await _broken_off(asyncio.to_thread(_fill, view, limit, stop, closed), stop)
            await asyncio.sleep(_TICK_S)
        yield view
    finally:
        await asyncio.shield(asyncio.to_thread(remove_tree, path))


async def _broken_off(work: Coroutine[Any, Any, _T], stop: threading.Event) -> _T:
    """Wait for a thread's work; when cancelled, stop it and wait until it has."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        with contextlib.suppress(StoreError):
            await running
        raise


async def _overlay(view: View, size: _Size, limit: StageBudget, closed: Sequence[str]) -> TooLarge | None:
    """Have the view overlaid; else the answer to who cannot have a copy either."""
    too_large = (
        f"{view.workspace} is too large to run a program on a copy of it: more than "
        f"{limit.files:,} files or {limit.mb:,} MB (counted {size.files:,} files, {size.bytes // 1048576:,} MB)."
    )
    hint = "Choose a smaller folder with --cwd."
    if not limit.overlaid:
        return TooLarge(too_large, hint)
    if size.files > limit.overlay_files:
        return TooLarge(f"{too_large} It is also too large to be overlaid ({limit.overlay_files:,} files).", hint)
    if len(size.secrets) > _MOST_SECRETS:
        return TooLarge(f"{too_large} It cannot be overlaid either: it holds {len(size.secrets):,} places for keys.", hint)
    made = await overlays.opened(view.workspace, str(view.path))
    if isinstance(made, str):
        return TooLarge(f"{too_large} {made}", hint)
    view.is_overlaid(*made, (*linux.closed(), *closed, *size.secrets))
    return None


def _make_place(view: View) -> None:
    path = str(view.path)
    try:
        if os.path.realpath(path).startswith(view.workspace.rstrip("/") + "/"):
            raise StoreError(
                f"{view.workspace} holds localagent's own working folder, so it cannot be copied for a program.",
                "Choose a folder inside it to work in.",
            )
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.mkdir(path, 0o700)
    except OSError as error:
        raise store_error(error, error.filename or path) from error


def _measure(workspace: str, limit: StageBudget, stop: threading.Event) -> _Size:
    """How large it is, and once that is more than is copied, where its secrets are."""
    size, pending = _Size(), [workspace]
    while pending and size.files <= limit.overlay_files:
        _go_on(stop)
        over = size.files > limit.files or size.bytes > limit.mb << 20
        if over and not limit.overlaid:
            break
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                size.files += 1
                if entry.is_symlink():
                    continue
                if entry.name.casefold() in SECRET_NAMES:
                    size.secrets.append(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif not over and entry.is_file(follow_symlinks=False):
                    size.bytes += entry.stat(follow_symlinks=False).st_blocks * 512
    return size


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise StoreError("The copy of the workspace was broken off.")


def _fill(view: View, budget: StageBudget, stop: threading.Event, closed: Sequence[str]) -> None:
    try:
        _Copy(view, budget, stop, closed).run()
    except OSError as error:
        raise store_error(error, str(view.path)) from error


def _leads(link: str) -> str:
    """Where a link leads; "" where another thing has taken its place."""
    try:
        return os.readlink(link)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return ""


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
        top = os.open(self._view.workspace, _FOLDER)
        try:
            while pending:
                pending += self._folder(top, pending.pop())
        finally:
            os.close(top)
        # Last, because a folder may be read-only, and because filling it changes its time.
        for path, info in reversed(self._folders):
            target = os.path.join(self._view.path, path)
            os.chmod(target, stat.S_IMODE(info.st_mode))
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
        for path in self._view.original:
            self._view.staged[path] = look(os.path.join(self._view.path, path))
        self._view.left_out = tuple(self._left_out)

    def _folder(self, top: int, folder: str) -> list[str]:
        """Copy what is in a folder; the paths of the folders in it, to be filled later.

        It is held open, and no link is followed to it: what is put in its place meanwhile is not what was looked at.
        """
        try:
            handle = open_unlinked(top, folder, _FOLDER)
        except (PermissionError, NotADirectoryError, FileNotFoundError):
            self._left_out.append(folder)
            return []
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            self._left_out.append(folder)
            return []
        try:
            entries = sorted(os.scandir(handle), key=lambda entry: entry.name)
            return [path for entry in entries if (path := self._entry(handle, folder, entry))]
        finally:
            os.close(handle)

    def _entry(self, handle: int, folder: str, entry: os.DirEntry[str]) -> str:
        """Copy one entry of the open folder; a folder's path is returned."""
        path = os.path.join(folder, entry.name)
        target = os.path.join(self._view.path, path)
        named_so = os.path.join(self._view.workspace, path)
        source = by_descriptor(os.path.dirname(named_so), handle, entry.name)
        try:
            info = entry.stat(follow_symlinks=False)
            named = entry.name.casefold() in SECRET_NAMES and not stat.S_ISLNK(info.st_mode)
            if named or named_so in self._closed:
                self._place(target, info)
                self._left_out.append(path)
                self._view.closed.append(path)
                return ""
            made = self._make(source, target, info)
        except FileNotFoundError:
            return ""
        except PermissionError:
            info, made = None, False
        except OSError as error:
            # A link or a folder where a file was a moment ago.
            if error.errno != errno.ELOOP:
                raise
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
            leads = _leads(source)
            if not leads:
                return False
            os.symlink(leads, target)
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
            if not stat.S_ISREG(os.fstat(reading).st_mode):
                raise OSError(errno.ELOOP, "it is no file any more", source)
            writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                # Owned by us: inside, nobody may write what belongs to somebody else.
                copy_file(reading, writing, owner=False)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _count(self, info: os.stat_result) -> None:
        _go_on(self._stop)
        if stat.S_ISREG(info.st_mode):
            self._bytes += info.st_blocks * 512
        files, limit = len(self._view.original), self._budget.mb * 1024 * 1024
        if files > self._budget.files or self._bytes > limit:
            raise TooLarge(f"{self._view.workspace} grew too large while it was copied.", "Try again.")
