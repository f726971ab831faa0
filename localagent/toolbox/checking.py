"""Whether a check holds, as far as it looks at files: through descriptors that no link leads out of the workspace, within bounds."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import time
from collections.abc import Callable, Iterator
from functools import lru_cache

from ..errors import StoreError
from ..store.files import Root
from .checks import Check

READ = 10_000_000
"""Bytes of a file that are looked at."""
_ENTRIES = 50_000
_SECONDS = 5.0
_OUTSIDE = "it lies outside of the folder that is worked in"

MayRead = Callable[[str], bool]
"""Whether the rules let the model read this absolute path unasked."""


def place(path: str, workspace: str) -> str | None:
    """The path from the workspace on, "" for itself, None where it lies outside."""
    whole = posixpath.normpath(posixpath.join(workspace, path))
    base = workspace.rstrip("/")
    if whole in (workspace, base):
        return ""
    return whole[len(base) + 1 :] if whole.startswith(base + "/") else None


def fails(check: Check, workspace: str, may_read: MayRead) -> str:
    """Why a check of files does not hold, "" where it does. What cannot be looked at does not hold."""
    inside = place(check.path, workspace)
    if inside is None:
        return _OUTSIDE
    try:
        with Root(workspace) as root:
            if check.kind == "count":
                return _count(check, root, inside, may_read)
            if not may_read(posixpath.join(workspace, inside)):
                return "the rules do not let the agent look at it"
            if check.kind == "contains":
                return _contains(check, root, inside)
            return _there(check, root, inside)
    except StoreError as error:
        return str(error)
    except (OSError, ValueError) as error:
        return f"it cannot be looked at: {getattr(error, 'strerror', None) or error}"


def _there(check: Check, root: Root, inside: str) -> str:
    found = root.stat(inside)
    if check.kind == "absent":
        return "it is there" if found is not None else ""
    if found is None:
        return "there is no such file or folder"
    return "" if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) else "it is neither a file nor a folder"


def _contains(check: Check, root: Root, inside: str) -> str:
    try:
        fd = root.open(inside)
    except FileNotFoundError:
        return "there is no such file"
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return "it is no file"
        if found.st_size > READ:
            return f"the file is larger than {READ // 1_000_000} MB"
        return "" if check.text.encode("utf-8", "surrogateescape") in file.read(READ) else "the text is not in it"


def _count(check: Check, root: Root, inside: str, may_read: MayRead) -> str:
    folders = check.path.endswith("/")
    pattern = _glob(inside)
    number, until = 0, time.monotonic() + _SECONDS
    for seen, (name, is_folder) in enumerate(_walk(root, "**" in inside, inside.count("/"))):
        if seen > _ENTRIES or time.monotonic() > until:
            return "there are too many files to count"
        if is_folder == folders and pattern.fullmatch(name) and may_read(posixpath.join(root.path, name)):
            number += 1
    if check.low <= number and (check.high is None or number <= check.high):
        return ""
    return f"there {'is' if number == 1 else 'are'} {number}"


def _walk(root: Root, deep: bool, depth: int) -> Iterator[tuple[str, bool]]:
    """Names beneath the folder, each with whether it is a folder; links and special files are neither."""
    for folder, folders, files, fd in os.fwalk(dir_fd=root.fd, follow_symlinks=False):
        base = "" if folder == "." else folder.removeprefix("./") + "/"
        for name in folders:
            if stat.S_ISDIR(_mode(name, fd)):
                yield base + name, True
        for name in files:
            if stat.S_ISREG(_mode(name, fd)):
                yield base + name, False
        if not deep and base.count("/") >= depth:
            folders.clear()


def _mode(name: str, fd: int) -> int:
    """What it is, 0 where it has just gone."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


@lru_cache(maxsize=64)
def _glob(glob: str) -> re.Pattern[str]:
    out, at = "", 0
    while at < len(glob):
        if glob.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif glob.startswith("**", at):
            out, at = out + ".*", at + 2
        else:
            out, at = out + {"*": "[^/]*", "?": "[^/]"}.get(glob[at], re.escape(glob[at])), at + 1
    return re.compile(out, re.DOTALL)
