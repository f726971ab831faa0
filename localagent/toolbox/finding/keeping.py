"""The index of many tools, kept across sessions in a file of the cache folder that is named after a hash of them.

Whoever finds none, or a damaged one, makes it anew; two processes that do so at once write the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ...errors import LocalAgentError
from ...store.atomic import write_atomic
from ...store.paths import cache_dir
from ...values import ToolSpec
from . import hints, index
from .index import Index

MANY = 300
"""From so many tools on an index takes longer to make than to read."""
_KEPT = 4
_BEGIN, _END = "tools-", ".json"


def made(specs: Sequence[ToolSpec]) -> Index:
    """The index of these tools, from the cache where they are many."""
    if len(specs) < MANY:
        return Index.of(specs)
    with contextlib.suppress(LocalAgentError, OSError):
        file = cache_dir() / f"{_BEGIN}{_key(specs)}{_END}"
        if (found := _read(file, len(specs))) is not None:
            return found
        new = Index.of(specs)
        write_atomic(file, json.dumps(new.to_json(), separators=(",", ":")).encode())
        _prune(file.parent)
        return new
    return Index.of(specs)


def _key(specs: Sequence[ToolSpec]) -> str:
    said = [[spec.name, spec.description, spec.parameters, spec.source, hints.said(spec.name)] for spec in specs]
    text = json.dumps([index.VERSION, said], default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _read(file: Path, count: int) -> Index | None:
    try:
        found = Index.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found if len(found.entries) == count else None


def _prune(folder: Path) -> None:
    files = sorted(folder.glob(f"{_BEGIN}*{_END}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in files[_KEPT:]:
        old.unlink(missing_ok=True)
