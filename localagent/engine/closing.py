"""Closing an open call while it can be: what is cut off then parses as a whole."""

from __future__ import annotations

from collections.abc import Callable

from .automaton import Automaton, State

NEAR = 256
"""With more tokens left nothing is looked at, unless a grammar's shortest text alone needs a good part of them."""

CROWDED = 1500
"""Ways to read the text at once: llama.cpp follows each of them, and a few more levels of a nest make millions."""

COUNTED = 2048
"""Bytes: the tokens of a longer text are not counted before each token."""


class Closing:
    """Follows the text under one grammar. `count` says how many tokens a text takes at most."""

    def __init__(self, automaton: Automaton, count: Callable[[str], int]) -> None:
        self._count = count
        self._state: State | None = automaton.start()
        self._unread = b""
        self._near = max(NEAR, 4 * automaton.start().cost)
        self._fitted = False

    def near(self, room: int) -> bool:
        """Whether so few tokens are left that `fits` has to be asked before each of them."""
        return room <= self._near

    def write(self, piece: bytes) -> None:
        self._unread += piece

    def crowded(self, piece: bytes) -> bool:
        """Whether the text could be read in too many ways once `piece` is written too: the engine would hang."""
        self._read()
        state = None if self._unread else self._state
        for char in _characters(piece)[0]:
            state = state and state.feed(char)
            if state is None:
                return False
            if state.ways > CROWDED:
                return True
        return False

    def fits(self, piece: bytes, room: int) -> bool:
        """Whether the text can still be closed in `room` tokens once `piece` is written too.

        True as well where it could not be closed before: then only the model itself can.
        """
        self._read()
        if self._state is None:
            return True
        text, _, missing = _characters(self._unread + piece)
        after = self._state.feed(text)
        fits = after is not None and self._need(after, room - missing) <= room - missing
        # Nothing can be closed in the middle of a character.
        if fits or not self._fitted or self._unread:
            self._fitted = fits
            return True
        return False

    def forced(self) -> str:
        """The text that must come next, "" where there is a choice."""
        self._read()
        return "" if self._state is None or self._unread else self._state.forced

    def rest(self) -> str:
        """The shortest text that closes what is written."""
        self._read()
        return "" if self._state is None else self._state.completion()

    def _read(self) -> None:
        if self._unread and self._state is not None:
            text, self._unread, _ = _characters(self._unread)
            self._state = self._state.feed(text)

    def _need(self, state: State, room: int) -> int:
        """Tokens to close it, at most: counted where the bytes alone, which are never fewer, do not settle it."""
        return self._count(state.completion()) if room < state.cost <= min(8 * room, COUNTED) else state.cost


def _characters(raw: bytes) -> tuple[str, bytes, int]:
    """The whole characters, the bytes of one begun behind them, and how many that still lacks.

    Counted from a first byte as llama.cpp does, which takes some for one that UTF-8 does not know.
    """
    for back in range(1, min(3, len(raw)) + 1):
        first = raw[-back]
        if first & 0xC0 == 0x80:
            continue
        length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
        if length > back:
            return raw[:-back].decode("utf-8", "replace"), raw[-back:], length - back
        break
    return raw.decode("utf-8", "replace"), b"", 0
