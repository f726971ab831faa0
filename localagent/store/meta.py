"""What is known of a session beside its transcript: the title that a person gave it, and what it was forked from.

It is a small file of its own, replaced whole: the transcript may be growing in another process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from .atomic import write_atomic
from .transcript import sessions_dir

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Meta:
    """`origin` is the id of the session that this one was forked from, `at` the number of requests that it took over."""

    title: str = ""
    origin: str = ""
    at: int = 0


def load(session: str) -> Meta:
    """Nothing where there is no such file, or one that cannot be read: a title is never worth a session."""
    try:
        value = json.loads((sessions_dir() / session / "meta.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return Meta()
    if not isinstance(value, dict):
        return Meta()
    title, origin, at = value.get("title"), value.get("origin"), value.get("at")
    return Meta(
        _line(title) if isinstance(title, str) else "",
        origin if isinstance(origin, str) else "",
        at if isinstance(at, int) else 0,
    )


def save(session: str, known: Meta) -> None:
    """Raises StoreError."""
    write_atomic(sessions_dir() / session / "meta.json", json.dumps(asdict(known), ensure_ascii=False).encode("utf-8", "replace"))


def rename(session: str, title: str) -> str:
    """Give a session a title, "" to take it away; the title as it is kept. Raises StoreError."""
    save(session, replace(load(session), title=_line(title)))
    return _line(title)


def _line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())[:_LONGEST]
