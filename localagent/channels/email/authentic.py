"""What the receiving server found out about a mail's sender (RFC 8601). Pure.

Anybody can write an Authentication-Results header into a mail. Only the topmost is looked at, since a server puts its
own above what came, and only where it bears the name that the user has configured for their server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .words import unfolded

_LONGEST = 20_000
_METHOD = re.compile(r"([a-z0-9_-]{1,40})(?:/\d+)?\s*=\s*([a-z]{1,20})\b")
_PROPERTY = re.compile(r"\b([a-z]{1,20}\.[a-z0-9_-]{1,40})\s*=\s*([^\s;]{1,400})")


@dataclass(frozen=True, slots=True)
class _Result:
    method: str
    result: str
    properties: dict[str, str] = field(default_factory=dict)


def verdict(headers: Sequence[str], authserv: Sequence[str], sender: str) -> bool | None:
    """Whether the mail comes from the domain of `sender`: True or False as the server says, None where it says nothing."""
    if not headers or not authserv or "@" not in sender:
        return None
    server, results = _read(unfolded(headers[0])[:_LONGEST])
    if server not in {one.lower() for one in authserv}:
        return None
    domain = sender.rpartition("@")[2].lower()
    if any(_passes(one, domain) for one in results):
        return True
    if any(one.method == "dmarc" and one.result == "fail" for one in results):
        return False
    signed = [one.result for one in results if one.method == "dkim" and _is_for(one, "header.d", domain)]
    return False if signed and all(result == "fail" for result in signed) else None


def delivered_by(headers: Sequence[str], authserv: Sequence[str], sender: str) -> bool:
    """Whether the server says that one of the sender's domain has handed it the mail, so that nobody else had it in between."""
    if not headers or "@" not in sender:
        return False
    server, results = _read(unfolded(headers[0])[:_LONGEST])
    domain = sender.rpartition("@")[2].lower()
    froms = [one.properties.get("smtp.mailfrom", "").rpartition("@")[2] for one in results if (one.method, one.result) == ("spf", "pass")]
    return server in {one.lower() for one in authserv} and any(one == domain or one.endswith(f".{domain}") for one in froms)


def _passes(one: _Result, domain: str) -> bool:
    if one.result != "pass":
        return False
    if one.method == "dmarc":
        return one.properties.get("header.from", "").lower() == domain
    return one.method == "dkim" and _is_for(one, "header.d", domain)


def _is_for(one: _Result, key: str, domain: str) -> bool:
    """A signature of the domain itself, or of one above it; those below it may belong to anybody."""
    signer = one.properties.get(key, "").lower().strip(".")
    return "." in signer and (domain == signer or domain.endswith(f".{signer}"))


def _read(text: str) -> tuple[str, list[_Result]]:
    """(the server's name, its results) of a header's value."""
    parts = _parts(text)
    server = (parts[0].split() or [""])[0].lower()
    found = []
    for part in parts[1:]:
        match = _METHOD.match(part.strip().lower())
        if match:
            properties: dict[str, str] = {}
            for key, value in _PROPERTY.findall(part.strip().lower()[match.end() :]):
                properties.setdefault(key, value)
            found.append(_Result(match[1], match[2], properties))
    return server, found


def _parts(text: str) -> list[str]:
    """Split at semicolons; comments are left out, and what is quoted stands as one unknown word."""
    made: list[list[str]] = [[]]
    depth, at = 0, 0
    while at < len(text):
        ch = text[at]
        if ch == "\\":
            at += 1
        elif ch == "(":
            depth += 1
        elif ch == ")":
            depth = max(0, depth - 1)
        elif depth == 0 and ch == '"':
            at += 1
            while at < len(text) and text[at] != '"':
                at += 2 if text[at] == "\\" else 1
            made[-1].append('""')
        elif depth == 0 and ch == ";":
            made.append([])
        elif depth == 0:
            made[-1].append(ch)
        at += 1
    return ["".join(part) for part in made]
