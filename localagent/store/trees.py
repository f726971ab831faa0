"""A folder of others as bytes: read once, without following a link, and small enough to be looked at."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, StoreError

FILES = 500
BYTES = 20_000_000
_DEPTH = 8
_SKIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store"})
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Leaf:
    data: bytes
    program: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """Relative path (with `/`) -> the file. Empty folders are no part of it."""

    files: Mapping[str, Leaf]

    @property
    def sha256(self) -> str:
        """Of every path, of whether it may be run, and of every byte."""
        told = hashlib.sha256()
        for path, leaf in sorted(self.files.items()):
            told.update(f"{len(path.encode('utf-8', 'surrogateescape'))} {int(leaf.program)} {len(leaf.data)}\n".encode())
            told.update(path.encode("utf-8", "surrogateescape") + leaf.data)
        return told.hexdigest()


def read(folder: Path) -> Tree:
    """What lies in the folder; the folder itself may be reached through a link, nothing in it is.

    Raises ConfigError for links, devices, and more than `FILES` files or `BYTES` bytes; StoreError where it cannot be read.
    """
    files: dict[str, Leaf] = {}
    left = BYTES
    for path, directory, name, facts in _walk(folder):
        if len(files) >= FILES:
            raise ConfigError(f"{folder}: it holds more than {FILES} files.", "Take out what does not belong to it.")
        left -= facts.st_size
        if left < 0:
            raise ConfigError(f"{folder}: it holds more than {BYTES // 1_000_000} MB.", "Take out what does not belong to it.")
        files[path] = Leaf(_bytes(directory, name, path, left + facts.st_size), bool(facts.st_mode & 0o100))
    return Tree(files)


def _walk(folder: Path) -> Iterator[tuple[str, int, str, os.stat_result]]:
    """Relative path, open directory, name and facts of each file."""
    top = os.path.realpath(folder)

    def failed(error: OSError) -> None:
        raise StoreError(f"{error.filename or folder} cannot be read: {error.strerror}.")

    for place, folders, names, directory in os.fwalk(top, onerror=failed, follow_symlinks=False):
        inner = os.path.relpath(place, top).replace(os.sep, "/")
        prefix = "" if inner == "." else f"{inner}/"
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        if prefix.count("/") >= _DEPTH and folders:
            raise ConfigError(f"{folder}: {prefix}{folders[0]} lies too deep.", f"At most {_DEPTH} folders lie in each other.")
        for name in folders:
            if stat.S_ISLNK(os.lstat(name, dir_fd=directory).st_mode):
                raise _a_link(folder, prefix + name)
        for name in sorted(names):
            if name in _SKIPPED:
                continue
            facts = os.lstat(name, dir_fd=directory)
            if stat.S_ISLNK(facts.st_mode):
                raise _a_link(folder, prefix + name)
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigError(f"{folder}: {prefix}{name} is no plain file.", "Take it out.")
            yield prefix + name, directory, name, facts


def _a_link(folder: Path, path: str) -> ConfigError:
    return ConfigError(f"{folder}: {path} is a link, and what it leads to may change.", "Put the file itself there.")


def _bytes(directory: int, name: str, path: str, most: int) -> bytes:
    try:
        with open(os.open(name, _FLAGS, dir_fd=directory), "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > most:
        raise ConfigError(f"{path} grows while it is read.", "Try again later.")
    return data


def write(tree: Tree, folder: Path) -> None:
    """Lay the files out in a new folder, for its owner alone. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True)
    for path, leaf in tree.files.items():
        place = folder / path
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700 if leaf.program else 0o600), "wb") as file:
            file.write(leaf.data)
