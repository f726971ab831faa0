"""What came into being beside a program's work and would be run by others: put out of the way, not removed.

A mount can hold a file that is there. One that is not can only be looked for afterwards; empty
files in its place would stay behind, and some tools stumble over them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from ..store.protected import is_hook_place
from ..store.secrets import STARTING_NAMES

SUFFIX = ".held-back"
_ENTRIES = 50_000


class Watched:
    """The folders that a program may write to, as they are before it runs.

    Our own folders are left out: what lies there is judged before it becomes anything.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        from .linux import own_folders, under

        own = own_folders() if folders else ()
        self._folders = [real for path in folders if not under(real := os.path.realpath(path), own)]
        self._before = {path for folder in self._folders for path in _starting(folder)}

    def hold_back(self) -> tuple[str, ...]:
        """Rename what is new and would start something; returns where it lay."""
        held = []
        for folder in self._folders:
            for path in list(_starting(folder)):
                if path not in self._before and _rename(path):
                    held.append(path)
        return tuple(held)


def _starting(top: str) -> Iterator[str]:
    """Paths below that other programs act on by themselves; what is in one of them is not looked at."""
    pending, left = [top], _ENTRIES
    while pending and left > 0:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                left -= 1
                inside_git = "/.git/" in entry.path
                named = entry.name.casefold() in STARTING_NAMES and not inside_git
                if named or is_hook_place(entry.path) or entry.path.endswith("/.git/config"):
                    yield entry.path
                elif entry.is_dir(follow_symlinks=False) and entry.name != "objects":
                    pending.append(entry.path)


def _rename(path: str) -> bool:
    for number in range(1, 100):
        to = f"{path}{SUFFIX}" + (f"-{number}" if number > 1 else "")
        if not os.path.lexists(to):
            with contextlib.suppress(OSError):
                os.rename(path, to)
                return True
            return False
    return False
