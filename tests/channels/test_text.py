"""Cutting long texts, and names from outside."""

from __future__ import annotations

import random
import re

import pytest

from localagent.channels.text import file_name, split, utf8, utf16

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAGS = "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"


def test_a_text_that_fits_stays_as_it_is():
    assert split(" as it is \n", 20) == [" as it is \n"] and split("", 5) == [""]


def test_it_is_cut_after_a_paragraph_else_a_line_a_sentence_a_word():
    assert split("one two\n\nthree four", 12) == ["one two", "three four"]
    assert split("one two\nthree four", 12) == ["one two", "three four"]
    assert split("One two. Three four", 12) == ["One two.", "Three four"]
    assert split("one two three four", 12) == ["one two", "three four"]
    assert split("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_indentation_behind_a_cut_line_stays():
    assert split("def f():\n    return 1", 12) == ["def f():", "    return 1"]


@pytest.mark.parametrize("whole", [FAMILY, FLAGS[:2], "e\u0301", "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "\r\n"])
def test_what_a_reader_sees_as_one_is_never_cut(whole):
    for limit in range(utf16(whole) + 1, 30):
        for part in split("a" + whole * 20, limit):
            assert part.replace(whole, "").strip("a\r\n") == ""


def test_random_texts_keep_their_words_and_fit():
    chance = random.Random(5)
    pieces = ["word", " ", "\n", "\n\n", ". ", "ä", "\U0001f600", "x" * 30, "  ", FAMILY]
    for _ in range(300):
        text = "".join(chance.choices(pieces, k=60))
        for measure in (utf16, utf8):
            limit = chance.randint(25, 80)
            parts = split(text, limit, measure)
            assert all(measure(part) <= limit for part in parts), (text, limit)
            assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)
            assert all(part.strip() for part in parts) or not text.strip() or len(parts) == 1


def test_lengths_as_services_count_them():
    assert (utf16("aä\U0001f600"), utf8("aä\U0001f600")) == (4, 7)


def test_a_long_text_is_cut_in_little_time():
    assert len(split("word " * 40_000, 4096)) == 49


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a.txt", "a.txt"),
        (".bashrc", "bashrc"),
        ("a\nb\x00.txt", "a_b_.txt"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        ("", "file"),
        (None, "file"),
        ("..", "file"),
        (["x"], "['x']"),
        ("ä" * 200 + ".pdf", "ä" * 58 + ".pdf"),
        ("x" * 10 + "." + "y" * 300, "x" * 10 + "." + "y" * 109),
    ],
)
def test_names_from_outside(said, name):
    assert file_name(said) == name and len(file_name(said).encode()) <= 120
