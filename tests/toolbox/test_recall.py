"""What is remembered, found by an index that follows the files."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from localagent.store import memory, memory_index, paths
from localagent.toolbox import recall


def told(words: str) -> list[str]:
    return [hit.one.entry.text for hit in recall.find(words, memory.books(Path("/"))) if hit.shown]


def test_the_index_follows_the_files_whoever_changes_them(isolated: Path) -> None:
    assert told("what is my sister called?") == [] and not memory_index.path().exists()
    book = memory.own_book()
    memory.add(book, "my sister's name is Anna")
    assert told("what is my sister called?") == ["my sister's name is Anna"]
    book.path.write_text("- my sister's name is Berta\n")
    assert told("what is my sister called?") == ["my sister's name is Berta"]
    memory.add(memory.book_of(Path("/")), "the sister project is in /srv")
    assert set(told("my sister")) == {"my sister's name is Berta", "the sister project is in /srv"}
    book.path.unlink()
    assert told("my sister") == ["the sister project is in /srv"]
    assert memory_index.path().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"", None])
def test_a_damaged_index_is_made_again(isolated: Path, damage: bytes | None) -> None:
    memory.add(memory.own_book(), "my sister's name is Anna")
    assert told("my sister")
    if damage is None:
        with sqlite3.connect(memory_index.path()) as database:
            database.execute("PRAGMA user_version = 7")
    else:
        memory_index.path().write_bytes(damage)
    for _ in range(2):
        assert told("my sister") == ["my sister's name is Anna"]
    assert memory_index.path().read_bytes().startswith(b"SQLite format 3")


def test_without_a_place_for_it_one_in_the_memory_serves(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.add(memory.own_book(), "my sister's name is Anna")
    nowhere = paths.cache_dir() / "memory.db"
    nowhere.mkdir()
    assert told("my sister") == ["my sister's name is Anna"]
    os.rmdir(nowhere)


def test_the_rarest_words_lead_among_thousands_and_nothing_in_a_query_is_a_command(isolated: Path) -> None:
    lines = [f"- a note on number{n} and what else there is to say of it" for n in range(3000)]
    memory.begin(memory.own_book()).write_text("\n".join([*lines, "- the wifi of the summer house is called Möwe"]))
    assert told("what is the wifi of the summer house?") == ["the wifi of the summer house is called Möwe"]
    assert told("note on number17")[:1] == ["a note on number17 and what else there is to say of it"]
    for odd in ('" OR terms:*', "NEAR(a b)", "wifi AND NOT house", "* ^ wifi -", "\0wifi", "\ud800 wifi"):
        told(odd)
    assert recall.newest(memory.books(None), 2)[0].entry.text == "the wifi of the summer house is called Möwe"
