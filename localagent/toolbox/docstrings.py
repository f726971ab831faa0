"""What a docstring says of a function and of its parameters, in Google's, NumPy's or reST's form."""

from __future__ import annotations

import inspect
import re

_HEADS = {"args:", "arguments:", "parameters:", "params:"}
_GOOGLE = re.compile(r"\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?")
_REST = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")


def read(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph on one line, and what is said of each parameter."""
    lines = inspect.cleandoc(text).splitlines()
    summary: list[str] = []
    for number, line in enumerate(lines):
        if not line.strip() or line.strip().lower() in _HEADS or _REST.match(line.strip()) or _underlined(lines, number):
            break
        summary.append(line.strip())
    return " ".join(summary), {**_rest(lines), **_numpy(lines), **_google(lines)}


def _underlined(lines: list[str], number: int) -> bool:
    below = lines[number + 1].strip() if number + 1 < len(lines) else ""
    return len(below) >= 3 and set(below) == {"-"}


def _google(lines: list[str]) -> dict[str, str]:
    notes: dict[str, str] = {}
    inside, depth, name = False, 0, ""
    for line in lines:
        if line.strip().lower() in _HEADS:
            inside, depth, name = True, 0, ""
            continue
        if not inside or not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            inside = False
            continue
        depth = depth or indent
        entry = _GOOGLE.match(line)
        if entry and indent <= depth:
            name = entry[1]
            notes[name] = entry[2].strip()
        elif name:
            notes[name] = f"{notes[name]} {line.strip()}".strip()
    return notes


def _numpy(lines: list[str]) -> dict[str, str]:
    notes: dict[str, str] = {}
    inside, names = False, list[str]()
    for number, line in enumerate(lines):
        if _underlined(lines, number):
            inside, names = line.strip().lower() in ("parameters", "other parameters"), []
        elif inside and line.strip() and set(line.strip()) != {"-"}:
            entry = _NUMPY.fullmatch(line.rstrip()) if not line[:1].isspace() else None
            if entry:
                names = [name.strip() for name in entry[1].split(",")]
                notes.update(dict.fromkeys(names, ""))
            for name in () if entry else names:
                notes[name] = f"{notes[name]} {line.strip()}".strip()
    return notes


def _rest(lines: list[str]) -> dict[str, str]:
    notes: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = _REST.match(line.strip())
        if entry:
            name = entry[1]
            notes[name] = entry[2].strip()
        elif not line.strip() or line.strip().startswith(":") or not line[:1].isspace():
            name = ""
        elif name:
            notes[name] = f"{notes[name]} {line.strip()}".strip()
    return notes
