"""Finds in a folder what starts programs by itself: git's hooks and configuration, and files of certain names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from ..errors import SandboxUnavailable

# How far down, and in how many folders, a staged copy is looked through: what changes there is judged.
_DEEP, _LOOKED = 4, 600
_ALL = 20_000


def held(root: str, names: frozenset[str], closed: Sequence[str] = ()) -> list[tuple[str, bool]]:
    """Relative paths: True for what is to be kept as it is, False for the folders above, which must stay in their place.

    With `names` the folder is worked on as it is, so all of it is looked through, and repositories are kept as
    they are: a new file in one (`commondir`) is enough to have git run programs while others use it. Raises
    SandboxUnavailable for one that is too large for that. What lies above a path of `closed` stays in its place too:
    moved along with it, that would be open to the next program, and be taken for this one's own work.
    """
    found: dict[str, bool] = {}
    for path in closed:
        _stay(found, os.path.dirname(path))
    level, looked, depth = [""], 0, 0
    while level and (names or depth < _DEEP):
        deeper: list[str] = []
        depth += 1
        for folder in level:
            looked += 1
            if names and looked > _ALL:
                told = f"{root} is too large to keep other programs' settings in it from a command that works on it."
                raise SandboxUnavailable(told, "Choose a smaller folder with --cwd.")
            if not names and looked > _LOOKED:
                return _outermost(found, closed)
            with contextlib.suppress(OSError), os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    kept = _kept(root, path, entry, names)
                    for held_path in kept:
                        found[held_path] = True
                        _stay(found, os.path.dirname(held_path))
                    if entry.name == ".git":
                        folder_of_it = entry.is_dir(follow_symlinks=False)
                        if names and folder_of_it:
                            found[path] = True
                        _stay(found, path if folder_of_it else folder)
                    elif not kept and entry.is_dir(follow_symlinks=False):
                        deeper.append(path)
        level = deeper
    return _outermost(found, closed)


def _outermost(found: dict[str, bool], closed: Sequence[str]) -> list[tuple[str, bool]]:
    """Without what lies in something that is kept or closed: opened again for writing it would be open."""
    kept = {path for path, whole in found.items() if whole} | set(closed)

    def inside(path: str) -> bool:
        while path := os.path.dirname(path):
            if path in kept:
                return True
        return False

    return [(path, whole) for path, whole in found.items() if path not in closed and not inside(path)]


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
        return [*([] if entry.is_symlink() else [path]), *_elsewhere(root, path, whole=bool(names))]
    return [path] if entry.name.casefold() in names and not entry.is_symlink() else []


def _leading(root: str, repository: str) -> list[str]:
    """What of a repository has git run programs, where it is there."""
    places = (os.path.join(repository, name) for name in ("hooks", "config", "config.worktree"))
    return [place for place in places if os.path.lexists(os.path.join(root, place))]


def _elsewhere(root: str, pointer: str, whole: bool) -> list[str]:
    """The same for a repository that a link or a file called `.git` leads to, where that is in the folder too;
    `whole` keeps all of it."""
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
    repository = os.path.relpath(target, root)
    return [repository] if whole and os.path.isdir(target) else _leading(root, repository)
