"""How far one commit may reach: folders, and single paths outside them that were agreed to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from ..errors import Conflict, StoreError
from ..values import Change


@dataclass(frozen=True, slots=True)
class Reach:
    """A folder, of which everything beneath it may change; or a path that is no folder (yet), which
    may itself be changed or made, with the folders it needs. `anchor` is the folder to start from."""

    given: str
    real: str
    anchor: str
    itself: bool

    @staticmethod
    def of(path: str) -> Reach:
        given = os.path.abspath(path)
        if os.path.isdir(given):
            real = os.path.realpath(given)
            return Reach(given, real, real, False)
        real = resolved(given)
        anchor = os.path.dirname(real)
        while not os.path.isdir(anchor):
            anchor = os.path.dirname(anchor)
        return Reach(given, real, anchor, True)

    def place(self, path: str) -> str | None:
        """The path relative to `anchor`, None where it is out of reach."""
        for folder in (self.given, self.real):
            if path.startswith(folder.rstrip("/") + "/") or (self.itself and path == folder):
                return os.path.relpath(self.real + path[len(folder.rstrip("/")) :], self.anchor)
        return None

    def holds(self, path: str) -> bool:
        return self.place(path) is not None


@dataclass(frozen=True, slots=True)
class Pinned(Sequence[str]):
    """How far changes reach, and where their paths led when that was looked up; as a sequence, the roots.

    Made before anybody is asked, so that what is agreed to is what is carried out: `commit`
    raises Conflict where a path leads elsewhere by then.
    """

    roots: tuple[str, ...]
    places: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.roots)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.roots[index]

    def check(self, changes: Sequence[Change]) -> None:
        """Raises Conflict if a path leads elsewhere than it did, StoreError if it is none of these."""
        for path, real in _places(changes).items():
            if path not in self.places:
                raise StoreError(f"{path} is not among what was agreed to.")
            if real != self.places[path]:
                raise Conflict(f"{path} leads elsewhere than it did: a folder in it was replaced.", "Try again.")


def reach(changes: Sequence[Change], workspace: Path | str) -> Pinned:
    """The roots with which `Journal.commit` can carry out changes that are all agreed to, as they lead now.

    The workspace, and of what lies outside it each path itself; for an existing folder that
    moves, goes or is copied it is the folder that holds it. To be called before the question is put.
    """
    root = Reach.of(os.fspath(workspace))
    found = [os.fspath(workspace)]
    places = _places(changes)
    for real in places.values():
        if not root.holds(real):
            folder = os.path.isdir(real) and not os.path.islink(real)
            found.append(os.path.dirname(real) if folder else real)
    return Pinned(tuple(dict.fromkeys(found)), places)


def _places(changes: Sequence[Change]) -> dict[str, str]:
    """Where each path of the changes leads, a folder looked up once."""
    folders: dict[str, str] = {}
    found: dict[str, str] = {}
    for path in (path for change in changes for path in (change.path, change.dest) if path):
        folder, name = os.path.split(os.path.normpath(path))
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        found[path] = os.path.join(folders[folder], name)
    return found


def resolved(path: str) -> str:
    """The path with every link in it followed but the last."""
    plain = os.path.normpath(path)
    return os.path.join(os.path.realpath(os.path.dirname(plain)), os.path.basename(plain))
