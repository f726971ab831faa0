"""A stored session as a file for people or programs: Markdown, one HTML page, or the transcript's own JSON lines.

What was masked in the transcript stays masked, and nothing is read but the transcript. Whatever stands in it is data: an
export has no control characters, loads nothing and runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, cast

from ..errors import UsageError
from ..store import meta
from ..store.atomic import write_atomic, write_new
from ..store.transcript import Transcript
from . import story
from .marked import markdown
from .plain import calm_json

Format = Literal["md", "html", "jsonl"]
FORMATS: tuple[Format, ...] = ("md", "html", "jsonl")


def export(session: str, kind: str) -> str:
    """The session's text in one of FORMATS. Raises UsageError for another."""
    if kind not in FORMATS:
        raise UsageError(f"There is no format {kind!r}.", f"There are {', '.join(FORMATS)}.")
    if kind == "jsonl":
        return "".join(_whole_lines(Transcript(session).raw()))
    events = list(Transcript(session).read())
    known = meta.load(session)
    head, entries = story.head(session, events, known.title, known.origin), story.told(events)
    if kind == "html":
        from .page import page

        return page(head, entries)
    return markdown(head, entries)


def save(session: str, kind: str, target: Path, force: bool = False) -> None:
    """Write it to a file that its owner alone may read. Raises UsageError where one is there, unless `force`, StoreError."""
    data = export(session, kind).encode("utf-8", "replace")
    if target.is_dir():
        raise UsageError(f"{target} is a folder.", "Name a file.")
    if force:
        write_atomic(target, data)
    else:
        write_new(target, data)


def kind_of(target: str) -> Format | None:
    """The format that a file's name tells."""
    end = target.rpartition(".")[2].lower()
    known = {"markdown": "md", "htm": "html"}.get(end, end)
    return cast("Format", known) if known in FORMATS else None


def _whole_lines(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        text = line.decode("utf-8", "replace").strip()
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            continue
        yield calm_json(text) + "\n"
