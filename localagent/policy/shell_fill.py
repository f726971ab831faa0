"""Values put into a shell script so that each stays one word, whatever it holds. Pure.

A placeholder `{name}` may stand where a word, or a part of one, is only handed on: not as the program, not in a
here-document, a comment or a calculation, and not in what another program would read as code. What was filled is read once
more, and has to be the same commands with the same words. What is not sure is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .shell_parse import parse
from .shell_tree import Command, Script, Word
from .shell_words import INTERPRETERS, SHELLS, program, strip_wrappers

PATHS = frozenset({"file", "folder"})
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SAFE = re.compile(r"[\w ./@:-]*")
# These read what they are given as shell text, or as a program to start.
_READERS = SHELLS | frozenset("eval source . ssh trap alias watch parallel su at batch crontab script docker podman kubectl".split())
# These read a word as code of their own.
_CODE = INTERPRETERS | frozenset("sed jq yq sqlite3 psql mysql bc dc".split())
_SLASH_IS_CODE = frozenset("sed awk gawk mawk nawk perl ed ex vi vim nvim".split())
_UNSURE = ("$(", "`", "<(", ">(", "$'", "${!")


class Misplaced(ValueError):
    """A sentence: where a placeholder cannot stand, or what a value cannot be there."""


@dataclass(frozen=True, slots=True)
class Value:
    """`kind` is `file`, `folder`, `number`, or any other for plain text."""

    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a placeholder stands: in which quotes (`'`, `"` or none), whether it begins its word, and who reads that."""

    name: str
    start: int
    end: int
    quotes: str
    begins: bool
    reader: str
    only_number: bool


def placeholder(names: Collection[str]) -> re.Pattern[str]:
    """Matches `{name}` of one of these names; `${name}` is the shell's own."""
    return re.compile(r"(?<!\$)\{(" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")\}" if names else r"(?!)")


def fill(text: str, values: Mapping[str, Value]) -> str:
    """The script with the values in it. Raises Misplaced."""
    marked, marks = _marked(text, values)
    if not marks:
        return text
    script = _read(marked)
    spots = [_spot(marked, mark, name, script) for mark, name in marks.items()]
    made, at = [], 0
    for spot in spots:
        made += [marked[at : spot.start], _quoted(values[spot.name], spot)]
        at = spot.end
    filled = "".join([*made, marked[at:]])
    _check_same(script, marked, filled, {mark: _value(values[name]) for mark, name in marks.items()})
    return filled


def why_not(text: str, names: Collection[str]) -> str:
    """Why placeholders of these names cannot stand where they do, "" where they can."""
    try:
        marked, marks = _marked(text, dict.fromkeys(names, Value("x")))
        if marks:
            script = _read(marked)
            for mark, name in marks.items():
                _spot(marked, mark, name, script)
    except Misplaced as error:
        return str(error)
    return ""


def _marked(text: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """The script with a plain word of its own for each placeholder, and which stands for which, in their order."""
    base = "zq"
    while base in text:
        base += "q"
    marks: dict[str, str] = {}

    def mark(match: re.Match[str]) -> str:
        made = f"{base}{len(marks):04d}{base}"
        marks[made] = match[1]
        return made

    return placeholder(names).sub(mark, text), marks


def _read(text: str) -> Script:
    read = parse(text)
    if isinstance(read, str):
        raise Misplaced(f"parameters cannot stand in this command, for {read}")
    return read


def _spot(text: str, mark: str, name: str, script: Script) -> _Spot:
    start = text.index(mark)
    holding = [word for word in script.words if word.start <= start < word.end]
    if not holding:
        raise Misplaced(f"{{{name}}} stands in a here-document, a comment or a calculation, where no value is safe")
    word = min(holding, key=lambda one: one.end - one.start)
    quotes = _quotes(text[word.start : start], name)
    reader, only_number = _reader(word, name, script)
    return _Spot(name, start, start + len(mark), quotes, word.text.startswith(mark), reader, only_number)


def _quotes(before: str, name: str) -> str:
    """In which quotes the word is, behind this beginning of it."""
    if any(one in before for one in _UNSURE):
        raise Misplaced(f"{{{name}}} stands behind a substitution in the same word; put it into a word of its own")
    state, at = "", 0
    while at < len(before):
        char = before[at]
        if char == "\\" and state != "'":
            at += 1
        elif char in "'\"" and state in ("", char):
            state = "" if state else char
        at += 1
    return state


def _reader(word: Word, name: str, script: Script) -> tuple[str, bool]:
    """The program that is given the word ("" for none), and whether only a number may stand there."""
    command = next((one for one in script.commands if word in one.words), None)
    if command is None:
        return "", False
    texts = tuple(one.text for one in command.words)
    rest = strip_wrappers(texts)
    first, at = len(texts) - len(rest), command.words.index(word)
    if at < first:
        return "", True
    if at == first or not rest:
        raise Misplaced(f"{{{name}}} would be the program that is run; a parameter cannot be one")
    reader = program(rest)
    named = {program((one,)) for one in (*texts[:first], *(rest if reader == "find" else ())) if one not in ("", ".")}
    if shells := [one for one in (reader, *sorted(named)) if one in _READERS]:
        raise Misplaced(f"{{{name}}} would be read by {shells[0]} as a command of its own")
    return next((one for one in (reader, *sorted(named)) if one in _CODE), ""), False


def _value(value: Value) -> str:
    """As it is put in: a path that begins with a dash is no option."""
    return f"./{value.text}" if value.kind in PATHS and value.text.startswith("-") else value.text


def _quoted(value: Value, spot: _Spot) -> str:
    text, name = _value(value), spot.name
    if not text or "\0" in text:
        raise Misplaced(f"{name} is empty, or holds a character that no command can be given")
    if spot.only_number and not _NUMBER.fullmatch(text):
        raise Misplaced(f"{name} stands before the program, where only a number can stand")
    if spot.begins and text.startswith("-"):
        raise Misplaced(f"{name} begins with a dash and would be read as an option: {text[:60]!r}")
    if spot.reader and not _harmless(text, spot.reader):
        raise Misplaced(f"{spot.reader} would read {name} as code, so it can only hold letters, digits and simple signs: {text[:60]!r}")
    bare = shlex.quote(text)
    if bare == text or not spot.quotes:
        return bare
    return f"{spot.quotes}{bare}{spot.quotes}"


def _harmless(text: str, reader: str) -> bool:
    if reader in _SLASH_IS_CODE and ("/" in text or "-" in text[:1]):
        return False
    return bool(_SAFE.fullmatch(text))


def _check_same(script: Script, marked: str, filled: str, values: Mapping[str, str]) -> None:
    """What was filled is read as the same commands, and each value as a part of the one word it was put into."""
    told = "the values change what this command does"
    now = parse(filled)
    if isinstance(now, str):
        raise Misplaced(f"with these values the command is not read completely, for {now}")
    if [_shape(one) for one in now.commands] != [_shape(one) for one in script.commands] or len(now.words) != len(script.words):
        raise Misplaced(told)
    for was, is_now in zip(script.words, now.words, strict=True):
        raw = marked[was.start : was.end]
        if any(one in raw for one in _UNSURE):
            continue
        wanted = was.text
        for mark, value in values.items():
            wanted = wanted.replace(mark, value)
        if is_now.text != wanted or (is_now.splits and not was.splits):
            raise Misplaced(told)


def _shape(command: Command) -> tuple[int, int, tuple[str, ...]]:
    return len(command.words), len(command.sets), tuple(redirect.op for redirect in command.redirects)
