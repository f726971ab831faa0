"""How far one commit may reach: folders, and single paths outside them that were agreed to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
        real = _resolved(given)
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


def reach(changes: Sequence[Change], workspace: Path | str) -> list[str]:
    """The roots with which `Journal.commit` can carry out changes that were all agreed to.

    The workspace, and of what lies outside it each path itself; for an existing folder that
    moves, goes or is copied it is the folder that holds it.
    """
    root = Reach.of(os.fspath(workspace))
    found = [os.fspath(workspace)]
    for path in (path for change in changes for path in (change.path, change.dest) if path):
        if not root.holds(_resolved(path)):
            folder = os.path.isdir(path) and not os.path.islink(path)
            found.append(os.path.dirname(path) if folder else path)
    return list(dict.fromkeys(found))


def _resolved(path: str) -> str:
    """The path with every link in it followed but the last."""
    plain = os.path.normpath(path)
    return os.path.join(os.path.realpath(os.path.dirname(plain)), os.path.basename(plain))
