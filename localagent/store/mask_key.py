"""The user's own key for placeholders: without it nobody can tell a guessed secret from another."""

from __future__ import annotations

import secrets

from ..errors import StoreError
from .atomic import write_atomic
from .lock import locked
from .paths import state_dir

_BYTES = 32


def load() -> bytes:
    """The key, made at the first use, in a file only its owner can read. Raises StoreError."""
    path = state_dir() / "mask.key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) == _BYTES:
        return key
    try:
        with locked(path.with_suffix(".lock"), poll_s=0.01):
            if path.exists() and len(key := path.read_bytes()) == _BYTES:
                return key
            key = secrets.token_bytes(_BYTES)
            write_atomic(path, key)
    except StoreError as error:
        raise StoreError(error.message, "Free some space or set LOCALAGENT_STATE_DIR to another folder.") from error
    return key
