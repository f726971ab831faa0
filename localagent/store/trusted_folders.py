"""The folders whose own files for localagent (`.localagent/...`) a person has agreed to have looked at.

Looked at is not used: what is in them still asks for whatever it would ask for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import ConfigError
from . import audit
from .atomic import write_atomic
from .lock import locked
from .paths import state_dir


def trusts(folder: Path) -> bool:
    """Whether this very folder was agreed to; one above it does not count. A damaged list trusts none."""
    try:
        return os.path.realpath(folder) in load()
    except ConfigError:
        return False


def load() -> tuple[str, ...]:
    """Their real paths. Raises ConfigError where the list is damaged."""
    path = _path()
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}.", "Remove it and trust your folders anew.") from error
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ConfigError(f"{path} is damaged.", "Remove it and trust your folders anew.")
    return tuple(found)


def trust(folder: Path) -> None:
    """Only a person's own yes leads here."""
    _change(lambda known, real: {**known, real: None}, folder, "trusted folder")


def withdraw(folder: Path) -> bool:
    """Whether it was trusted."""
    had = trusts(folder)
    _change(lambda known, real: {one: None for one in known if one != real}, folder, "distrusted folder")
    return had


def _change(how: object, folder: Path, told: str) -> None:
    real = os.path.realpath(folder)
    with locked(_path().with_suffix(".lock"), poll_s=0.01):
        made = how(dict.fromkeys(load()), real)  # type: ignore[operator]
        write_atomic(_path(), json.dumps(list(made), indent=1).encode())
    audit.append(told, {"folder": real})


def _path() -> Path:
    return state_dir() / "trusted-folders.json"
