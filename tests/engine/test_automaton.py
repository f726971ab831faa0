"""The machine that reads grammars: what it refuses, what it allows, and the shortest way to an end."""

from __future__ import annotations

import json
import time

import pytest

from localagent.engine.automaton import MAX_FORCED, MAX_STACKS, Automaton, GrammarError
from localagent.engine.gbnf_reader import MAX_BYTES

REFUSED = {
    "nothing at all": "",
    "no root": 'a ::= "x"',
    "no body": "root",
    "no rule of that name": 'root ::= "x" other',
    "the same rule twice": 'root ::= "x"\nroot ::= "y"',
    "a second rule in the first": 'root ::= "x" a ::= "y"',
    "an open bracket": 'root ::= ("x"',
    "a stray bracket": 'root ::= "x")',
    "an open string": 'root ::= "x',
    "an unknown escape": 'root ::= "\\q"',
    "a code point beyond Unicode": 'root ::= "\\UFFFFFFFF"',
    "an underscore": 'root ::= "x" a_b\na_b ::= "y"',
    "an empty set": 'root ::= [] "x"',
    "a set of everything but nothing": 'root ::= [^] "x"',
    "a set that runs backwards": "root ::= [z-a]",
    "a character that no token spells": 'root ::= "\\x00"',
    "a set of such": "root ::= [\\x00]",
    "half a surrogate pair": 'root ::= "\\uD800"',
    "half of one, raw": 'root ::= "\ud800"',
    "a raw NUL": 'root ::= "\0"',
    "nothing to repeat": "root ::= *",
    "the empty string repeated": 'root ::= ""*',
    "a repetition that ends before it begins": 'root ::= "a"{5,2}',
    "too many repetitions": 'root ::= "a"{2001}',
    "repetitions of repetitions": 'root ::= ("a"{0,50}){0,50}',
    "repetitions by way of rules": 'root ::= a{0,900}\na ::= b{1,900}\nb ::= c{0,20} "y"\nc ::= "x"',
    "a number with many digits": 'root ::= "a"{99999999999999999999}',
    "left recursion": 'root ::= root "x" | "y"',
    "left recursion round the corner": 'root ::= a | "z"\na ::= b "x"\nb ::= root | "y"',
    "left recursion behind a rule that may be empty": 'root ::= a root "x" | "y"\na ::= b\nb ::= ""',
    "a repetition of what may be empty": 'root ::= ("a"?)* "b"',
    "no end": 'root ::= "a" root',
    "no end in a part": 'root ::= "a" | b\nb ::= "x" b',
    "no end before the limit": "root ::= a0\n" + "".join(f"a{i} ::= a{i + 1} a{i + 1}\n" for i in range(40)) + 'a40 ::= "x"',
    "a search that takes for ever": "root ::= a0\n"
    + "".join(f'a{i} ::= a{i + 1} | a{i + 1} "x"\n' for i in range(40))
    + 'a40 ::= "x"',
    "brackets in brackets": "root ::= " + "(" * 5000 + '"a"' + ")" * 5000,
    "too long": 'root ::= "' + "a" * MAX_BYTES + '"',
    "a token by its number": "root ::= <[12]>",
}  # fmt: skip


@pytest.mark.parametrize("grammar", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_engine_must_not_see_is_refused_in_one_sentence(grammar: str) -> None:
    began = time.process_time()
    with pytest.raises(GrammarError) as error:
        Automaton.read(grammar)
    assert error.value.message.endswith(".") and len(error.value.message) < 160
    assert time.process_time() - began < 1.0


ALLOWED = [
    ('root ::= "a" | "b"\n', "b", ""),
    ("root ::=", "", ""),
    ("# a comment\nroot ::= # another\n  a |\n  b\na ::= [x-z] # a third\n\nb ::= (\n\"q\"\n)", "y", ""),
    ('root ::= "a"{2,4} "b"', "aa", "b"),
    ('root ::= "a"{2} "b"{0,0} "c"?', "a", "a"),
    ('root ::= [^"\\\\\\n]+ "\\""', "x€", '"'),
    ("root ::= [a\\-c]+ [-.]", "a-c", "-"),
    ("root ::= . .", "€", "0"),
    ('root ::= "\\u00e9\\U0001F642\\x41" "\\n"', "é🙂", "A\n"),
    ('root ::= ("a" | "bc") ("d" | "ef")', "b", "cd"),
    ('root ::= @"<|call|>" "x"', "<|ca", "ll|>x"),
    ("root ::= <think> [a-z]", "", "<think>a"),
    ('root ::= "(" root ")" | "x"', "((", "x))"),
    ('root ::= "a"{0,9999} "!"', "a" * 3000, "!"),
]  # fmt: skip


@pytest.mark.parametrize(("grammar", "begun", "rest"), ALLOWED)
def test_the_shortest_completion(grammar: str, begun: str, rest: str) -> None:
    state = Automaton.read(grammar).start().feed(begun)
    assert state is not None
    assert state.completion() == rest and state.cost == len(rest.encode())
    assert state.complete == (rest == "")
    whole = state.feed(rest)
    assert whole is not None and whole.complete


def test_text_outside_the_grammar_has_no_state() -> None:
    start = Automaton.read('root ::= [a-c]{2} "!"').start()
    assert start.feed("abc") is None
    assert start.feed("ab!!") is None
    assert start.feed("ab") is start.feed("ca"), "equal futures are one state"


def test_a_completion_from_anywhere_in_a_value_is_json() -> None:
    value = """root ::= value
value ::= object | list | string | number | "true" | "null"
object ::= "{" (string ": " value (", " string ": " value)*)? "}"
list ::= "[" (value (", " value)*)? "]"
string ::= "\\"" ([^"\\\\\\x00-\\x1f] | "\\\\" (["\\\\/bfnrt] | "u" [0-9a-f]{4}))* "\\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
"""
    text = json.dumps({"a": [1, -2.5e-7, {"b\n": "\u1234\\"}, [], None], "ü": {"c": [[[True]]]}}, ensure_ascii=True)
    state = Automaton.read(value).start()
    for char in text:
        end = state.completion()
        closed = state.feed(end)
        assert closed is not None and closed.complete and len(end.encode()) == state.cost
        following = state.feed(char)
        assert following is not None
        state = following
    assert state.complete


def test_many_ways_to_read_a_text_stay_bounded() -> None:
    many = "root ::= a{0,40} b{0,40} c{0,40}\n" + "".join(f'{n} ::= "x" | "x" "x" | "x" "x" "x"\n' for n in "abc")
    state = Automaton.read(many).start().feed("x" * 150)
    assert state is not None and len(state._frames) <= MAX_STACKS
    assert state.complete


def test_a_long_call_is_read_at_once() -> None:
    text = '{"text": "' + 'A word, \\n a quote \\" and ü. ' * 150 + '"}'
    grammar = 'root ::= "{\\"text\\": \\"" ([^"\\\\\\x00-\\x1f] | "\\\\" ["\\\\/bfnrt])* "\\"}"'
    start = Automaton.read(grammar).start()
    began = time.process_time()
    state = start.feed(text)
    assert state is not None and state.complete
    assert time.process_time() - began < 0.05


def test_text_that_must_come_next_is_told_up_to_the_first_choice():
    grammar = (
        'root ::= "{\\"name\\": \\"" call "}"\ncall ::= "read_file\\", " [a-z]+ | "read_folder\\"" " "? | "move\\"."'
    )
    start = Automaton.read(grammar).start()
    assert start.forced == '{"name": "'
    named = start.feed('{"name": "')
    assert named is not None and named.forced == ""
    told = {}
    for text in ("r", "read_f", "read_fi", "read_fo", "m", 'read_file", ', 'read_file", x', 'read_folder"', 'move".'):
        state = named.feed(text)
        assert state is not None
        told[text] = state.forced
    assert told == {
        "r": "ead_f", "read_f": "", "read_fi": 'le", ', "read_fo": 'lder"', "m": 'ove".}', 'read_file", ': "",
        'read_file", x': "", 'read_folder"': "", 'move".': "}",
    }  # fmt: skip


def test_nothing_must_come_where_the_text_may_end():
    for grammar in ('root ::= "a" "b"?', 'root ::= "a" | "ab"'):
        state = Automaton.read(grammar).start()
        assert state.forced == "a"
        behind = state.feed("a")
        assert behind is not None and behind.complete and behind.forced == ""
    assert Automaton.read('root ::= "' + "x" * 400 + '"').start().forced == "x" * MAX_FORCED
