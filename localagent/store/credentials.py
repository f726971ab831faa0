"""Secrets of channels: in the keyring of the desktop where the package `keyring` is there and works, else in a file.

The file lies in the data folder, which is closed to tools, and is for its owner alone. What was read or written
here is known to this process from then on (`known`), so that it can be hidden wherever it turns up.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, TypeVar

from ..errors import StoreError
from . import paths
from .atomic import write_atomic
from .lock import locked

Place = Literal["keyring", "file"]
_SERVICE = "localagent"
# A locked keyring asks its user, who may not be there.
_KEYRING_S = 60.0
_T = TypeVar("_T")

_noted: dict[str, None] = {}


def path() -> Path:
    return paths.data_dir() / "credentials.json"


def note(secret: str) -> None:
    """Make a secret known to this process: its forms as people write them too."""
    for form in (secret, secret.strip(), "".join(secret.split())):
        if form:
            _noted[form] = None


def known() -> tuple[str, ...]:
    """What this process knows: all of the file, and what came from elsewhere. A damaged file counts as empty here."""
    try:
        for fields in _load().values():
            for secret in fields.values():
                note(secret)
    except StoreError:
        pass
    return noted()


def noted() -> tuple[str, ...]:
    """The same without looking into the file again."""
    return tuple(_noted)


def load(channel: str, field: str) -> str | None:
    """The secret, None where none is stored. Raises StoreError for a damaged file."""
    found = _load().get(channel, {}).get(field)
    if found is None:
        found = _asked(lambda keyring: keyring.get_password(_SERVICE, f"{channel}/{field}"), None)
    if found is not None:
        note(found)
    return found


def where(channel: str, field: str) -> Place | None:
    """Where the secret is, None where it is nowhere."""
    if field in _load().get(channel, {}):
        return "file"
    return "keyring" if load(channel, field) is not None else None


def store(channel: str, field: str, secret: str) -> Place:
    """Keep a secret and say where. Raises StoreError where it can be kept nowhere."""
    note(secret)

    def put(keyring: object) -> bool:
        keyring.set_password(_SERVICE, f"{channel}/{field}", secret)  # type: ignore[attr-defined]
        # There are keyrings that take everything and keep nothing.
        return keyring.get_password(_SERVICE, f"{channel}/{field}") == secret  # type: ignore[attr-defined]

    kept = _asked(put, False)
    with _alone():
        found = _load()
        fields = found.setdefault(channel, {})
        fields.pop(field, None)
        if not kept:
            fields[field] = secret
        _save({name: given for name, given in found.items() if given})
    return "keyring" if kept else "file"


def forget(channel: str, *fields: str) -> int:
    """Remove secrets of a channel wherever they are; how many there were."""
    gone = 0
    with _alone():
        found = _load()
        held = found.get(channel, {})
        for field in fields:
            gone += held.pop(field, None) is not None
        _save({name: given for name, given in found.items() if given})
    for field in fields:
        if _asked(lambda keyring, key=f"{channel}/{field}": keyring.get_password(_SERVICE, key), None) is not None:
            gone += _asked(lambda keyring, key=f"{channel}/{field}": keyring.delete_password(_SERVICE, key) or True, False)
    return gone


def _alone() -> AbstractContextManager[bool]:
    return locked(path().with_suffix(".lock"), poll_s=0.01)


def _load() -> dict[str, dict[str, str]]:
    where = path()
    try:
        with where.open("rb") as file:
            if os.name != "nt" and os.fstat(file.fileno()).st_mode & 0o077:
                os.fchmod(file.fileno(), 0o600)
            found = json.loads(file.read())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{where} cannot be read: {error.strerror}.") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(fields, dict) and all(isinstance(secret, str) for secret in fields.values()) for fields in found.values()
    ):
        raise StoreError(f"{where} is damaged.", "Remove it and store the channels' secrets again.") from None
    return found


def _save(found: dict[str, dict[str, str]]) -> None:
    if found or path().exists():
        write_atomic(path(), json.dumps(found, ensure_ascii=False, indent=1).encode())


def _asked(question: Callable[[object], _T], otherwise: _T) -> _T:
    """What the keyring says; `otherwise` where there is none, it fails, or does not answer in time."""
    from importlib.util import find_spec

    if find_spec("keyring") is None:
        return otherwise
    answers: list[_T] = []

    def ask() -> None:
        try:
            import keyring  # type: ignore[import-not-found]

            answers.append(question(keyring))
        except Exception:  # noqa: BLE001 - a dozen backends, each with failures of its own; the file takes their place
            return

    asking = threading.Thread(target=ask, daemon=True, name="keyring")
    asking.start()
    asking.join(_KEYRING_S)
    return answers[0] if answers else otherwise
