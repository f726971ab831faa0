"""Which bytes of a recipe its user has seen: those that were kept, edited or confirmed here. The list lies where no tool may write."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import StoreError
from . import recipes
from .atomic import write_atomic
from .lock import locked
from .paths import state_dir


def confirm(name: str) -> None:
    """The recipe as it lies there now is the user's own. Only a person's own yes leads here. Raises StoreError, UsageError."""
    found = _sha256(recipes.path(name))
    with locked(state_dir() / "recipes.lock"):
        there = recipes.names()
        known = {one: sha256 for one, sha256 in _load().items() if one in there}
        write_atomic(_listed(), json.dumps({**known, name: found}, indent=1).encode())


def own(name: str) -> bool:
    """Whether the recipe is, byte for byte, what its user has seen; False where that is not known."""
    try:
        return _load().get(name) == _sha256(recipes.path(name))
    except StoreError:
        return False


def _listed() -> Path:
    return state_dir() / "recipes.json"


def _load() -> dict[str, str]:
    try:
        found = json.loads(_listed().read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): str(sha256) for name, sha256 in found.items()} if isinstance(found, dict) else {}


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from None
