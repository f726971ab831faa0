"""What git and its like may be given: their own data, and nothing that makes them run programs.

Inside a repository's folder only the names that everyday work writes are let through. All
else there (configuration, hooks, and whatever points git to another folder) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

Kind = Literal["write", "folder", "link", "chmod", "remove", "bring"]
"""What is done to a path: new or changed bytes, a new folder, a link, permission bits, taken away, moved or copied to."""

_FILES = frozenset(
    "head orig_head fetch_head cherry_pick_head revert_head rebase_head auto_merge squash_msg commit_editmsg "
    "tag_editmsg edit_description packed-refs description shallow index gc.log gc.pid".split()
)
_FILE_STARTS = ("merge_", "bisect_", "notes_", "sharedindex.", "index.", "next-index-", "tmp_", ".tmp-")
_FOLDERS = frozenset("objects refs logs rebase-merge rebase-apply sequencer rr-cache lfs".split())
_EMPTY_FOLDERS = frozenset("hooks info branches modules worktrees".split())
_INFO = frozenset("exclude refs sparse-checkout".split())
_DANGEROUS = frozenset("hooks config config.worktree commondir gitdir".split())
_IGNORED = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_OTHERS = {
    ".hg": frozenset({"hgrc", "hgrc-not-shared", "sharedpath"}),
    ".jj": frozenset({"repo", "config.toml", "config.kdl"}),
    ".bzr": frozenset({"branch.conf", "location"}),
}


def refusal(path: str, kind: Kind, after: str | None = None) -> str:
    """Why this may not be done to the path (absolute), "" where it may. `after` is the sha256 of new bytes."""
    parts = [_plain(part) for part in path.split("/")]
    for at, part in enumerate(parts):
        rest = parts[at + 1 :]
        if part == ".git" and not _git_may(rest, kind, after):
            return f"{path} makes git run programs" if rest else f"{path} tells git which programs to run"
        if part in _OTHERS and rest and rest[-1] in _OTHERS[part] and kind != "folder":
            return f"{path} makes {part[1:]} run programs"
        if part in _OTHERS and not rest and kind in ("write", "link", "bring"):
            return f"{path} tells {part[1:]} which programs to run"
    return ""


def delicate(path: str, creates: bool) -> str:
    """Why this path deserves a look, "" where it does not. `creates` where something comes to lie there."""
    parts = [_plain(part) for part in path.split("/")]
    if ".git" in parts:
        return f"{path} lists commands for git to run" if parts[-1] == "git-rebase-todo" else ""
    if creates and parts[-1] == "head":
        return f"{path} makes its folder look like a git repository"
    for at, part in enumerate(parts[:-1]):
        if part.endswith(".git") and (parts[at + 1] in _DANGEROUS):
            return f"{path} makes git run programs"
    return ""


def is_repository(path: str) -> bool:
    """Whether the path is, by its name, a repository's own folder or one without files beside it."""
    return _plain(path.rpartition("/")[2]).endswith(".git")


def plain(path: str) -> str:
    """The path with each of its names as file systems take them that ignore letter case and the like."""
    return "/".join(map(_plain, path.split("/")))


def may(rest: str, kind: Kind, after: str | None) -> bool:
    """Whether this may be done to what lies at `rest` in a repository's own folder."""
    return _git_may([_plain(part) for part in rest.split("/")], kind, after)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """The name as file systems take it that ignore letter case, invisible characters or trailing dots."""
    folded = _IGNORED.sub("", name).casefold()
    stripped = folded.rstrip(" .") or folded
    return ".git" if stripped == "git~1" else stripped


def _git_may(rest: list[str], kind: Kind, after: str | None) -> bool:
    if not rest:
        return kind in ("folder", "chmod", "remove")
    if kind == "link":
        return False
    if kind == "remove":
        return not _dangerous(rest)
    if rest[0] == "modules" and len(rest) > 1:
        return _module_may(rest[1:], kind)
    if rest[0] == "worktrees" and len(rest) > 1:
        return not _dangerous(rest[2:]) and (_data(rest[2:], kind) if len(rest) > 2 else kind in ("folder", "chmod"))
    if rest == ["config"]:
        return kind == "write" and after in _new_repository()
    return _data(rest, kind)


def _dangerous(rest: Sequence[str]) -> bool:
    """Whether one of these names is run or read as orders, wherever in the repository it lies."""
    if rest[:1] == ["hooks"] and len(rest) == 2 and rest[1].endswith(".sample"):
        return False
    return bool(rest) and (
        rest[0] in _DANGEROUS or (rest[0] in ("modules", "worktrees") and bool(_DANGEROUS & set(rest)))
    )


def _module_may(rest: list[str], kind: Kind) -> bool:
    """The same for the repositories of submodules, whose names may go over several folders."""
    if _DANGEROUS & set(rest):
        return False
    if kind in ("folder", "chmod"):
        return True
    return any(_data(rest[at:], kind) for at in range(1, len(rest)))


def _data(rest: Sequence[str], kind: Kind) -> bool:
    """Whether everyday work writes this name of a repository."""
    first = rest[0]
    if first in _FOLDERS:
        return True
    if len(rest) == 1:
        if first in _EMPTY_FOLDERS:
            return kind in ("folder", "chmod")
        bare = first.removesuffix(".lock")
        return bare in _FILES or bare.startswith(_FILE_STARTS)
    if len(rest) == 2 and first == "hooks":
        return rest[1].endswith(".sample")
    return len(rest) == 2 and first == "info" and rest[1].removesuffix(".lock") in _INFO


@lru_cache(maxsize=1)
def _new_repository() -> frozenset[str]:
    """The sha256 of each configuration that `git init` itself writes."""
    from hashlib import sha256

    core = "[core]\n\trepositoryformatversion = 0\n\tfilemode = {}\n\tbare = false\n\tlogallrefupdates = true\n"
    endings = ("", "\tignorecase = true\n", "\tignorecase = true\n\tprecomposeunicode = true\n")
    bare = core.replace("bare = false\n\tlogallrefupdates = true", "bare = true")
    texts = (
        form.format(filemode) + ending for form in (core, bare) for filemode in ("true", "false") for ending in endings
    )
    return frozenset(sha256(text.encode()).hexdigest() for text in texts)
