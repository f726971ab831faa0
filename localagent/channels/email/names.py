"""Names of files that came by mail: nothing of them leads anywhere or hides what the file is. Pure."""

from __future__ import annotations

import mimetypes
import re
import unicodedata

from .words import line

_LONGEST = 120
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)


def file_name(given: str, media_type: str, number: int) -> str:
    """A plain name of at most 120 characters; one is made up where none was given."""
    name = line(re.split(r"[/\\]", unicodedata.normalize("NFC", given))[-1])
    name = _FORBIDDEN.sub("_", name).strip(" .")
    if not name:
        return f"attachment-{number}{mimetypes.guess_extension(media_type, strict=False) or ''}"
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name) <= _LONGEST and len(name.encode()) <= 240:
        return name
    stem, dot, ending = name.rpartition(".")
    ending = f".{ending}" if dot and len(ending) <= 10 and stem else ""
    kept = (stem if ending else name)[: _LONGEST - len(ending)]
    while len(f"{kept}{ending}".encode()) > 240:
        kept = kept[:-1]
    return f"{kept}{ending}"
