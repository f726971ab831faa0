"""Which plugin files of the user's own were confirmed, byte for byte. A copy of those bytes is kept here.

It lies in the state folder, where no tool and no rule may write (see `protected`).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import ConfigError
from . import audit
from .atomic import store_error, write_atomic
from .lock import locked
from .paths import config_dir, state_dir


@dataclass(frozen=True, slots=True)
class Trusted:
    """`at` is seconds since the epoch, `seal` the hash of the other files of the package that it belongs to."""

    file: str
    sha256: str
    at: float
    seal: str = ""


def plugins_folder() -> Path:
    """Where the user puts plugin files; it need not exist."""
    return config_dir() / "plugins"


def load() -> dict[str, Trusted]:
    """File -> its confirmation. Raises ConfigError where the list is damaged."""
    path = _folder() / "trusted.json"
    if not path.exists():
        return {}
    try:
        items = json.loads(path.read_bytes())
        found = [Trusted(str(one["file"]), str(one["sha256"]), float(one["at"]), str(one.get("seal", ""))) for one in items]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: {error}.", "Remove it and confirm your plugins anew.") from error
    return {one.file: one for one in found}


def confirm(file: Path, data: bytes, seal: str = "") -> Trusted:
    """From now on exactly these bytes are what runs for this file. Only a person's own yes leads here."""
    made = Trusted(str(file), hashlib.sha256(data).hexdigest(), time.time(), seal)
    with _alone():
        known = load()
        write_atomic(_copy(made.sha256), data)
        _save({**known, made.file: made})
    audit.append("trusted", {"file": made.file, "sha256": made.sha256})
    return made


def withdraw(file: Path) -> bool:
    """The file is off again; False where it was not on."""
    with _alone():
        known = load()
        found = known.pop(str(file), None)
        if found is not None:
            _save(known)
    if found is not None:
        audit.append("distrusted", {"file": found.file, "sha256": found.sha256})
    return found is not None


def confirmed(one: Trusted) -> bytes | None:
    """The bytes that were confirmed; None where the copy is gone or is not those."""
    try:
        data = _copy(one.sha256).read_bytes()
    except (OSError, ValueError):
        return None
    return data if hashlib.sha256(data).hexdigest() == one.sha256 else None


def _folder() -> Path:
    made = state_dir() / "plugins"
    try:
        made.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise store_error(error, made) from error
    return made


def _copy(sha256: str) -> Path:
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(sha256)
    return _folder() / f"{sha256}.py"


def _alone() -> AbstractContextManager[bool]:
    return locked(_folder() / "lock", poll_s=0.01)


def _save(known: dict[str, Trusted]) -> None:
    write_atomic(_folder() / "trusted.json", json.dumps([asdict(one) for one in known.values()], indent=1).encode())
    kept = {one.sha256 for one in known.values()}
    for path in _folder().glob("*.py"):
        if path.stem not in kept:
            with suppress(OSError):
                os.unlink(path)
