"""Checks: what has to be so at the end of a step or of a request, written in one line each, of a closed set.

    exists PATH                 a file or folder is there
    absent PATH                 nothing is there
    contains PATH TEXT          the file holds this text
    count GLOB N                so many files match; `>=N` at least, `<=N` at most. A glob that ends in `/` counts folders
    exit_code N COMMAND         the command ends with this code. What it would change is thrown away
    receipt changed PATH        this request changed it
    receipt sent WHO            this request sent them a message
    receipt ran COMMAND         this request ran it, with exit code 0

Paths lie in the workspace. A PATH before something else is one word, or stands in quotes. `*` and `?` stay within one name, `**`
crosses folders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError

Kind = Literal["exists", "absent", "contains", "count", "exit_code", "receipt"]
Deed = Literal["", "changed", "sent", "ran"]

FORMS = "exists PATH, absent PATH, contains PATH TEXT, count GLOB >=N, exit_code N COMMAND, receipt changed PATH|sent WHO|ran COMMAND"
_LONGEST = 1000
_FIRST = re.compile(r"""(?:"([^"]+)"|'([^']+)'|(\S+))(?:\s+(.*))?""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `str` is how it is written.

    `path` is the path or glob, `text` the text, command or recipient. `low` and `high` bound a count (`high` None: no bound), `code`
    is an exit code.
    """

    kind: Kind
    path: str = ""
    text: str = ""
    low: int = 0
    high: int | None = None
    code: int = 0
    deed: Deed = ""

    def __str__(self) -> str:
        match self.kind:
            case "exists" | "absent":
                return f"{self.kind} {self.path}"
            case "contains":
                return f"contains {_quoted(self.path)} {self.text}"
            case "count":
                number = f"{self.low}" if self.low == self.high else f">={self.low}" if self.high is None else f"<={self.high}"
                return f"count {_quoted(self.path)} {number}"
            case "exit_code":
                return f"exit_code {self.code} {self.text}"
            case "receipt":
                return f"receipt {self.deed} {self.path or self.text}"


def parse(text: str) -> Check:
    """One check. Raises UsageError that says what would be right."""
    line = text.strip()
    if len(line) > _LONGEST or any(ord(char) < 32 for char in line):
        raise UsageError(f"The check {text[:80]!r} is no line of up to {_LONGEST} characters.", f"Use {FORMS}.")
    kind, _, rest = line.partition(" ")
    made = _parse(kind, rest.strip())
    if made is None:
        raise UsageError(f"The check {text!r} cannot be read.", f"Use {FORMS}.")
    return made


def _parse(kind: str, rest: str) -> Check | None:
    if not rest:
        return None
    if kind == "exists" or kind == "absent":
        return Check(kind, _unquoted(rest))
    if kind == "contains":
        path, text = _first(rest)
        return Check("contains", path, _unquoted(text)) if path and text else None
    if kind == "count":
        path, number = _first(rest)
        match = re.fullmatch(r"(>=|<=|=)?\s*([0-9]{1,5})", number)
        if not path or match is None:
            return None
        n = int(match[2])
        return Check("count", path, low=0 if match[1] == "<=" else n, high=None if match[1] == ">=" else n)
    if kind == "exit_code":
        match = re.fullmatch(r"([0-9]{1,3})\s+(.+)", rest)
        return Check("exit_code", text=match[2], code=int(match[1])) if match else None
    if kind == "receipt":
        deed, _, what = rest.partition(" ")
        what = what.strip()
        if deed == "changed" and what:
            return Check("receipt", _unquoted(what), deed="changed")
        if (deed == "sent" or deed == "ran") and what:
            return Check("receipt", text=what, deed=deed)
    return None


def _first(rest: str) -> tuple[str, str]:
    """The first word, which may be quoted, and what follows it."""
    match = _FIRST.fullmatch(rest)
    return ("", "") if match is None else (next(filter(None, match.groups()[:3]), ""), (match[4] or "").strip())


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _quoted(path: str) -> str:
    return path if not re.search(r"[\s\"']", path) else f"'{path}'" if "'" not in path else f'"{path}"'
