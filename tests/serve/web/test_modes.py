"""The modes of a terminal, read from what a program writes, wherever that is cut."""

from __future__ import annotations

import pytest

from localagent.serve.web.modes import Modes

WRITTEN = b"\x1b[?1049h\x1b[?1000h\x1b[?1003h\x1b[?1006;2004hhi \xe4\xbd\xa0\x1b[?25l\x1b[31m\x1b[?2026h...\x1b[?2026l\x1b[?7l"
AGAIN = b"\x1b[?1049h\x1b[?1000h\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[?25l\x1b[?7l"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_modes_are_found_in_pieces_of_any_size(size: int) -> None:
    modes = Modes()
    for at in range(0, len(WRITTEN), size):
        modes.feed(WRITTEN[at : at + size])
    assert modes.again() == AGAIN


def test_a_mode_that_is_set_anew_comes_last() -> None:
    modes = Modes()
    modes.feed(b"\x1b[?1000h\x1b[?1006h\x1b[?1000l")
    assert modes.again() == b"\x1b[?1006h\x1b[?1000l"


def test_what_is_no_mode_is_no_mode() -> None:
    modes = Modes()
    modes.feed(b"\x1b[?$p\x1b[?2026$p\x1b[25l[?25h\x1b[?" + b"1" * 99 + b"h\x1b")
    modes.feed(b"x[?9h")
    assert modes.again() == b""
