"""What is done on the server where the mail lies: look, copy into a folder, wait. Blocking: to be run in threads.

Folders are opened for reading only, so that nothing is marked as read; nothing is ever deleted. (imap-tools'
own `flag` would expunge what other programs have marked, so it is not used.)
"""

from __future__ import annotations

import contextlib
import imaplib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import imap_tools

from . import wire
from .account import Account, Server
from .metered import meter

_STEP_S = 60.0
MOST_BYTES = 25 * 1024 * 1024
"""A longer message is read this far only in its beginning (`HEAD_BYTES`)."""
HEAD_BYTES = 1024 * 1024
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{10,40})"')
_TEMPORARY = ("[UNAVAILABLE]", "[INUSE]", "[SERVERBUG]", "[LIMIT]", "[THROTTLED]")
_SENT = ("Sent", "Sent Items", "Sent Messages", "Sent Mail", "INBOX.Sent", "Gesendet", "Gesendete Objekte")
_DRAFTS = ("Drafts", "Draft", "INBOX.Drafts", "Entwürfe")

Failures = (OSError, imaplib.IMAP4.error, imap_tools.ImapToolsError)


class LoginRefused(Exception):
    """The server does not let us in, and will not later either."""


class Unanswered(Exception):
    """The connection ended after something was handed over, before the server said anything."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a folder; `at` is when the server got it, in seconds since the epoch."""

    uid: int
    size: int
    at: float


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `uid` is known, of the numbering `validity`; `at` is the time of the newest of it."""

    validity: int
    uid: int
    at: float

    def __str__(self) -> str:
        return f"{self.validity}:{self.uid}:{int(self.at)}"

    @staticmethod
    def read(cursor: str) -> Position | None:
        match = re.fullmatch(r"(\d{1,10}):(\d{1,10}):(\d{1,12})", cursor)
        return Position(int(match[1]), int(match[2]), float(match[3])) if match else None


class Mailbox:
    """A connection, logged in. Raises LoginRefused, or one of `Failures`."""

    def __init__(self, account: Account, server: Server, secret: str, cut: wire.Cut) -> None:
        self._told, self._cut = wire.hider(account.user, secret), cut
        self._box = _connected(server)
        meter(self._box.client)
        cut.hold(self._box.client.sock)
        try:
            self._log_in(account, secret)
        except BaseException:
            self.close()
            raise

    def _log_in(self, account: Account, secret: str) -> None:
        client = self._box.client
        try:
            if account.oauth:
                # A refusal comes as a second challenge, which wants an empty answer.
                answers = iter([wire.xoauth2(account.user, secret)])
                client.authenticate("XOAUTH2", lambda _: next(answers, b""))
            elif "AUTH=PLAIN" in client.capabilities:
                client.authenticate("PLAIN", lambda _: wire.plain(account.user, secret))
            elif any(ord(ch) < 32 or ord(ch) > 126 for ch in account.user + secret):
                raise LoginRefused("the server takes no letters beyond ASCII in names and passwords")
            else:
                # It quotes the password alone.
                client.login(client._quote(account.user), secret)  # type: ignore[attr-defined]
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            told = self._told(error.args[0] if error.args else "")
            if any(code in told.upper() for code in _TEMPORARY):
                raise imaplib.IMAP4.abort(told) from None
            raise LoginRefused(f"the login as {account.user} was refused: {told}") from None
        with contextlib.suppress(*Failures):
            client.capabilities = tuple(client.capability()[1][0].decode("ascii", "replace").upper().split())

    def told(self, error: object) -> str:
        return self._told(wire.reason(error) if isinstance(error, OSError) else error)

    def close(self) -> None:
        """Say goodbye, but not wait long for the answer."""
        with contextlib.suppress(*Failures):
            self._box.client.sock.settimeout(2.0)
            self._box.client.logout()
        self.drop()

    def drop(self) -> None:
        """Let go of the connection at once."""
        with contextlib.suppress(*Failures):
            self._box.client.shutdown()

    def open(self, folder: str, *, change: bool = False) -> int:
        """Open a folder and say which numbering it has; 0 where the server has none that lasts."""
        self._box.folder.set(folder, readonly=not change)
        return self._number("UIDVALIDITY")

    def newest(self) -> Position:
        """Where the folder that is open ends now."""
        validity, following = self._number("UIDVALIDITY"), self._number("UIDNEXT")
        last = self._entries("*")
        uid = max([entry.uid for entry in last] + [following - 1 if following else 0])
        return Position(validity, uid, max([entry.at for entry in last], default=0.0) or time.time())

    def behind(self, uid: int) -> list[Entry]:
        """What came after the message `uid`, in order."""
        # A range whose end lies before its start is read the other way round, so the last one always comes along.
        return [entry for entry in self._entries(f"{uid + 1}:*") if entry.uid > uid]

    def since(self, at: float) -> list[Entry]:
        """What the server got at `at` or later, in order."""
        day = time.gmtime(at - 86400)
        months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
        found = self._box.uids(f"SINCE {day.tm_mday}-{months[day.tm_mon - 1]}-{day.tm_year}", charset=None)
        entries: list[Entry] = []
        for first in range(0, len(found), 500):
            entries += self._entries(",".join(found[first : first + 500]))
        return [entry for entry in sorted(entries, key=lambda one: one.uid) if entry.at >= at]

    def read(self, entry: Entry) -> bytes | None:
        """The message, or the beginning of a very long one; None where it has gone meanwhile."""
        what = "BODY.PEEK[]" if entry.size <= MOST_BYTES else f"BODY.PEEK[]<0.{HEAD_BYTES}>"
        for head, body in self._fetched(str(entry.uid), what):
            match = _UID.search(head)
            if body is not None and match and int(match[1]) == entry.uid:
                return body
        return None

    def mark_seen(self, uid: int) -> None:
        self._box.client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)")

    def has(self, folder: str, message_id: str) -> bool:
        """Whether a message with this Message-ID lies in the folder."""
        self.open(folder)
        return bool(self._box.uids(f'HEADER Message-ID "{message_id}"', charset=None))

    def folder(self, use: str, wanted: str) -> str:
        """The name of the folder for `\\Sent` or `\\Drafts` mail, "" where none can be told."""
        if wanted:
            return wanted
        there = self._box.folder.list()
        for info in there:
            if any(flag.casefold() == use.casefold() for flag in info.flags):
                return info.name
        names = {info.name.casefold(): info.name for info in there}
        usual = _SENT if use == "\\Sent" else _DRAFTS
        return next((names[one.casefold()] for one in usual if one.casefold() in names), "")

    def put(self, folder: str, data: bytes, *flags: str) -> None:
        """Put a message into a folder. Raises Unanswered where it is not known whether it is there."""
        try:
            self._box.append(data, folder, flag_set=list(flags))
        except (OSError, imaplib.IMAP4.abort) as error:
            raise Unanswered(self.told(error)) from None

    def wait(self, seconds: float, poll: float) -> None:
        """Until something happens in the folder, at most `seconds`; without IDLE, `poll` seconds."""
        if "IDLE" not in self._box.client.capabilities:
            self._cut.ended.wait(min(seconds, poll))
            self._box.client.noop()
            return
        self._box.idle.start()
        # What came in the same breath as the server's go-ahead lies in a buffer, where polling the socket misses it.
        if not self._waiting_lines():
            self._box.idle.poll(timeout=seconds)
        self._box.idle.stop()

    def _waiting_lines(self) -> list[bytes]:
        client = self._box.client
        before = client.sock.gettimeout()
        client.sock.settimeout(0)
        found: list[bytes] = []
        try:
            while True:
                found.append(client._get_line())  # type: ignore[attr-defined]
        except (OSError, imaplib.IMAP4.abort):
            return found
        finally:
            client.sock.settimeout(before)

    def _number(self, name: str) -> int:
        _, found = self._box.client.response(name)
        first = found[0] if found else None
        if first is None:
            return 0
        # `response` takes it away, and both `open` and `newest` ask.
        self._box.client.untagged_responses[name] = [first]
        return int(first) if first.isdigit() else 0

    def _entries(self, which: str) -> list[Entry]:
        found: dict[int, Entry] = {}
        for head, _ in self._fetched(which, "UID INTERNALDATE RFC822.SIZE"):
            uid, size, at = _UID.search(head), _SIZE.search(head), _DATE.search(head)
            if uid and size:
                found[int(uid[1])] = Entry(int(uid[1]), int(size[1]), _seconds(at[1] if at else b""))
        return [found[uid] for uid in sorted(found)]

    def _fetched(self, which: str, what: str) -> Iterator[tuple[bytes, bytes | None]]:
        """(what stands around the literal, the literal) of every answer."""
        status, answers = self._box.client.uid("FETCH", which, f"({what})")
        if status != "OK":
            raise imaplib.IMAP4.error(self._told(answers[0] if answers else "FETCH was refused"))
        held: tuple[bytes, bytes] | None = None
        for answer in answers:
            if isinstance(answer, tuple):
                if held is not None:
                    yield held
                held = (answer[0], answer[1])
            elif answer is not None:
                # The rest of an answer with a literal, or one that has none.
                yield (held[0] + b" " + answer, held[1]) if held is not None else (answer, None)
                held = None
        if held is not None:
            yield held


def _connected(server: Server) -> imap_tools.BaseMailBox:
    context = wire.context(server.host)
    if server.security == "tls":
        return imap_tools.MailBox(server.host, server.port, timeout=_STEP_S, ssl_context=context)
    if server.security == "starttls":
        return imap_tools.MailBoxStartTls(server.host, server.port, timeout=_STEP_S, ssl_context=context)
    return imap_tools.MailBoxUnencrypted(server.host, server.port, timeout=_STEP_S)


def _seconds(date: bytes) -> float:
    try:
        return parsedate_to_datetime(date.decode("ascii", "replace").strip()).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
