"""What the rules know about the moment of a call, and where its paths are."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

from ..values import Mode
from .rule import Rules, real

_LOOKS = ("resolve", "count", "folder", "exists", "size")


@dataclass(frozen=True, slots=True)
class Context:
    """The moment of a call.

    `workspace` and `home` are absolute and resolved. `boundary` is True where programs run
    in a sandbox without network on a staged view. `protected` are our own folders. `readable`
    are folders of ours that the model may read (the full outputs of its own programs).
    `untrusted_seen`, `private_seen` and `speaks_seen` are the session's marks (see `marks`). `said` are the user's own
    words in this session (None: they are not known, and nothing is asked for their sake), `seen` the text that
    others wrote. `resolve` follows links (None:
    paths are compared as written); `count` says how many files lie at or beneath a path
    (None: every path counts as one file), and `folder` whether a path is a folder (None: any may be).
    `exists` says whether anything lies at a path (None: nothing is known to).
    `size` is the length of a file in bytes, 0 where there is none (None: no file is known to shrink).
    `lost_before` is how many files earlier calls of this turn have deleted or emptied. `search_path` are the
    folders in which programs are looked for. `looked` keeps what was found out for this context.
    """

    mode: Mode
    workspace: str
    rules: Rules = field(default_factory=Rules)
    boundary: bool = False
    home: str = ""
    protected: tuple[str, ...] = ()
    untrusted_seen: bool = False
    private_seen: bool = False
    speaks_seen: bool = False
    said: str | None = None
    seen: str = ""
    readable: tuple[str, ...] = ()
    resolve: Callable[[str], str] | None = None
    count: Callable[[str], int] | None = None
    folder: Callable[[str], bool] | None = None
    exists: Callable[[str], bool] | None = None
    size: Callable[[str], int] | None = None
    lost_before: int = 0
    search_path: tuple[str, ...] = ()
    looked: dict[str, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    def at_once(self) -> Context:
        """The same for one judgement, in which no path is looked up twice."""
        looked = {name: cache(call) for name in _LOOKS if (call := getattr(self, name))}
        return replace(self, **looked)

    def inside(self, path: str) -> bool:
        """Whether the path, as written and with its links followed, lies in the workspace."""
        return all(beneath(p, self.workspace) for p in self.forms(path))

    def forms(self, path: str) -> tuple[str, ...]:
        """The path as written and, where links can be followed and lead elsewhere, as it really is."""
        found = real(path, self.resolve)
        return (path,) if found == path else (path, found)


def absolute(path: str, workspace: str, home: str) -> str:
    """The path a tool would touch: `~` is home, a relative path lies in the workspace, `..` is folded."""
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    joined = posixpath.normpath(posixpath.join(workspace, path))
    return "/" + joined.lstrip("/")


def beneath(path: str, folder: str) -> bool:
    """Whether the path is the folder or lies in it. Both absolute."""
    folder = folder.rstrip("/")
    return path == folder or path.startswith(folder + "/")
