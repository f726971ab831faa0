"""How much of a mail is taken apart at all: the library's work and memory grow with lines times nesting. Pure.

A few megabytes made of nothing but boundaries, or of header lines, would cost hours and gigabytes.
"""

from __future__ import annotations

import re
from itertools import islice

# What a mail with 25 MB of files does not come near: 350,000 lines, a few boundaries.
_LIMITS = ((re.compile(rb"\n"), 500_000), (re.compile(rb"\n--"), 20_000), (re.compile(rb"boundary[ \t]*=", re.IGNORECASE), 100))


def bounded(raw: bytes) -> bytes:
    """The mail, or its beginning where it has more lines, parts or nesting than are read."""
    for what, most in _LIMITS:
        if (over := next(islice(what.finditer(raw), most, None), None)) is not None:
            raw = raw[: over.start()]
    return raw
