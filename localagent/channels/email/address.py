"""Addresses of mail: what may be sent to, and what a From header really says. Pure.

Anything doubtful has no address at all: who cannot be told apart cannot be answered.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from . import words

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_LOCAL, _LONGEST_DOMAIN, _LONGEST_NAME = 64, 253, 200
# What stands for an @ or a dot to the eye.
_ATS = re.compile("[@\uff20\ufe6b]")


@dataclass(frozen=True, slots=True)
class Sender:
    """`address` is "" where the header names nobody, several, or what is no address. `name` never looks like an address."""

    address: str
    name: str = ""


def checked(address: str) -> str:
    """The address with its domain in lower-case ASCII. Raises ValueError with the reason."""
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise ValueError("it has no @ with something before it")
    if not _LOCAL.fullmatch(local) or len(local.encode()) > _LONGEST_LOCAL:
        raise ValueError("what stands before the @ is not of the usual form")
    if any(unicodedata.category(ch) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp") for ch in local):
        raise ValueError("it holds an invisible character")
    return f"{local}@{_domain(domain)}"


def _domain(domain: str) -> str:
    import idna

    if domain.isascii():
        made = domain.lower()
    else:
        try:
            made = idna.encode(domain, uts46=True).decode().lower()
        except (idna.IDNAError, UnicodeError):
            raise ValueError("its domain is not one") from None
    labels = made.split(".")
    if len(made) > _LONGEST_DOMAIN or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("its domain is not one")
    if labels[-1].isdigit():
        raise ValueError("its domain is a number")
    return made


def needs_utf8(address: str) -> bool:
    """Whether only a server that takes UTF-8 addresses can be given this one."""
    return not address.isascii()


def sender(headers: list[str]) -> Sender:
    """Whom the From headers (as they came) name."""
    if len(headers) != 1:
        return Sender("")
    parts = _mailboxes(words.unfolded(headers[0]))
    if len(parts) != 1:
        return Sender("")
    shown, address = parts[0]
    try:
        found = checked(address)
    except ValueError:
        return Sender("")
    name = words.line(words.decoded(shown))[:_LONGEST_NAME]
    return Sender(found, "" if looks_like_another(name, found) else name)


def looks_like_another(name: str, address: str) -> bool:
    """Whether a display name could be taken for an address that is not this one."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _ATS.search(folded) is not None and folded.strip(" <>\"'") != address.casefold()


def addresses(header: str) -> list[str]:
    """The addresses of a header such as Reply-To, checked; those that are none are left out."""
    found = []
    for _, address in _mailboxes(words.unfolded(header)):
        try:
            found.append(checked(address))
        except ValueError:
            continue
    return found


def _mailboxes(text: str) -> list[tuple[str, str]]:
    """(display name as it came, address) of each part; a part that cannot be read has the address ""."""
    found, name, address, bare = [], [], None, []
    at, end = 0, len(text)
    while at < end:
        ch = text[at]
        if ch == '"':
            piece, at = _quoted(text, at)
            name.append(piece)
            bare.append('"')
        elif ch == "(":
            at = _comment(text, at)
        elif ch == "<":
            close = text.find(">", at)
            inner = text[at + 1 : close] if close >= 0 else ""
            # A second pair of brackets, or one inside the other, is a trick.
            address = inner.strip() if address is None and "<" not in inner and close >= 0 else ""
            at = close + 1 if close >= 0 else end
        elif ch in ",;":
            found.append(_mailbox(name, address, bare))
            name, address, bare = [], None, []
            at += 1
        else:
            name.append(ch)
            bare.append(ch)
            if address is not None and not ch.isspace():
                # Something behind the brackets.
                address = ""
            at += 1
    found.append(_mailbox(name, address, bare))
    return [one for one in found if one != ("", "")] if len(found) > 1 else found


def _mailbox(name: list[str], address: str | None, bare: list[str]) -> tuple[str, str]:
    shown = "".join(name).strip()
    return (shown, address) if address is not None else ("", "".join(bare).strip())


def _quoted(text: str, at: int) -> tuple[str, int]:
    made, at = [], at + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        made.append(text[at])
        at += 1
    return "".join(made), at + 1


def _comment(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at
