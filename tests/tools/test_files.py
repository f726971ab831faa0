# ruff: noqa: RUF001
"""Listing, finding, searching and reading."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest

from localagent import ToolError


def made(here: Path, **contents: str | bytes) -> None:
    for name, content in contents.items():
        path = here / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


# ---------------------------------------------------------------- list_files


def test_a_folder_is_listed_folders_first_with_sizes(here: Path, files: ModuleType) -> None:
    (here / "z folder").mkdir()
    (here / "b.txt").write_bytes(b"x" * 52_000)
    (here / "a.txt").write_bytes(b"x" * 9)
    os.utime(here / "b.txt", (0, 0))
    os.utime(here / "a.txt", (86400, 86400))
    head, *lines = files.list_files().splitlines()
    assert head.startswith("this folder: 1 folder, 2 files (52.0 KB); largest b.txt (52.0 KB), newest a.txt (1970-01-0")
    assert lines == ["z folder/", "a.txt  9 B", "b.txt  52.0 KB"]


def test_odd_names_cannot_mislead(here: Path, files: ModuleType) -> None:
    for name in ("two\nlines", " ends ", "Ünï 日本.txt", os.fsdecode(b"bad\xff")):
        (here / name).write_text("")
    lines = files.list_files().splitlines()[1:]
    assert "'two\\nlines'  0 B" in lines
    assert "' ends '  0 B" in lines
    assert "Ünï 日本.txt  0 B" in lines
    assert "bad?  0 B" in lines


def test_listing_what_is_no_folder(here: Path, files: ModuleType) -> None:
    made(here, a="12345")
    assert files.list_files(Path("a")) == "a is a file, 5 B."
    (here / "empty").mkdir()
    assert files.list_files(Path("empty")) == "empty is empty."
    with pytest.raises(ToolError, match=r"nowhere does not exist. In this folder there is: a, empty/."):
        files.list_files(Path("nowhere"))


def test_broken_links_and_sockets_do_not_stop_a_listing(here: Path, files: ModuleType) -> None:
    (here / "link").symlink_to("nowhere")
    os.mkfifo(here / "pipe")
    assert "link  0 B" in files.list_files()
    with pytest.raises(ToolError, match=r"device or pipe"):
        files.read_file(Path("pipe"))


def test_a_hundred_thousand_entries(here: Path, files: ModuleType) -> None:
    big = here / "big"
    big.mkdir()
    handle = os.open(big, os.O_RDONLY)
    for number in range(100_000):
        os.mknod(f"f{number:06}.{'log' if number % 4 else 'txt'}", dir_fd=handle)
    os.close(handle)
    begun = time.process_time()
    listed = files.list_files(Path("big"))
    found = files.find_files("f09999*", Path("big"))
    assert time.process_time() - begun < 6
    assert listed.splitlines()[1] == "f000000.txt  0 B"
    assert "... and 99,800 more (files by ending: .log 75,000, .txt 25,000)" in listed
    assert len(listed) < 6000
    assert found.startswith("10 matches:\nbig/f099990.log")


def test_a_pattern_lists_what_it_matches(here: Path, files: ModuleType) -> None:
    made(here, **{"a.txt": "", "b.md": ""})
    assert files.list_files(Path("*.md")) == "1 match:\nb.md  0 B"


# ---------------------------------------------------------------- find_files


def test_globs_and_plain_parts_of_names(here: Path, files: ModuleType) -> None:
    made(here, **{"docs__a.md": "", "docs__deep__b.MD": "", "docs__c.txt": "", "report 2024.pdf": "", ".git__x.md": ""})
    found = lambda *args: [line.removesuffix("  0 B") for line in files.find_files(*args).splitlines()[1:]]  # noqa: E731
    assert files.find_files("*.pdf") == "1 match:\nreport 2024.pdf  0 B"
    assert found("*.md") == ["docs/a.md", "docs/deep/b.MD"]
    assert found("report") == ["report 2024.pdf"]
    assert found("DOCS/") == ["docs/"]
    assert found("docs/*.md") == ["docs/a.md"]
    assert found("docs/**/*.md") == ["docs/a.md", "docs/deep/b.MD"]
    assert found("**/*.md") == ["docs/a.md", "docs/deep/b.MD"]
    assert found("*.{md,txt}", Path("docs")) == ["docs/a.md", "docs/c.txt", "docs/deep/b.MD"]
    assert found("docs/*.md", Path("docs")) == ["docs/a.md"]
    assert found(f"{here}/docs/*.txt") == ["docs/c.txt"]
    assert found("deep") == ["docs/deep/"]
    assert found("[ab].md") == ["docs/a.md", "docs/deep/b.MD"]
    assert files.find_files("*.zip").startswith(
        "Nothing in this folder matches '*.zip'. There are 6 entries, for example"
    )
    with pytest.raises(ToolError, match=r"report 2024.pdf is a file"):
        files.find_files("x", Path("report 2024.pdf"))


def test_many_matches_are_capped_and_counted(here: Path, files: ModuleType) -> None:
    for number in range(250):
        (here / f"{number:03}.txt").write_text("")
    lines = files.find_files("*.txt").splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("250 matches:", 202, "... and 50 more. Use a narrower pattern.")


# ---------------------------------------------------------------- search_text


def test_text_is_found_literally_first(here: Path, files: ModuleType) -> None:
    made(here, **{"a.txt": "x.y\nxzy\n", "d__b.txt": "X.Y\n"})
    assert files.search_text("x.y") == "1 line in 1 file:\na.txt:1: x.y"
    assert files.search_text("XZY") == "1 line in 1 file (upper and lower case ignored):\na.txt:2: xzy"
    assert files.search_text("^x[.z]y$") == ("2 lines in 1 file (as a regular expression):\na.txt:1: x.y\na.txt:2: xzy")
    assert files.search_text("[") == "'[' is in none of the 2 text files searched in this folder."


def test_binary_files_and_repositories_are_not_searched(here: Path, files: ModuleType) -> None:
    made(
        here,
        **{"a.bin": b"\0needle", ".git__config": "needle", "b.txt": "needle", "utf16.txt": "needle".encode("utf-16")},
    )
    found = files.search_text("needle")
    assert found.splitlines()[1:] == ["b.txt:1: needle", "utf16.txt:1: needle"]
    assert ".git/config:1: needle" in files.search_text("needle", Path(".git"))


def test_one_file_a_pattern_or_nothing(here: Path, files: ModuleType) -> None:
    made(here, **{"a.txt": "one", "b.md": "one"})
    assert files.search_text("one", Path("a.txt")).endswith("a.txt:1: one")
    assert files.search_text("one", Path("*.md")).endswith("b.md:1: one")
    with pytest.raises(ToolError, match=r"Did you mean a.txt"):
        files.search_text("one", Path("a.tx"))
    with pytest.raises(ToolError, match=r"Give the text"):
        files.search_text("")


def test_many_hits_and_long_lines_are_capped(here: Path, files: ModuleType) -> None:
    made(here, **{"a.txt": "hit\n" * 150, "b.txt": "x" * 5000 + "rare"})
    assert files.search_text("hit").endswith("\n... and 50 more lines")
    assert len(files.search_text("rare")) < 500


# ---------------------------------------------------------------- read_file


def test_a_small_file_is_read_as_it_is(here: Path, files: ModuleType) -> None:
    made(
        here,
        **{"a.txt": "one\r\ntwo", "e.txt": "", "bom.txt": b"\xef\xbb\xbfhi", "l1.txt": "caf\xe9".encode("latin-1")},
    )
    made(here, **{"w.txt": "wide".encode("utf-16")})
    assert files.read_file(Path("a.txt")) == "one\ntwo"
    assert files.read_file(Path("e.txt")) == "e.txt is empty."
    assert files.read_file(Path("bom.txt")) == "hi"
    assert files.read_file(Path("l1.txt")) == "café\n[the file is in Latin-1; an edit keeps that]"
    assert files.read_file(Path("w.txt")).startswith("wide\n[the file is in UTF-16")


def test_ranges_say_where_they_are(here: Path, files: ModuleType) -> None:
    made(here, **{"a.txt": "".join(f"line {n}\n" for n in range(1, 2001))})
    read = lambda *args: files.read_file(Path("a.txt"), *args)  # noqa: E731
    assert read(3, 4) == "line 3\nline 4\n[lines 3-4 of 2,000; read on with start=5]"
    assert read(1999) == "line 1999\nline 2000\n[lines 1999-2000 of 2,000]"
    assert read(-2) == "line 1999\nline 2000\n[lines 1999-2000 of 2,000]"
    assert read(0, 1) == "line 1\n[lines 1-1 of 2,000; read on with start=2]"
    assert read(3000) == "a.txt has only 2,000 lines."
    whole = read()
    assert len(whole) < 6000
    assert "; read on with start=" in whole


def test_a_long_line_is_cut(here: Path, files: ModuleType) -> None:
    made(here, **{"a.txt": "x" * 100_000})
    text = files.read_file(Path("a.txt"))
    assert len(text) < 6000
    assert "[100,000 characters in this line]" in text


def test_a_huge_file_is_read_in_part(here: Path, files: ModuleType) -> None:
    with (here / "huge.log").open("wb") as file:
        file.write(b"first\n")
        file.truncate(3_000_000_000)
    begun = time.monotonic()
    assert files.read_file(Path("huge.log")) == "huge.log is not text: binary data, 3.0 GB."
    assert time.monotonic() - begun < 1
    with (here / "log.txt").open("wb") as file:
        for _ in range(80):
            file.write(b"a line of text\n" * 70_000)
    begun = time.monotonic()
    assert "of more than 3; read on with start=4]" in files.read_file(Path("log.txt"), 1, 3)
    assert time.monotonic() - begun < 1


def test_what_is_no_text_is_described(here: Path, files: ModuleType) -> None:
    made(here, **{"a.png": b"\x89PNG\r\n\x1a\n\0\0", "b.bin": b"\0\1\2", "d__x.txt": ""})
    assert files.read_file(Path("a.png")) == "a.png is not text: a PNG image, 10 B."
    assert files.read_file(Path("b.bin")) == "b.bin is not text: binary data, 3 B."
    with pytest.raises(ToolError, match=r"d is a folder. Read one of its files: x.txt."):
        files.read_file(Path("d"))


def test_a_pattern_reads_several_files(here: Path, files: ModuleType) -> None:
    made(here, **{"d__1.txt": "Total: 1\n", "d__2.txt": "Total: 2\n", "big1.log": "x" * 4000, "big2.log": "x" * 4000})
    assert files.read_file(Path("d/*.txt")) == "== d/1.txt ==\nTotal: 1\n== d/2.txt ==\nTotal: 2"
    assert files.read_file(Path("d/1*")) == "Total: 1\n"
    assert files.read_file(Path("*.log")).endswith("\n[1 more file not shown: read them one by one]")
    with pytest.raises(ToolError, match=r"does not exist"):
        files.read_file(Path("*.zip"))


def test_a_missing_file_is_told_with_what_there_is(here: Path, files: ModuleType) -> None:
    made(here, **{"keep.txt": "", "photos__x.txt": ""})
    with pytest.raises(ToolError) as caught:
        files.read_file(Path("budget.txt"))
    assert str(caught.value) == "budget.txt does not exist. In this folder there is: keep.txt, photos/."
    with pytest.raises(ToolError, match=r"x.txt does not exist. Did you mean photos/x.txt"):
        files.read_file(Path("x.txt"))
    with pytest.raises(ToolError, match=r"no/where/x.txt does not exist"):
        files.read_file(Path("no/where/x.txt"))


# ---------------------------------------------------------------- scripts and encodings


def test_the_encoding_of_an_old_file_is_said(here: Path, files: ModuleType) -> None:
    made(here, **{"k.txt": "Привет, мир! Как дела?\n".encode("koi8-r")})
    made(here, **{"long.log": b"x\n" * 50_000 + "会议在星期五上午\n".encode("gb18030")})
    assert files.read_file(Path("k.txt")) == "Привет, мир! Как дела?\n[the file is in KOI8-R; an edit keeps that]"
    assert files.read_file(Path("long.log"), -1).startswith("会议在星期五上午\n[lines 50001-50001 of 50,001]\n[the file is in GB18030")
    assert files.search_text("дела") == "1 line in 1 file:\nk.txt:1: Привет, мир! Как дела?"
    assert "long.log:50001: 会议" in files.search_text("星期五")


def test_letters_are_found_in_whatever_form(here: Path, files: ModuleType) -> None:
    apart = unicodedata.normalize("NFD", "Café")
    made(here, **{"a.txt": f"{apart}\n合計：１２００円\nｶﾀｶﾅ\n", f"{apart}.md": "x"})
    assert "a.txt:1: " in files.search_text("Café") and "composed letters" in files.search_text("Café")
    assert "a.txt:2: " in files.search_text("1200") and "a.txt:3: " in files.search_text("カタカナ")
    assert files.find_files("café").startswith("1 match") and files.find_files("Caf?.md").startswith("1 match")
