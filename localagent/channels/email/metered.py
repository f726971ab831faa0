"""A bound on what a server may answer: the library reads whatever length a server announces into the memory."""

from __future__ import annotations

import imaplib

MOST_BYTES = 96 * 1024 * 1024
"""Of one command's whole answer: the longest message that is read, three times over."""


def meter(client: imaplib.IMAP4) -> None:
    """From now on an answer that is longer, or would be, ends the connection (`imaplib.IMAP4.abort`)."""
    read, readline, new_tag = client.read, client.readline, client._new_tag  # type: ignore[attr-defined]
    left = MOST_BYTES

    def taken(size: int) -> None:
        nonlocal left
        left -= size
        if left < 0:
            raise imaplib.IMAP4.abort("the server's answer is longer than is read")

    def metered_read(size: int) -> bytes:
        # Before it is read: this is what the server says will come.
        taken(size)
        return read(size)

    def metered_readline() -> bytes:
        line = readline()
        taken(len(line))
        return line

    def metered_tag() -> bytes:
        nonlocal left
        left = MOST_BYTES
        return new_tag()

    client.read, client.readline, client._new_tag = metered_read, metered_readline, metered_tag  # type: ignore[method-assign, attr-defined]
