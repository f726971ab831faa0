"""Files that came with messages: by their sha256 in the state folder, for their owner alone."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path

from ..values import Attachment
from . import paths
from .atomic import write_atomic

# A message is stored after its files: what no message names may belong to one that comes.
_YOUNG_S = 86_400.0
_NAME = re.compile(r"[0-9a-f]{64}")


def folder() -> Path:
    made = paths.state_dir() / "attachments"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def keep(data: bytes, name: str, media_type: str) -> Attachment:
    """Store the bytes, once however often they come. Raises StoreError."""
    sha256 = hashlib.sha256(data).hexdigest()
    place = folder() / sha256
    if not place.is_file() or place.stat().st_size != len(data):
        write_atomic(place, data)
    else:
        os.utime(place)
    return Attachment(str(place), name, media_type, len(data), sha256)


def sweep(named: Collection[str], now: float | None = None) -> int:
    """Remove the files whose sha256 is not among `named` and that are older than a day; the bytes that frees."""
    freed, limit = 0, (time.time() if now is None else now) - _YOUNG_S
    for place in folder().iterdir():
        try:
            facts = place.stat()
            if place.name not in named and facts.st_mtime < limit and (_NAME.fullmatch(place.name) or place.name[:1] == "."):
                place.unlink()
                freed += facts.st_size
        except FileNotFoundError:
            continue
    return freed
