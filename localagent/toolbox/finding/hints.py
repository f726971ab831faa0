"""What people say when they mean one of the tools that we ship: it costs no prompt here, as it would in a description."""

from __future__ import annotations

from .words import stem

_SAID = {
    "schedule": "remind reminder alarm wake timer",
    "remember": "memorize memorise",
    "fetch_page": "webpage website",
    "search_web": "internet online google",
}
_STEMS = {name: frozenset(map(stem, said.split())) for name, said in _SAID.items()}


def said(name: str) -> str:
    """Words for a tool beside those of its name."""
    return _SAID.get(name, "")


def stands_for(name: str, word: str) -> bool:
    """Whether this stem alone means the tool."""
    return word in _STEMS.get(name, ())
