"""Which modes of the terminal a program has set, so that a browser that comes later can be put into them too."""

from __future__ import annotations

import re

# Those a terminal is in from the start, and synchronised output, which lasts for one picture.
_NOT_KEPT = frozenset((2026,))
_MODE = re.compile(rb"\x1b\[\?([0-9;]{1,64})([hl])")
_BEGUN = re.compile(rb"\x1b(?:\[(?:\?[0-9;]{0,64})?)?\Z")


class Modes:
    """Reads along with the output: the alternate screen, the mouse, pasting, the cursor, the wrapping of lines."""

    def __init__(self) -> None:
        self._set: dict[int, bool] = {}
        self._begun = b""

    def feed(self, data: bytes) -> None:
        data = self._begun + data
        for numbers, how in _MODE.findall(data):
            for number in filter(None, numbers.split(b";")):
                mode = int(number)
                if mode not in _NOT_KEPT:
                    # In the order in which they were set: one kind of mouse report replaces another.
                    self._set.pop(mode, None)
                    self._set[mode] = how == b"h"
        begun = _BEGUN.search(data[-80:])
        self._begun = begun.group() if begun else b""

    def again(self) -> bytes:
        """What puts a fresh terminal into the same modes."""
        return b"".join(b"\x1b[?%d%s" % (mode, b"h" if on else b"l") for mode, on in self._set.items())
