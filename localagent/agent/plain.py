"""Text of others that can do nothing to a terminal or to its neighbours on the line: pure."""

from __future__ import annotations

import re

# Everything that moves a cursor, and the marks that turn the reading direction of what follows.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]")


def calm(text: str) -> str:
    """The text with what a terminal would act on, or what would reorder its neighbours, written as `\\u{…}`.

    Joiners and direction marks of single letters stay: emoji and right-to-left words need them. What is
    to be agreed to is drawn by `agent.shown.visible`, which lets nothing invisible through.
    """
    return _UNSAFE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def calm_json(text: str) -> str:
    """JSON text of the same value, in which nothing of that stands as it is. Such characters are in its strings only."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
