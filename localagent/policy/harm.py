"""Which changes are too large or too delicate to be committed without a word, though they could be undone."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..store import secrets
from ..values import Change
from . import floor, repository
from .context import Context, beneath
from .shape import Shape

MOST_LOST = 10
_PROGRAMS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")
_NAMED = 5
_SHRUNK = 10
# The sha256 of no bytes at all.
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_MOVES = re.compile(r"\b(?:mv|rename)\b")
_DELETES = re.compile(
    r"\b(?:rm|rmdir|unlink|delete|remove|rmtree|trash|shred|git|rsync|make|clean)\b|-delete\b", re.IGNORECASE
)

_DELICATE = frozenset(
    ".vscode .idea .envrc .mcp.json .env .husky .localagent .bashrc .bash_profile .profile .zshrc .zshenv .gitmodules "
    ".pre-commit-config.yaml .direnv .devcontainer".split()
)


OVERRUN = "(another file would take their place)"
"""Ends the reason for asking about a script whose files overwrite each other, which is a slip rather than a wish."""


def lost(changes: Sequence[Change], ctx: Context) -> int:
    """How many files are gone or all but empty after these changes, those that reappear elsewhere not counted."""
    return _count_lost(_lost(changes), changes, ctx) + _count_emptied(changes, ctx)


def gone(changes: Sequence[Change], ctx: Context) -> list[str]:
    """The outermost paths that are deleted, those left out whose files all reappear elsewhere."""
    return [path for path in sorted(_lost(changes)) if _count_lost([path], changes, ctx) > 0]


def destroys(changes: Sequence[Change], ctx: Context) -> str:
    """Why these changes lose much at once, with what this turn has lost before, or ""."""
    outermost = _lost(changes)
    emptied = _count_emptied(changes, ctx)
    deleted = _count_lost(outermost, changes, ctx) + emptied
    doing = "deletes or empties" if emptied else "deletes"
    if deleted > MOST_LOST:
        return f"it {doing} {deleted} files at once"
    if deleted and deleted + ctx.lost_before > MOST_LOST:
        return f"with it, {deleted + ctx.lost_before} files are deleted or emptied for one request"
    overwritten = sum(_overwrites(change) for change in changes)
    if overwritten > MOST_LOST:
        return f"it overwrites {overwritten} files at once"
    if outermost and any(path == ctx.workspace for path in outermost):
        return "it deletes the workspace itself"
    if ctx.count is not None and deleted and deleted + ctx.lost_before > 1:
        whole = ctx.count(ctx.workspace)
        if deleted >= whole:
            return f"it {doing} all {whole} files of the workspace"
    return ""


def overruns(script: str, changes: Sequence[Change], ctx: Context) -> str:
    """Why a script that only moves files would lose some of them, or "".

    Moving several files to one name keeps the last and loses the others; a script that deletes
    says so itself.
    """
    if not _MOVES.search(script) or _DELETES.search(script):
        return ""
    outermost = _lost(changes)
    if _count_lost(outermost, changes, ctx) == 0:
        return ""
    names = ", ".join(sorted(posixpath.relpath(path, ctx.workspace) for path in outermost)[:_NAMED])
    return f"it only moves files, and yet the contents of {names} would be lost {OVERRUN}"


def harms(changes: Sequence[Change], ctx: Context) -> str:
    """Why one of these changes deserves a look, or ""."""
    for change in changes:
        for path, creates in _places(change):
            reason = _delicate(path, creates, ctx)
            if reason:
                return reason
        if change.kind != "make_folder" and change.mode is not None and change.mode & 0o7000:
            return f"{change.path} would get special permission bits"
        if change.kind in ("move", "trash", "copy") and _is_repository(change.path, ctx):
            return f"{change.path} holds the history of a repository"
    return ""


def _is_repository(path: str, ctx: Context) -> bool:
    return repository.is_repository(path) or Shape((), ctx).is_repository(path)


def _places(change: Change) -> Iterator[tuple[str, bool]]:
    """The paths that change, each with whether a file or tree comes to lie there that was not there."""
    if change.kind != "copy":
        yield change.path, change.kind == "link" or (change.kind == "write" and not change.before)
    if change.dest is not None:
        yield change.dest, True


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


def _count_emptied(changes: Sequence[Change], ctx: Context) -> int:
    """How many files keep less than a tenth of their bytes, those whose bytes come to lie elsewhere not counted."""
    appear = Counter(c.after for c in changes if c.after and c.kind in ("write", "copy"))
    return sum(_empties(change, ctx) and not appear[change.before or ""] for change in changes)


def _empties(change: Change, ctx: Context) -> bool:
    if not _overwrites(change) or change.after is None or change.before == _EMPTY:
        return False
    return change.after == _EMPTY or (ctx.size is not None and change.size * _SHRUNK < ctx.size(change.path))


def _delicate(path: str, creates: bool, ctx: Context) -> str:
    """Why other programs act on this path by themselves, or ""."""
    for form in ctx.forms(path):
        inside = beneath(form, ctx.workspace)
        parts = (form[len(ctx.workspace.rstrip("/")) + 1 :] if inside else form[1:]).casefold().split("/")
        for part in parts:
            if part in _DELICATE or part.startswith(".env."):
                return f"other programs act on {part} by themselves"
        reason = repository.delicate(form, creates) or _started(form, parts, ctx)
        if reason:
            return reason
    return ""


def _started(path: str, parts: Sequence[str], ctx: Context) -> str:
    if parts[-1] in ("usercustomize.py", "sitecustomize.py"):
        return f"Python runs {parts[-1]} by itself"
    if any(beneath(path, folder) for folder in (*_PROGRAMS, *ctx.search_path) if folder.strip("/")):
        return f"programs are looked for where {path} lies"
    if any(map(secrets.asking_in_home, floor.in_home(path, ctx))):
        return f"other programs act on {path} by themselves"
    if parts[-1].endswith(".pth") and not beneath(path, ctx.workspace):
        return f"Python runs {parts[-1]} by itself"
    if beneath(path, ctx.workspace) and ctx.home.strip("/") and beneath(ctx.home, ctx.workspace):
        before_git = parts[: parts.index(".git")] if ".git" in parts else parts
        hidden = next((part for part in before_git if part.startswith(".")), "")
        if hidden:
            return f"the workspace holds your home folder, and programs keep their own files in {hidden} there"
        if parts[-1].endswith(".pth"):
            return f"Python runs {parts[-1]} by itself"
    return ""
