"""Sees, while it runs, that files change in a folder: a hint to look, never the last word.

A folder of a moderate number of folders is watched whole. Of a larger one, or one that lies over several
disks, only its top and the folders of the files that were named are. Where the system refuses (its limit
of watches is spent) nothing is watched, and `problem` says why. Links are not followed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

# Each folder costs a watch of the kernel; of those a user has some tens of thousands, for all programs together.
FOLDERS = 2_000
# Each watch of its own costs a thread.
FEW = 32
_COUNTING_S = 2.0
_QUIET_S = 0.25
_LONGEST_S = 1.0
# More in one burst are not looked at one by one: each costs some 70 microseconds. Then nothing is heard for a while.
_EVENTS = 5_000
_DEAF_S = 3.0
SKIPPED = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".mypy_cache", ".Trash"})

Heard = Callable[[frozenset[str] | None], None]


class Watch:
    """Watches `folder`. `heard` is called from a thread with the paths that changed, None for too many to name.

    A burst is told once it is over, or each second; what lies in `SKIPPED` folders is not told. In a storm the watches are
    taken off for some seconds, so that it costs nothing.
    """

    def __init__(self, folder: str, heard: Heard) -> None:
        self._top = os.path.realpath(folder)
        self._heard = heard
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._events = 0
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._observer: BaseObserver | None = None
        self._watched: dict[str, Any] = {}
        self._whole = False
        self._wanted: set[str] = set()
        self.problem = ""
        self.ready = threading.Event()

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Begin, in threads of its own: nothing of it is waited for, not even a dead network drive."""
        threading.Thread(target=self._begin, name="watch", daemon=True).start()

    def stop(self) -> None:
        """End it, without waiting for its threads."""
        self._ended.set()
        self._wake.set()
        with self._lock:
            observer, self._observer = self._observer, None
        if observer is not None:
            threading.Thread(target=_ended, args=(observer,), daemon=True).start()

    @property
    def whole(self) -> bool:
        """Whether all of the folder is watched."""
        return self._whole

    def also(self, files: Iterable[str]) -> None:
        """Watch the folders of these files too, as far as there is room. Call it from a thread."""
        if not self.ready.is_set():
            self._wanted |= set(files)
            return
        for file in files:
            folder = os.path.dirname(file)
            if not (self._whole and _beneath(folder, self._top)) and len(self._watched) < FEW:
                self._add(folder, recursive=False)

    # ------------------------------------------------------------ watching

    def _begin(self) -> None:
        try:
            # Loaded here: it takes longer than a frame.
            from watchdog.observers import Observer

            whole = moderate(self._top)
            observer = Observer()
            observer.daemon = True
            observer.start()
            with self._lock:
                if self._ended.is_set():
                    _ended(observer)
                    return
                self._observer = observer
            self._whole = whole and self._add(self._top, recursive=True)
            if not self._whole:
                self._add(self._top, recursive=False)
        except Exception as error:  # noqa: BLE001 - a hint that is not to be had must not stop anything
            self.problem = self.problem or f"{type(error).__name__}: {error}"
        self.ready.set()
        self.also(self._wanted)
        while not self._ended.is_set():
            self._tell()

    def _add(self, folder: str, *, recursive: bool) -> bool:
        """False, with `problem`, where the system has no watch left for it."""
        if folder in self._watched:
            return True
        observer = self._observer
        if observer is None:
            return False
        try:
            made = observer.schedule(_handler(self._note), folder, recursive=recursive, event_filter=_events())
            self._watched[folder] = (made, recursive)
        except Exception as error:  # noqa: BLE001 - each platform has errors of its own
            self.problem = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return False
        self.problem = ""
        return True

    def _note(self, path: str) -> None:
        self._events += 1
        if self._events > _EVENTS:
            self._wake.set()
        elif not _skipped(path, self._top):
            with self._lock:
                self._paths.add(path)
            self._wake.set()

    def _tell(self) -> None:
        self._wake.wait()
        began = time.monotonic()
        while not self._ended.is_set() and time.monotonic() - began < _LONGEST_S and self._events <= _EVENTS:
            self._wake.clear()
            if not self._wake.wait(_QUIET_S):
                break
        many = self._events > _EVENTS
        if many:
            self._deaf()
        self._wake.clear()
        with self._lock:
            paths = frozenset(self._paths)
            self._paths.clear()
            self._events = 0
        if not self._ended.is_set() and (paths or many):
            # The one who listens may be gone by now.
            with contextlib.suppress(RuntimeError):
                self._heard(None if many else paths)


    def _deaf(self) -> None:
        """No watch at all for a while, then the same ones again; what changed meanwhile is told as too much to name."""
        watched, observer = dict(self._watched), self._observer
        if observer is None:
            return
        with contextlib.suppress(Exception):
            observer.unschedule_all()
        self._watched.clear()
        self._ended.wait(_DEAF_S)
        for folder, (_, recursive) in watched.items():
            if not self._ended.is_set():
                self._add(folder, recursive=recursive)


def _ended(observer: Any) -> None:
    with contextlib.suppress(Exception):
        observer.stop()


def _events() -> list[Any]:
    """Only what changes something: a tool that reads must not be heard."""
    from watchdog import events

    names = "Created Deleted Moved Modified".split()
    return [getattr(events, f"{kind}{name}Event") for kind in ("File", "Dir") for name in names if (kind, name) != ("Dir", "Modified")]


def _handler(note: Callable[[str], None]) -> Any:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            for path in (event.src_path, event.dest_path):
                if path:
                    note(os.fsdecode(path))

    return Handler()


def _beneath(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip(os.sep) + os.sep)


def _skipped(path: str, top: str) -> bool:
    inner = path[len(top) :] if _beneath(path, top) else os.path.basename(path)
    parts = inner.strip(os.sep).split(os.sep)
    # The journal's own temporary names come and go within a commit.
    return not SKIPPED.isdisjoint(parts) or (parts[-1].startswith(".localagent-") and parts[-1].endswith(".tmp"))


def moderate(top: str, most: int = FOLDERS) -> bool:
    """Whether so few folders lie beneath `top`, all on its disk, and it takes no long time to see that."""
    until, found, todo = time.monotonic() + _COUNTING_S, 0, [top]
    try:
        disk = os.stat(top).st_dev
    except OSError:
        return False
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found += 1
                        if found > most or entry.stat(follow_symlinks=False).st_dev != disk:
                            return False
                        todo.append(entry.path)
        except OSError:
            continue
        if time.monotonic() > until:
            return False
    return True
