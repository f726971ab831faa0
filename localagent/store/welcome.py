"""What a person was asked at the first start, so that nothing is asked twice, and which download they wanted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import StoreError
from .atomic import write_atomic
from .paths import state_dir

Question = Literal["model", "mode"]


@dataclass(frozen=True, slots=True)
class Welcome:
    """`asked` are the questions that were answered or skipped; `fetching` the model to go on downloading, "" for none."""

    asked: tuple[str, ...] = ()
    fetching: str = ""


def _path() -> Path:
    return state_dir() / "welcome.json"


def load() -> Welcome:
    """What is known; nothing where the file is missing or damaged, which costs a question at most."""
    try:
        read = json.loads(_path().read_bytes())
        return Welcome(tuple(map(str, read["asked"])), str(read["fetching"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Welcome()


def asked(question: Question) -> None:
    """It is not asked again."""
    known = load()
    if question not in known.asked:
        _save(replace(known, asked=(*known.asked, question)))


def fetching(model: str) -> None:
    """The download to go on with at the next start, "" for none."""
    known = load()
    if known.fetching != model:
        _save(replace(known, fetching=model))


def _save(made: Welcome) -> None:
    # A disk that refuses costs the same question once more, nothing else.
    with contextlib.suppress(StoreError, OSError):
        write_atomic(_path(), json.dumps(asdict(made)).encode())
