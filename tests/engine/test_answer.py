"""Where free text ends and a call begins."""

from __future__ import annotations

import pytest

from localagent.engine.answer import Watch
from localagent.engine.base import Trigger

TAG = Trigger("<tool_call>", "g")
FENCE = Trigger("```json\n", "g", at_line_start=True)


def _fed(watch: Watch, *pieces: str) -> list[tuple[Trigger, int] | None]:
    return [watch.feed(piece.encode()) for piece in pieces]


def test_a_trigger_in_one_piece_over_several_and_with_more_behind_it():
    assert _fed(Watch([TAG]), "hi ", "<tool_call>") == [None, (TAG, 11)]
    assert _fed(Watch([TAG]), "hi <to", "ol_", "call", ">\n{") == [None, None, None, (TAG, 1)]
    assert _fed(Watch([TAG]), "x<tool_call>y<tool_call>") == [(TAG, 12)]
    assert _fed(Watch([TAG]), "<tool_cal", "<tool_call>") == [None, (TAG, 11)]
    assert _fed(Watch([]), "anything") == [None]


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        (("```json\n",), True),
        (("  ```json\n",), True),
        (("text\n", "  ", "```", "json", "\n"), True),
        (("text ```json\n",), False),
        (("text ```json\n", "```json\n"), True),
        (("x" * 5000, "```json\n"), False),
        (("x" * 5000 + "\n", "```json\n"), True),
        ((" " * 5000, "```json\n"), False),
    ],
)
def test_some_triggers_count_at_the_start_of_a_line_only(pieces: tuple[str, ...], found: bool):
    assert (_fed(Watch([FENCE]), *pieces)[-1] is not None) == found


def test_text_made_under_a_grammar_starts_no_trigger():
    watch = Watch([TAG])
    watch.take(b"<tool_ca")
    assert watch.feed(b"ll>") is None
    assert watch.feed(b"<tool_call>") == (TAG, 11)


def test_the_trigger_that_ends_first_wins():
    short = Trigger("```", "g")
    assert _fed(Watch([FENCE, short]), "```json\n") == [(short, 3)]
