"""Finds in a folder what starts programs by itself: git's hooks and configuration, and files of certain names."""

from __future__ import annotations

import contextlib
import os

# How far down, and in how many folders, a folder is looked through.
_DEEP, _LOOKED = 4, 600


def held(root: str, names: frozenset[str]) -> list[tuple[str, bool]]:
    """Relative paths: True for what is to be kept as it is, False for the folders above, which must stay in their place."""
    found: dict[str, bool] = {}
    level, looked = [""], 0
    for _ in range(_DEEP):
        deeper: list[str] = []
        for folder in level:
            looked += 1
            if looked > _LOOKED:
                return list(found.items())
            with contextlib.suppress(OSError), os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    kept = _kept(root, path, entry, names)
                    for held_path in kept:
                        found[held_path] = True
                        _stay(found, os.path.dirname(held_path))
                    if entry.name == ".git":
                        _stay(found, path if entry.is_dir(follow_symlinks=False) else folder)
                    elif not kept and entry.is_dir(follow_symlinks=False):
                        deeper.append(path)
        level = deeper
    return list(found.items())


def _stay(found: dict[str, bool], path: str) -> None:
    """This folder and all above it stay where they are, though they may be worked in."""
    while path:
        found.setdefault(path, False)
        path = os.path.dirname(path)


def _kept(root: str, path: str, entry: os.DirEntry[str], names: frozenset[str]) -> list[str]:
    """What of this entry is kept as it is."""
    if entry.name == ".git":
        if entry.is_dir(follow_symlinks=False):
            return _leading(root, path)
        return [*([] if entry.is_symlink() else [path]), *_elsewhere(root, path)]
    return [path] if entry.name.casefold() in names and not entry.is_symlink() else []


def _leading(root: str, repository: str) -> list[str]:
    """What of a repository has git run programs, where it is there."""
    places = (os.path.join(repository, name) for name in ("hooks", "config", "config.worktree"))
    return [place for place in places if os.path.lexists(os.path.join(root, place))]


def _elsewhere(root: str, pointer: str) -> list[str]:
    """The same for a repository that a link or a file called `.git` leads to, where that is in the folder too."""
    path = os.path.join(root, pointer)
    target = os.path.realpath(path)
    if not os.path.islink(path):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                named = file.read(4096).removeprefix("gitdir:").strip()
        except OSError:
            return []
        target = "" if "\0" in named else os.path.realpath(os.path.join(os.path.dirname(path), named))
    if not target.startswith(root.rstrip("/") + "/"):
        return []
    return _leading(root, os.path.relpath(target, root))
