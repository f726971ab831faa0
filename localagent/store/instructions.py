"""AGENTS.md: instructions of the user's own, and those of a folder, which count as a person has agreed to them and not before.

Of a folder, those from its trusted root down to it count, each by its bytes: who may write the file (the agent, a pull) does not
thereby give instructions. Where a file is another one now, the copy that was agreed to counts on.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ConfigError, LocalAgentError
from . import agreed, pinned, trees, trusted_folders
from .atomic import write_atomic
from .lock import locked
from .paths import config_dir, state_dir

NAME = "AGENTS.md"
BYTES = 256 * 1024
"""Of a file that can be agreed to."""
_DEPTH = 40
_TOLD = 500

State = Literal["on", "off", "changed"]


@dataclass(frozen=True, slots=True)
class Found:
    """A folder's file as it is `now` (None where it cannot be read, see `problem`), and the bytes that count, None for none."""

    place: Path
    now: bytes | None
    counts: bytes | None
    problem: str = ""

    @property
    def state(self) -> State:
        if self.counts is None:
            return "off"
        return "on" if self.now == self.counts else "changed"

    @property
    def print(self) -> str:
        """Of the file as it is now, or of what is wrong with it."""
        told = self.now if self.now is not None else self.problem.encode("utf-8", "replace")
        return hashlib.sha256(os.fsencode(str(self.place)) + b"\0" + told).hexdigest()


def own_path() -> Path:
    return config_dir() / NAME


def own() -> bytes | None:
    """The user's own, None where there is none. Raises ConfigError where it cannot be read or others may write it."""
    place = own_path()
    if not os.path.lexists(place):
        return None
    data = _read(place)
    facts = os.stat(place)
    if hasattr(os, "getuid") and (facts.st_uid not in (os.getuid(), 0) or facts.st_mode & 0o022):
        raise ConfigError(f"{place}: others may write it.", f"Make it yours alone: chmod go-w {place}")
    return data


def root(workspace: Path) -> tuple[Path, bool]:
    """The folder that instructions are looked for from, and whether it is trusted.

    It is the highest trusted one that the workspace is in; where none is, the git repository it is in, else itself.
    """
    here = Path(os.path.realpath(workspace))
    above = (here, *here.parents)[:_DEPTH]
    known = _trusted()
    if trusted := [one for one in above if str(one) in known]:
        return trusted[-1], True
    return next((one for one in above if os.path.lexists(one / ".git")), here), False


def look(workspace: Path) -> list[Found]:
    """The files from the root down to the workspace. Where the root is not trusted, none of them counts. Raises ConfigError."""
    top, trusted = root(workspace)
    here = Path(os.path.realpath(workspace))
    chain = [one for one in (here, *here.parents) if one == top or one.is_relative_to(top)]
    known = agreed.load("instructions") if trusted else {}
    made = (_found(folder / NAME, known.get(str(folder / NAME))) for folder in reversed(chain))
    return [one for one in made if one is not None]


def lines(found: Found) -> list[str]:
    """All of its text as it is now, for a person to read; where it counts as something else yet, what has changed."""
    if found.now is None:
        return [f"It cannot be agreed to: {found.problem}"]
    now = found.now.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    if found.counts is None:
        return now
    import difflib

    before = found.counts.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    changes = list(difflib.unified_diff(before, now, "as it counts", "as it is now", lineterm="", n=2))
    return [*(changes or ["(only its line ends have changed)"]), "", "All of it:", *now]


def agree(found: Found, top: Path) -> None:
    """From now on exactly these bytes count, in the trusted folder `top`. Only a person's own yes leads here. Raises ConfigError."""
    if found.now is None:
        raise ConfigError(f"{found.place} cannot be agreed to: {found.problem}")
    trusted_folders.trust(top)
    agreed.agree("instructions", found.place, "agents", trees.Tree({NAME: trees.Leaf(found.now)}))


def withdraw(places: Iterable[Path]) -> list[Path]:
    """Those of them that counted, and do not any more."""
    return [place for place in places if agreed.withdraw("instructions", place)]


def told_before(prints: Iterable[str]) -> set[str]:
    """Those that the user was told of already; from now on, all of them."""
    wanted, path = list(prints), state_dir() / "instructions-told.json"
    with locked(path.with_suffix(".lock"), poll_s=0.01):
        known = _told(path)
        if new := [one for one in wanted if one not in known]:
            write_atomic(path, json.dumps([*known, *new][-_TOLD:]).encode())
    return set(wanted) & set(known)


def _told(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _trusted() -> frozenset[str]:
    try:
        return frozenset(trusted_folders.load())
    except ConfigError:
        return frozenset()


def _found(place: Path, one: agreed.Agreed | None) -> Found | None:
    tree = agreed.agreed_tree("instructions", one) if one is not None else None
    counts = tree.files[NAME].data if tree is not None and NAME in tree.files else None
    if not os.path.lexists(place):
        # Who takes the file away wants it to count no more.
        return None
    try:
        return Found(place, _read(place), counts)
    except LocalAgentError as error:
        return Found(place, None, counts, str(error))


def _read(place: Path) -> bytes:
    """The bytes of a plain file; a link counts where it leads to one beside it. Raises ConfigError."""
    real = os.path.realpath(place)
    if os.path.dirname(real) != os.path.realpath(place.parent):
        raise ConfigError(f"{place}: it is a link that leads out of its folder.", "Put the file itself there.")
    try:
        with pinned.open_real(real) as file:
            data = file.read(BYTES + 1)
            plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise ConfigError(f"{place}: it cannot be read: {error.strerror}.", "Make it a readable file, or remove it.") from None
    if not plain or len(data) > BYTES:
        raise ConfigError(f"{place}: it has more than {BYTES // 1024} KiB.", "Keep what matters always, and the rest in other files.")
    return data
