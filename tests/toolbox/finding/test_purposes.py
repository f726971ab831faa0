"""What people ask for: the table is whole in each language, and leads to tools that no word of the request names."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.toolbox.finding.index import Index
from localagent.toolbox.finding.purposes import FIRST, Purpose, fitness, meant, purposes, read
from localagent.toolbox.search import Finder
from localagent.values import ToolSpec

LIST = ToolSpec("list-events", "All events between two days.", {}, (), "mcp:calendar")
MAKE = ToolSpec("create-event", "Make an event.", {}, (), "mcp:calendar")
FILE = ToolSpec("list-files", "All files of a folder.", {}, (), "mcp:disk")


def test_every_language_says_what_the_first_one_says() -> None:
    known = purposes()
    names = [row.name for row in known.rows]
    assert len(set(names)) == len(names) > 300
    assert all(row.about and row.done for row in known.rows)
    assert {number for number, _ in known.examples} == set(range(len(names)))


def test_a_request_finds_what_it_is_for() -> None:
    finder = Finder([FILE, MAKE, LIST])
    best, *_ = finder.ranked("am I free on Wednesday afternoon?")
    assert best.spec == LIST
    assert finder.ranked("dentist on Tuesday at 10, half an hour")[0].spec == MAKE


def test_the_nearest_count_and_none_where_nothing_is_near() -> None:
    assert meant({1: 0.2, 2: 0.1}, 0.3, 0.2) == []
    (first, most), (second, less) = meant({1: 0.5, 2: 0.4, 3: 0.1}, 0.3, 0.2)
    assert (first, second) == (1, 2) and most > less and most + less == pytest.approx(1.0)
    assert sum(weight for _, weight in meant({1: 0.35}, 0.3, 0.2)) == pytest.approx(0.25)


def test_who_does_something_else_with_it_fits_less() -> None:
    fits = fitness(Purpose("event-list", ("event", "calendar"), ("list",)), Index.of([FILE, MAKE, LIST]))
    assert fits[2] > 2 * fits[1] > 0 and 0 not in fits


def test_a_name_that_the_first_file_has_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{FIRST}.txt").write_text("# told\none: word / get = say a word; a word\n", encoding="utf-8")
    (tmp_path / "de.txt").write_text("one = ein Wort\n", encoding="utf-8")
    assert read(tmp_path).examples == ((0, "say a word"), (0, "a word"), (0, "ein Wort"))
    (tmp_path / "de.txt").write_text("two = zwei\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no purpose 'two'"):
        read(tmp_path)
