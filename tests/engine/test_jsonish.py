from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import pytest

from localagent.engine import jsonish

MENDED: list[tuple[str, Any]] = [
    ("{'a': True, b: None, 'c': [1, 2,],}", {"a": True, "b": None, "c": [1, 2]}),
    ('{"a": "line\nbreak\tand tab"}', {"a": "line\nbreak\tand tab"}),
    ('{"a": "say "hi" now"}', {"a": 'say "hi" now'}),
    ("{'command': 'ls \"x\"'}", {"command": 'ls "x"'}),
    ('{"a": [1, 2}', {"a": [1, 2]}),
    ('{"a": 1, "b": {"c": "d"', {"a": 1, "b": {"c": "d"}}),
    ('{"a": "x" "b": 2}', {"a": "x", "b": 2}),
    ('{"a": "x"\n"b": 2}', {"a": "x", "b": 2}),
    ('{"a": src/x.py, "b": 1}', {"a": "src/x.py", "b": 1}),
    ('{"p": "C:\\dir"}', {"p": "C:\\dir"}),
    ('{"a": , "b": 1}', {"a": None, "b": 1}),
    ("[NaN, +5, .5]", [None, 5, 0.5]),
    ("[1e999, -1e400]", [sys.float_info.max, -sys.float_info.max]),
    ("9" * 5000, sys.float_info.max),
]


@pytest.mark.parametrize(("text", "value"), MENDED)
def test_what_models_write_is_mended_and_said(text: str, value: Any) -> None:
    found = jsonish.read(text)
    assert found and found.repairs
    assert found.value == value and not found.cut


def test_no_digit_of_a_whole_number_is_lost() -> None:
    assert jsonish.read("[12345678901234567890123, 9007199254740993]").value == [
        12345678901234567890123,
        9007199254740993,
    ]
    assert jsonish.read("{a: 12345678901234567891}").value == {"a": 12345678901234567891}


def test_good_json_is_left_alone() -> None:
    text = ' {"a": [1, -2.5e3, "\\u00e9\\n", {"b": null}], "c": true} and more'
    assert jsonish.read(text) == jsonish.Read({"a": [1, -2500.0, "é\n", {"b": None}], "c": True}, (), False, 55)


@pytest.mark.parametrize("text", ["", "   ", "word", "}", "<tag>", ":", "- a"])
def test_no_value_is_none(text: str) -> None:
    assert jsonish.read(text) is None


@pytest.mark.parametrize("text", ['{"a": "b', '{"a": ', '{"a"', '{"a": [1, 2', "[[[", '{"a": tru', '{"a": {"b": '])
def test_lost_content_is_cut(text: str) -> None:
    found = jsonish.read(text)
    assert found and found.cut


def test_halves_of_pairs_become_text_that_can_be_encoded() -> None:
    found = jsonish.read('{"a": "\\ud83d\\ude42 \\ud83d"}')
    assert found and found.value == {"a": "🙂 \ufffd"}
    found.value["a"].encode()


def test_a_start_in_the_middle() -> None:
    found = jsonish.read('call: {"a": 1} {"b": 2}', 15)
    assert found and found.value == {"b": 2} and found.end == 23


HARD = [
    "[" * 100_000,
    '{"a":' * 50_000,
    '"' * 100_000,
    '{"a": "' + '" ' * 100_000,
    "\\" * 100_000,
    '{"a": "' + "\\" * 99_999,
    "['" * 50_000,
    "1" * 100_000,
    '{"a": "x"' * 20_000,
    "{" + " " * 200_000,
    '{"a": ' + "x" * 200_000,
    "[" + "}" * 100_000,
    '["' + '"\n' * 100_000,
]


@pytest.mark.parametrize("text", HARD, ids=range(len(HARD)))
def test_hard_texts_take_linear_time(text: str) -> None:
    began = time.process_time()
    jsonish.read(text)
    jsonish.Scanner().feed(text)
    assert time.process_time() - began < 2


def test_never_raises_and_keeps_what_was_good() -> None:
    rng = random.Random(11)
    alphabet = "{}[]\",':\\ \n\tabu0123.-+eETrueFalseNone`<é🙂\x00"
    for _ in range(3000):
        good = {"k": rng.choice(["x", 'q"', "ü\n"]), "n": [rng.randrange(99), None, {"d": 1.5}]}
        text = list(json.dumps(good, ensure_ascii=rng.random() < 0.5))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(text))
            text[at : at + rng.randrange(3)] = rng.choice(alphabet)
        found = jsonish.read("".join(text))
        assert found is None or 0 < found.end <= len("".join(text))
        if found:
            json.dumps(found.value)


def test_the_scanner_finds_the_end_in_pieces() -> None:
    text = '{"a": "} \\" {", \'b\': [1, {"c": "\'"}]} tail'
    end = text.index(" tail")
    for step in (1, 2, 7, 100):
        scanner, at, stop = jsonish.Scanner(), 0, None
        while stop is None:
            stop = scanner.feed(text[at : at + step])
            at += step if stop is None else stop
        assert at == end and not scanner.broken


def test_the_scanner_stops_where_json_cannot_go_on() -> None:
    scanner = jsonish.Scanner()
    assert scanner.feed('{"a": 1\n```') == 8
    assert scanner.broken
