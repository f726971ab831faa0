"""Which files and folders of a workspace no program may see: what is named like a place for keys,
and what the user's own rules deny."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Sequence

from ..errors import StoreError
from ..store.secrets import SECRET_NAMES

ENTRIES = 20_000
"""How much of a folder is looked through for names of secrets, the top levels first."""

_ENTRIES_FOR_RULES = 200_000
_MOST = 500
_WILD = re.compile(r"[*?\[]")


def absolute(glob: str, workspace: str) -> str:
    """The glob of a rule as `found` takes it: from the workspace or `~` on; `*`, `**` and `.` are all of it."""
    if glob in ("*", "**", "."):
        glob = "**"
    glob = os.path.expanduser(glob)
    return glob if os.path.isabs(glob) else f"{workspace.rstrip('/')}/{glob.removeprefix('./')}"


def found(workspace: str, patterns: Sequence[str] = (), shown: Sequence[str] = ()) -> tuple[str, ...]:
    """The real paths to close, of what exists.

    `patterns` are absolute globs, in which `*`, `?` and `[...]` stay within one name and `**` crosses
    folders; letter case makes no difference. `shown` are further folders that will be seen. Raises
    StoreError where the patterns would have too much looked through, or name too many files.
    """
    given, workspace = workspace.rstrip("/"), os.path.realpath(workspace)
    plain: list[str] = []
    wild: list[tuple[str, re.Pattern[str]]] = []
    for pattern in patterns:
        base, rest = _split(pattern, given)
        if rest:
            wild.append((base, re.compile(re.escape(base.rstrip("/")) + _regex(rest), re.IGNORECASE)))
        else:
            plain.append(base)
    closed = {base: None for base in plain if os.path.lexists(base)}
    # What is written in other letters than it lies on the disk is found by looking for it.
    missing = [base for base in plain if not os.path.lexists(base)]
    denied = [regex.fullmatch for _, regex in wild]
    denied += [re.compile(re.escape(base), re.IGNORECASE).fullmatch for base in missing]
    tops = [os.path.realpath(path) for path in shown]
    _walk(workspace, denied, closed, strict=bool(wild))
    for base, _ in wild:
        if not _below(base, workspace) and not _below(workspace, base):
            _walk(base, denied, closed, strict=True)
    for top in dict.fromkeys(tops):
        if not _below(top, workspace) and os.path.isdir(top):
            _walk(top, denied, closed, strict=False)
    result = tuple(_spread(closed, workspace))
    if len(result) > _MOST:
        raise StoreError(
            f"The rules that deny reading name {len(result):,} files and folders here, more than {_MOST} can be closed.",
            "Name the folders that they lie in.",
        )
    return result


def _walk(top: str, denied: Sequence[Callable[[str], object]], closed: dict[str, None], *, strict: bool) -> None:
    """Add what is to be closed beneath `top`, level by level; what is closed is not looked into."""
    left = _ENTRIES_FOR_RULES if strict else ENTRIES
    pending = deque([top])
    while pending:
        try:
            with os.scandir(pending.popleft()) as entries:
                for entry in entries:
                    left -= 1
                    named = entry.name.casefold() in SECRET_NAMES and not entry.is_symlink()
                    if named or any(match(entry.path) for match in denied):
                        link = entry.is_symlink()
                        real = os.path.realpath(entry.path)
                        if not link or (_below(real, top) and real != top):
                            closed[real] = None
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            # What cannot be read here cannot be read inside either.
            continue
        if left < 0:
            if strict and pending:
                raise StoreError(
                    f"{top} is too large to find what the rules that deny reading name in it.",
                    "Choose a smaller folder with --cwd, or name files and folders without wildcards.",
                )
            return


def _spread(closed: dict[str, None], workspace: str) -> list[str]:
    """Where all of the workspace is closed, what lies in it instead: the folder itself is worked in."""
    result = {path: None for path in closed if not _below(workspace, path)}
    if len(result) < len(closed):
        result.update(dict.fromkeys(entry.path for entry in os.scandir(workspace) if not entry.is_symlink()))
    return [path for path in result if not any(path != other and _below(path, other) for other in result)]


def _split(pattern: str, workspace: str) -> tuple[str, str]:
    """The real folder before the first wildcard, and the rest; a folder with all in it is the folder.

    Nothing in the workspace's own path is a wildcard.
    """
    pattern = pattern.rstrip("/")
    while pattern.endswith("/**"):
        pattern = pattern[:-3]
    match = _WILD.search(pattern, len(workspace) if _below(pattern, workspace) else 0)
    if match is None:
        return os.path.realpath(pattern or "/"), ""
    at = pattern.rfind("/", 0, match.start())
    return os.path.realpath(pattern[:at] or "/"), pattern[at:]


def _regex(glob: str) -> str:
    parts: list[str] = []
    for token in re.findall(r"/\*\*/|\*\*|\*|\?|\[[!^]?[^\]]+\]|[\s\S]", glob):
        if token == "/**/":
            parts.append("/(?:.*/)?")
        elif token in ("**", "*", "?"):
            parts.append({"**": ".*", "*": "[^/]*", "?": "[^/]"}[token])
        elif len(token) > 1:
            negated = token[1] in "!^"
            inner = token[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            parts.append(f"(?!/)[{'^' if negated else ''}{inner}]")
        else:
            parts.append(re.escape(token))
    return "(?s:" + "".join(parts) + ")"


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
