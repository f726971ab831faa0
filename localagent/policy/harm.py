"""Which changes are too large or too delicate to be committed without a word, though they could be undone."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..values import Change
from .context import Context, beneath

MOST_LOST = 10
_NAMED = 5
_MOVES = re.compile(r"\b(?:mv|rename)\b")
_DELETES = re.compile(r"\b(?:rm|rmdir|unlink|delete|remove|rmtree|trash|shred|git|rsync|make|clean)\b|-delete\b", re.IGNORECASE)

_DELICATE = frozenset(
    ".vscode .idea .envrc .mcp.json .env .husky .localagent .bashrc .bash_profile .profile .zshrc .zshenv .gitmodules "
    ".pre-commit-config.yaml .direnv .devcontainer".split()
)


def destroys(changes: Sequence[Change], ctx: Context) -> str:
    """Why these changes lose much at once, or ""."""
    lost = _lost(changes)
    deleted = _count_lost(lost, changes, ctx)
    if deleted > MOST_LOST:
        return f"it deletes {deleted} files at once"
    overwritten = sum(_overwrites(change) for change in changes)
    if overwritten > MOST_LOST:
        return f"it overwrites {overwritten} files at once"
    if lost and any(path == ctx.workspace for path in lost):
        return "it deletes the workspace itself"
    if ctx.count is not None and deleted > 1:
        whole = ctx.count(ctx.workspace)
        if deleted >= whole:
            return f"it deletes all {whole} files of the workspace"
    return ""


def overruns(script: str, changes: Sequence[Change], ctx: Context) -> str:
    """Why a script that only moves files would lose some of them, or "".

    Moving several files to one name keeps the last and loses the others; a script that deletes
    says so itself.
    """
    if not _MOVES.search(script) or _DELETES.search(script):
        return ""
    lost = _lost(changes)
    if _count_lost(lost, changes, ctx) == 0:
        return ""
    names = ", ".join(sorted(posixpath.relpath(path, ctx.workspace) for path in lost)[:_NAMED])
    return f"it only moves files, and yet the contents of {names} would be lost (another file would take their place)"


def harms(changes: Sequence[Change], ctx: Context) -> str:
    """Why one of these changes deserves a look, or ""."""
    for change in changes:
        for path in (change.path, change.dest):
            if path is None or (change.kind == "copy" and path == change.path):
                continue
            name = _delicate(path, ctx)
            if name:
                return f"other programs act on {name} by themselves"
        if change.kind != "make_folder" and change.mode is not None and change.mode & 0o7000:
            return f"{change.path} would get special permission bits"
        if change.kind in ("move", "trash") and posixpath.basename(change.path).casefold() == ".git":
            return f"{change.path} holds the history of a repository"
    return ""


def _lost(changes: Sequence[Change]) -> list[str]:
    """The outermost paths that are deleted."""
    trashed = {change.path for change in changes if change.kind == "trash"}
    return [path for path in trashed if not any(outer in trashed for outer in _upwards(path.rpartition("/")[0]))]


def _count_lost(lost: Sequence[str], changes: Sequence[Change], ctx: Context) -> int:
    """How many files are gone afterwards: not those that were moved out first, nor those that reappear elsewhere."""
    appear = Counter(c.after for c in changes if c.after and c.kind in ("write", "copy"))
    saved: list[str] = []
    for change in changes:
        if change.kind == "move":
            saved.append(change.path)
        elif change.kind == "trash" and change.before and appear[change.before] > 0:
            appear[change.before] -= 1
            saved.append(change.path)
    left = {path: _files(path, ctx) for path in lost}
    for path in saved:
        owner = next((outer for outer in _upwards(path) if outer in left), None)
        if owner is not None:
            left[owner] -= _files(path, ctx)
    return sum(max(0, number) for number in left.values())


def _upwards(path: str) -> Iterator[str]:
    """The path and every folder it lies in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _files(path: str, ctx: Context) -> int:
    return 1 if ctx.count is None else ctx.count(path)


def _overwrites(change: Change) -> bool:
    return change.kind in ("write", "edit") and bool(change.before) and change.before != change.after


def _delicate(path: str, ctx: Context) -> str:
    if not beneath(path, ctx.workspace):
        return ""
    parts = path[len(ctx.workspace.rstrip("/")) + 1 :].casefold().split("/")
    for part in parts:
        if part in _DELICATE or part.startswith(".env."):
            return part
    return ""
