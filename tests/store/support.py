"""What the tests of the journal share: trees that can be compared, and short words for commits."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from localagent.store.journal import Journal
from localagent.values import Change


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(root: Path) -> dict[str, tuple]:
    """Everything that undo promises to bring back."""
    found: dict[str, tuple] = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files, "."):
            path = Path(folder, name)
            info = path.lstat()
            what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            extra = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
            key = os.path.relpath(path, root)
            found[key] = (info.st_mode, info.st_mtime_ns, what, tuple(sorted(extra.items())))
    return found


def commit(journal: Journal, root: Path, *changes: Change):
    return journal.commit(changes, [root], session="s", call="c", label="test")


def leftovers(root: Path) -> list[str]:
    return [
        name for _, folders, files in os.walk(root) for name in (*folders, *files) if name.startswith(".localagent")
    ]
