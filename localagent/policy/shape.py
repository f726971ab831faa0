"""Which folders are repositories of git by what is in them, once all changes of a call are made."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from ..values import Change
from . import repository
from .context import Context, beneath

_HOLDS = ("HEAD", "objects", "refs")
# What makes git run programs, or leads it elsewhere, by lying in a repository.
_ORDERS = ("config", "config.worktree", "commondir", "gitdir", "hooks", "info/attributes", "rebase-merge")
_MAKES = frozenset({"write", "link", "make_folder"})


class Shape:
    """What is there now and what these changes add; what they take away is not regarded."""

    def __init__(self, changes: Sequence[Change], ctx: Context) -> None:
        self._ctx = ctx
        self._made: set[str] = set()
        self._folders: set[str] = set()
        self._brought: dict[str, list[str]] = {}
        self._known: dict[str, bool] = {}
        for change in changes:
            if change.dest is not None:
                for form in ctx.forms(change.dest):
                    self._brought.setdefault(form, []).append(change.path)
            elif change.kind in _MAKES:
                for form in ctx.forms(change.path):
                    self._make(repository.plain(form), change.kind == "make_folder")
        for dest in self._brought:
            self._make(repository.plain(dest), False)

    def _make(self, path: str, folder: bool) -> None:
        if folder:
            self._folders.add(path)
        while path and path not in self._made:
            self._made.add(path)
            path = path.rpartition("/")[0]
            self._folders.add(path)

    def refusal(self, path: str, kind: repository.Kind, after: str | None, source: str | None) -> str:
        """Why this may not be done to the path, for the repositories it lies in whatever their names, or "".

        `source` is where a move or copy comes from.
        """
        for folder in _above(path):
            named = repository.plain(folder).rpartition("/")[2] == ".git"
            if not named and not self.is_repository(folder):
                continue
            rest = path[len(folder) + 1 :]
            if not named and not repository.may(rest, kind, after):
                return f"{path} makes git run programs"
            if source is not None and self.is_folder(source) and not _within(folder, source, rest):
                return f"what lies in {source} would come into git's own folder unseen"
            if named:
                return ""
        return ""

    def completes(self, path: str) -> str:
        """Why this path may not make its folder a repository: orders for git lie there already, or ""."""
        for folder in _above(path):
            if not self.is_repository(folder) or self._is_now(folder) or ".git" in repository.plain(folder).split("/"):
                continue
            if any(self._is_now(origin) for origin in self._origins(folder)):
                continue
            for name in _ORDERS:
                there = f"{folder}/{name}"
                if self._exists(there) or any(self._exists(origin) for origin in self._origins(there)):
                    return f"{path} makes {folder} a git repository, and {name} in it makes git run programs"
        return ""

    def is_repository(self, folder: str) -> bool:
        """Whether the folder holds what git takes for a repository, now or afterwards."""
        if folder not in self._known:
            self._known[folder] = all(self._there(f"{folder}/{name}") for name in _HOLDS)
        return self._known[folder]

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder, now or afterwards; True where that is not known."""
        look = self._ctx.folder
        if look is None or repository.plain(path) in self._folders:
            return True
        return look(path) or any(look(origin) for origin in self._origins(path))

    def _there(self, path: str) -> bool:
        if repository.plain(path) in self._made or self._exists(path):
            return True
        return any(self._exists(origin) for origin in self._origins(path))

    def _is_now(self, folder: str) -> bool:
        return all(self._exists(f"{folder}/{name}") for name in _HOLDS)

    def _exists(self, path: str) -> bool:
        return self._ctx.exists is not None and self._ctx.exists(path)

    def _origins(self, path: str) -> Iterator[str]:
        """Where what comes to lie at this path lies now."""
        for dest in (path, *_above(path)) if self._brought else ():
            for source in self._brought.get(dest, ()):
                yield source + path[len(dest) :]


def _within(folder: str, source: str, rest: str) -> bool:
    """Whether a folder stays in the same part of its repository (a branch `a/b` that is renamed)."""
    if not beneath(source, folder) or source == folder:
        return False
    first = source[len(folder) + 1 :].partition("/")[0]
    return first == rest.partition("/")[0] and first in ("refs", "logs", "objects") and "/" in rest


def _above(path: str) -> Iterator[str]:
    """The folders that the path lies in, the innermost first."""
    while (path := posixpath.dirname(path)) not in ("/", ""):
        yield path
