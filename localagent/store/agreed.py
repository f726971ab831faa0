"""What others wrote and a person has agreed to, byte for byte: skills, the hooks of a folder, and its instructions.

A copy of the agreed bytes lies in the state folder, where no tool and no rule may write (see `protected`). What is used is that
copy, checked against its hash, and never the place it came from.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ..errors import ConfigError, LocalAgentError
from . import audit, trees
from .atomic import store_error, write_atomic
from .lock import locked
from .paths import state_dir
from .trees import Tree

Kind = Literal["skills", "hooks", "instructions"]


@dataclass(frozen=True, slots=True)
class Agreed:
    """`place` is the absolute path that was agreed to, `at` seconds since the epoch."""

    place: str
    name: str
    sha256: str
    at: float


def load(kind: Kind) -> dict[str, Agreed]:
    """Place -> what was agreed to there. Raises ConfigError where the list is damaged."""
    path = listed(kind)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        found = [Agreed(*(str(item[key]) for key in ("place", "name", "sha256")), float(item["at"])) for item in json.loads(data)]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is damaged: {error}.", f"Remove it, and confirm your {kind} anew.") from error
    return {one.place: one for one in found}


def listed(kind: Kind) -> Path:
    """The file that lists what was agreed to."""
    return _folder(kind) / "trusted.json"


def agree(kind: Kind, place: Path, name: str, tree: Tree) -> Agreed:
    """From now on exactly these bytes are used for this place. Only a person's own yes leads here."""
    made = Agreed(str(place), name, tree.sha256, time.time())
    with _alone(kind):
        known = load(kind)
        _keep(kind, made, tree)
        _save(kind, {**known, made.place: made})
    audit.append("trusted", {"kind": kind, "file": made.place, "sha256": made.sha256})
    return made


def withdraw(kind: Kind, place: Path) -> bool:
    """It is off again; False where it was not on."""
    with _alone(kind):
        known = load(kind)
        found = known.pop(str(place), None)
        if found is not None:
            _save(kind, known)
    if found is not None:
        audit.append("distrusted", {"kind": kind, "file": found.place, "sha256": found.sha256})
    return found is not None


def copy_of(kind: Kind, one: Agreed) -> Path:
    """Where the agreed files lie."""
    if len(one.sha256) != 64 or not set(one.sha256) <= set("0123456789abcdef") or not one.name.replace("-", "").isalnum():
        raise ConfigError(f"{listed(kind)} is damaged.", f"Remove it, and confirm your {kind} anew.")
    return _folder(kind) / f"{one.name}-{one.sha256[:12]}"


def agreed_tree(kind: Kind, one: Agreed) -> Tree | None:
    """The files that were agreed to; None where the copy is gone or is not those."""
    try:
        tree = trees.read(copy_of(kind, one))
    except (LocalAgentError, OSError):
        return None
    return tree if tree.sha256 == one.sha256 else None


def _keep(kind: Kind, one: Agreed, tree: Tree) -> None:
    place = copy_of(kind, one)
    if agreed_tree(kind, one) is not None:
        return
    making = place.with_name(f".{place.name}.new")
    try:
        for old in (making, place):
            if old.is_dir():
                shutil.rmtree(old)
        trees.write(tree, making)
        making.rename(place)
    except OSError as error:
        raise store_error(error, place) from error


def _folder(kind: Kind) -> Path:
    made = state_dir() / kind
    try:
        made.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise store_error(error, made) from error
    return made


@contextmanager
def _alone(kind: Kind) -> Iterator[None]:
    with locked(_folder(kind) / "lock", poll_s=0.01):
        yield


def _save(kind: Kind, known: dict[str, Agreed]) -> None:
    write_atomic(listed(kind), json.dumps([asdict(one) for one in known.values()], indent=1).encode())
    kept = {copy_of(kind, one).name for one in known.values()}
    for path in _folder(kind).iterdir():
        if path.is_dir() and path.name not in kept:
            with suppress(OSError):
                shutil.rmtree(path)
