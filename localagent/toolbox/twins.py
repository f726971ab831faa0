"""Names that look the same and are not: composed letters, and letters with their accents apart (as macOS writes them)."""

from __future__ import annotations

import os
import unicodedata
from itertools import islice

_MOST = 5000


def as_on_disk(path: str, folder: str) -> str:
    """The path as the disk spells it, where a part of it is there only in the other form; `folder` is where a relative one begins.

    What is not there in any form, or there in more than one, stays as it is.
    """
    if path.isascii() or "\0" in path or os.path.lexists(os.path.join(folder, path)):
        return path
    at = os.sep if path.startswith(os.sep) else folder
    made = []
    for part in path.split(os.sep):
        made.append(part if part.isascii() or os.path.lexists(os.path.join(at, part)) else _twin(at, part))
        at = os.path.join(at, made[-1])
    return os.sep.join(made)


def _twin(folder: str, name: str) -> str:
    wanted = unicodedata.normalize("NFC", name)
    try:
        with os.scandir(folder) as entries:
            twins = [entry.name for entry in islice(entries, _MOST) if unicodedata.normalize("NFC", entry.name) == wanted]
    except OSError:
        return name
    return twins[0] if len(twins) == 1 else name
