"""What is left out of a long output is said: how much, and how to see it."""

from __future__ import annotations

import re
from pathlib import Path

from localagent.toolbox import spill


def test_a_short_text_stays_as_it_is(tmp_path: Path) -> None:
    assert spill.fit("ä" * 6000, tmp_path / "o.txt") == ("ä" * 6000, None) and not list(tmp_path.iterdir())


def test_lines_and_bytes_left_out_are_told_exactly_and_the_file_has_all(tmp_path: Path) -> None:
    lines = [f"{n}: zeile mit ü und mehr" for n in range(1, 2001)]
    text, file = "\n".join(lines) + "\n", tmp_path / "o.txt"
    shown, kept = spill.fit(text, file)
    assert kept == str(file) and file.read_text("utf-8") == text
    found = re.search(r"\[\.\.\. not shown: lines ([\d,]+) to ([\d,]+) of 2,000, ([\d,]+) of ([\d,]+) bytes", shown)
    assert found is not None
    first, last, size, whole = (int(one.replace(",", "")) for one in found.groups())
    assert whole == len(text.encode()) and size == len("".join(line + "\n" for line in lines[first - 1 : last]).encode())
    assert f"\n{lines[first - 2]}\n" in shown and lines[first - 1] not in shown
    assert lines[last - 1] not in shown and f"\n{lines[last]}\n" in shown
    assert f'read_file(path="{file}", start={first})' in shown and f'path="{file}")' in shown


def test_one_long_line_is_told_as_a_part_of_it(tmp_path: Path) -> None:
    shown, kept = spill.fit("x" * 100_000, tmp_path / "o.txt")
    assert kept and "a part of line 1 of 1, 94,000 of 100,000 bytes" in shown and len(shown) < 7000
