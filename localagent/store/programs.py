"""Which file a command means, and what is in it: an approval holds for these bytes only."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from functools import lru_cache

_MOST = 512 * 1024 * 1024
# What the system's own packages bring changes with every update, and only an administrator can change it.
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/nix/", "/snap/", "/System/")


def resolve(word: str, folder: str, search_path: Sequence[str]) -> str:
    """The real path of a program, "" where there is none: a word with a slash from `folder`, else in `search_path`."""
    if not word or "\0" in word:
        return ""
    places = (
        [os.path.join(folder, os.path.expanduser(word))]
        if "/" in word
        else [os.path.join(place, word) for place in search_path]
    )
    found = next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), "")
    return os.path.realpath(found) if found else ""


def content(path: str) -> str:
    """The sha256 of a plain file, "" where there is none or it cannot be read; of a huge one its size and time."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(facts.st_mode):
        return ""
    if facts.st_size > _MOST:
        return f"{facts.st_size}:{facts.st_mtime_ns}"
    return _digest(path, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@lru_cache(maxsize=256)
def _digest(path: str, *known: int) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def identity(word: str, folder: str, search_path: Sequence[str]) -> str:
    """What a rule that was kept for this program holds for: its path and, but for the system's own, its bytes."""
    path = resolve(word, folder, search_path)
    if not path or (path.startswith(_SYSTEM) and not path.startswith(folder.rstrip("/") + "/")):
        return path
    return f"{path}:{content(path)}"
