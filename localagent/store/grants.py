"""Rules that a person chose to keep: written as the user writes rules, listed and revoked one by one.

What a rule means is the policy's business; this file only keeps the text, the folder it
holds for and when it was last of use.
"""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import ConfigError
from . import audit
from .atomic import write_atomic
from .lock import locked
from .paths import state_dir


@dataclass(frozen=True, slots=True)
class Grant:
    """`folder` is "" where the rule holds everywhere. Times are seconds since the epoch, 0 for never.

    `bound` is the program as it was when the rule was kept (see `store.programs`), "" where the rule names none.
    """

    rule: str
    folder: str = ""
    created: float = 0.0
    used: float = 0.0
    uses: int = 0
    bound: str = ""


def _path() -> Path:
    return state_dir() / "grants.json"


def load(folder: str | None = None) -> list[Grant]:
    """All grants, or those that hold in `folder`. Raises ConfigError if the file is damaged."""
    path = _path()
    if not path.exists():
        return []
    try:
        grants = [Grant(**item) for item in json.loads(path.read_text("utf-8"))]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}.", "Remove it to start without stored approvals.") from error
    return [g for g in grants if folder is None or g.folder in ("", folder)]


def add(rule: str, folder: str = "", bound: str = "") -> None:
    with _alone():
        kept = [g for g in load() if (g.rule, g.folder) != (rule, folder)]
        _save([*kept, Grant(rule, folder, created=time.time(), bound=bound)])
    audit.append("kept", {"rule": rule, "folder": folder})


def revoke(rule: str, folder: str | None = None) -> int:
    """Removes the rule (in one folder, or wherever it stands); returns how many were removed."""
    with _alone():
        grants = load()
        kept = [g for g in grants if g.rule != rule or (folder is not None and g.folder != folder)]
        if len(kept) != len(grants):
            _save(kept)
    if len(kept) != len(grants):
        audit.append("revoked", {"rule": rule, "folder": folder or "", "grants": len(grants) - len(kept)})
    return len(grants) - len(kept)


def note_use(rule: str, folder: str) -> None:
    """Count a use, if this rule is stored and holds in this folder."""
    if not any(g.rule == rule for g in load(folder)):
        return
    with _alone():
        now = time.time()
        grants = load()
        used = [g for g in grants if g.rule == rule and g.folder in ("", folder)]
        if used:
            _save([replace(g, used=now, uses=g.uses + 1) if g in used else g for g in grants])


def _alone() -> AbstractContextManager[bool]:
    """From reading to writing nobody else writes: a revoked rule must not come back."""
    return locked(_path().with_suffix(".lock"), poll_s=0.01)


def _save(grants: list[Grant]) -> None:
    write_atomic(_path(), json.dumps([asdict(g) for g in grants], ensure_ascii=False, indent=1).encode())
