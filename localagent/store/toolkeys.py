"""Secrets that the user gives to tools of plugins, each by a name; kept as the channels' are (see `credentials`)."""

from __future__ import annotations

import json

from ..errors import UsageError
from . import credentials
from .atomic import write_atomic
from .paths import state_dir

# No channel can have this name.
_OWNER = "tool secrets"
SHORTEST = 8
"""Characters. A shorter one could not be hidden in what tools say without hiding half of everything."""


def store(name: str, secret: str) -> credentials.Place:
    """Keep it, and say where. Raises UsageError for one that could not be hidden, StoreError."""
    if len(secret) < SHORTEST:
        raise UsageError(f"The secret {name} has fewer than {SHORTEST} characters, so it could not be hidden in what tools say.")
    place = credentials.store(_OWNER, name, secret)
    _save({*names(), name})
    return place


def load(name: str) -> str | None:
    """The secret, None where the user has given none; from then on this process hides it wherever it turns up."""
    return credentials.load(_OWNER, name)


def forget(name: str) -> bool:
    """Whether there was one."""
    gone = credentials.forget(_OWNER, name) > 0
    _save(names() - {name})
    return gone


def names() -> set[str]:
    """Those that are stored; a keyring cannot be asked what it holds."""
    try:
        found = json.loads((state_dir() / "tool-secrets.json").read_bytes())
    except (OSError, ValueError):
        return set()
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def _save(known: set[str]) -> None:
    write_atomic(state_dir() / "tool-secrets.json", json.dumps(sorted(known)).encode())
