"""Received messages by words that a model chose: all of them where that finds something, else the nearest.

People and small models describe a message ("the mail from Carla about invoices") more often than they quote it. A word counts
the more the fewer messages have it, and one that none has counts by its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..store.inbox import Inbox, Stored

_WORD = re.compile(r"[^\W_]+(?:[.@_-][^\W_]+)*")
_ADDRESS = re.compile(r"[^<>]*<([^<>]+)>\s*")
_SHORT, _STEM, _ENDING = 2, 4, 3
_COUNTED = 200
_MOST_WORDS = 20


def search(inbox: Inbox, words: str, sender: str, limit: int, nearest: int) -> tuple[list[Stored], bool]:
    """At most `limit` messages that have all of it, the newest first, and True; else the `nearest` few and False."""
    # Senders are named as they are shown: "Anna Berg <anna@example.org>".
    found = inbox.search(words, sender=_ADDRESS.sub(r"\1", sender).strip(), limit=limit)
    if found:
        return found, True
    scores: dict[int, float] = {}
    known: dict[int, Stored] = {}
    for word in _asked(f"{words} {sender}"):
        hits = _with(inbox, word)
        for stored in hits:
            known[stored.number] = stored
            scores[stored.number] = scores.get(stored.number, 0.0) + 1 / len(hits)
    best = sorted(known.values(), key=lambda stored: (scores[stored.number], stored.message.at), reverse=True)
    if best:
        # What shares only a common word with the request is no answer to it.
        best = [stored for stored in best if scores[stored.number] * 2 >= scores[best[0].number]]
    return (best or inbox.search(limit=nearest))[:nearest], False


def _asked(text: str) -> Iterator[str]:
    words = (word.casefold() for word in _WORD.findall(text.replace("\u2019", "'")))
    yield from list(dict.fromkeys(word for word in words if len(word) > _SHORT or not word.isascii()))[:_MOST_WORDS]


def _with(inbox: Inbox, word: str) -> list[Stored]:
    """The messages with the word, else with what is left of it without an ending."""
    for end in range(len(word), max(_STEM, len(word) - _ENDING) - 1, -1):
        if found := inbox.search(word[:end], limit=_COUNTED):
            return found
    return []
