"""Which words of a text in the making are read ahead."""

from __future__ import annotations

import pytest

from localagent.engine import asked


@pytest.mark.parametrize(
    ("draft", "settled"),
    [
        ("", ""),
        ("word", ""),
        ("word ", "word"),
        ("two wor", "two"),
        ("an end. Nex", "an end"),
        ("1, 22, 333, 4", "1, 22, 333"),
        ("snake_case.nam", "snake_case"),
        ("naïve cafe\u0301", "naïve"),
        ("你好\uff0c世", "你好"),
        ("line one\n\n  tw", "line one"),
        ("sum: 12 + 34 = ", "sum: 12 + 34"),
        ("größe ändern b", "größe ändern"),
        ("... --- ...", ""),
    ],
)
def test_only_words_that_cannot_change_any_more_are_read_ahead(draft: str, settled: str):
    assert asked.settled(draft) == settled
