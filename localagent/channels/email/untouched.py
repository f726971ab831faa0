"""Whether a genuine mail is what its sender wrote, also in what a signature leaves open. Pure.

A signature covers the headers that it names, each from the bottom up, and says nothing of others: who sends a mail on can
write another subject above the signed one, or another address into a line that was not signed. And what this program's
library takes for the end of the headers must be their end for the server that has looked at the signature, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .words import unfolded

_HEAD_BYTES = 256 * 1024
_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"[!-9;-~]+:[^\r]*|[ \t][^\r]*")
# What is shown, or decides how the rest is read; a second one is never in an honest mail.
_ONCE = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version")
_MEANT = ("To", "Cc", "Subject", "Date", "Message-ID")
_TAG = re.compile(r"(?:^|;)\s*([dh])\s*=([^;]*)")

Values = Callable[[str], Sequence[str]]
"""The values of all headers of a name."""


def plain(raw: bytes) -> bool:
    """Whether nobody could read other headers out of these bytes than the library does."""
    end = _END.search(raw[:_HEAD_BYTES])
    if end is None:
        return False
    lines = re.split(rb"\r?\n", raw[: end.start()])
    return lines[0][:1] not in (b" ", b"\t") and all(_LINE.fullmatch(line) for line in lines)


def once(values: Values) -> bool:
    """Whether no header that counts is there twice, and the mail has an id, by which it is known again."""
    return all(len(values(name)) <= 1 for name in _ONCE) and len(values("Message-ID")) == 1


def signed(values: Values, domain: str) -> bool:
    """Whether each signature of the sender's domain covers to whom the mail is, when and about what. True without one."""
    there = {name.lower() for name in _MEANT if values(name)}
    for one in values("DKIM-Signature"):
        tags = {name: re.sub(r"\s+", "", value) for name, value in _TAG.findall(unfolded(one)[:8000].lower())}
        signer = tags.get("d", "").strip(".")
        if (domain == signer or domain.endswith(f".{signer}")) and not there <= set(tags.get("h", "").split(":")):
            return False
    return True
