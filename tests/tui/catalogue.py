"""The app's texts as the code holds them, against the catalogues. `python -m tests.tui.catalogue` prints what differs."""

from __future__ import annotations

import ast
import json
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from localagent import tui
from localagent.tui import commands

ROOM = Path(tui.__file__).parent
CATALOGUES = ROOM / "languages"
# How many of the first arguments are texts, and from which on.
_FUNCTIONS = {"t": slice(0, 1), "mark": slice(0, 1), "n_of": slice(1, 3)}


def texts() -> tuple[set[str], list[str]]:
    """Every text of the app, and the places where something else than a literal is given to be translated."""
    found, wrong = set(_tables()), []
    for file in sorted(ROOM.rglob("*.py")):
        if file.name == "words.py":
            continue
        for node, names in _calls(ast.parse(file.read_text("utf-8"))):
            for argument in node.args[names]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.add(argument.value)
                else:
                    wrong.append(f"{file.name}:{node.lineno}")
    return found, wrong


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, slice]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            owner = node.func.value.id if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) else "words"
            if name in _FUNCTIONS and owner == "words":
                yield node, _FUNCTIONS[name]


def _tables() -> Iterator[str]:
    """Commands and keys are translated where help and completion show them."""
    yield from (command.does for command in commands.COMMANDS)
    yield from (text for table in (commands.KEYS, commands.ASKING_KEYS) for pair in table for text in pair)


def catalogue(code: str) -> dict[str, str]:
    return json.loads((CATALOGUES / f"{code}.json").read_text("utf-8"))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def faults(code: str) -> list[str]:
    """What is wrong with a catalogue, a line each."""
    known, (wanted, _) = catalogue(code), texts()
    told = [f"{code}: missing: {text!r}" for text in sorted(wanted - known.keys())]
    told += [f"{code}: stale: {text!r}" for text in sorted(known.keys() - wanted)]
    for text in sorted(wanted & known.keys()):
        if not known[text].strip():
            told.append(f"{code}: empty: {text!r}")
        elif placeholders(text) != placeholders(known[text]):
            told.append(f"{code}: other values: {text!r} -> {known[text]!r}")
    return told


def main() -> int:
    _, wrong = texts()
    told = [f"not a literal: {place}" for place in wrong]
    told += [line for file in sorted(CATALOGUES.glob("*.json")) for line in faults(file.stem)]
    print("\n".join(told) or "complete")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
