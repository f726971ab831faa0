"""Handing one message to a server, and what is certain about it at every point where that may end.

Until the line with the final dot is written, nothing can have been taken in: whatever fails is `failed`. From then
on only the server's answer tells; without one the message is `unconfirmed`. Blocking: to be run in a thread.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from ...values import Sent
from . import wire
from .account import Account, Server
from .address import needs_utf8

# RFC 5321 gives a server ten minutes behind the final dot; who waits at a terminal does not have them.
PATIENCE_S = 180.0
_STEP_S = 60.0
_DOTS = re.compile(rb"(?m)^\.")
# How this machine calls itself: its name is nobody's business.
_OURSELVES = "[127.0.0.1]"

Told = Callable[[object], str]


class Refused(Exception):
    """The server said no, or cannot what is needed. `code` is its answer's, 0 without one."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.text, self.code = text, code


@dataclass(frozen=True, slots=True)
class Letter:
    """Everything that is handed over, and under which proof it can be found again."""

    to: str
    data: bytes
    proof: str


def deliver(account: Account, server: Server, secret: str, letter: Letter, cut: wire.Cut, patience: float = PATIENCE_S) -> Sent:
    """One attempt. Never raises for what a server or the network does."""
    told = wire.hider(account.user, secret)
    talk: smtplib.SMTP | None = None
    try:
        talk = _connected(server, cut)
        _log_in(talk, account, secret, told)
        _envelope(talk, account, letter, told)
        return _hand_over(talk, letter, told, patience)
    except Refused as no:
        return Sent("failed", detail=no.text, again=400 <= no.code < 500)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        why = wire.reason(error) if isinstance(error, OSError) else told(error)
        certificate = isinstance(error, ssl.SSLCertVerificationError)
        return Sent("failed", detail=f"{server.host}: {told(why)}", again=not certificate)
    finally:
        _leave(talk)


def log_in(account: Account, server: Server, secret: str, cut: wire.Cut) -> None:
    """Log in and leave again. Raises Refused, OSError, smtplib.SMTPException."""
    talk: smtplib.SMTP | None = None
    try:
        talk = _connected(server, cut)
        _log_in(talk, account, secret, wire.hider(account.user, secret))
    finally:
        _leave(talk)


def _connected(server: Server, cut: wire.Cut) -> smtplib.SMTP:
    if server.security == "tls":
        talk: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=_OURSELVES, timeout=_STEP_S, context=wire.context(server.host))
    else:
        talk = smtplib.SMTP(local_hostname=_OURSELVES, timeout=_STEP_S)
    # The name that the certificate must bear; only the constructor would set it, and connect at once.
    talk._host = server.host  # type: ignore[attr-defined]
    code, said = talk.connect(server.host, server.port)
    cut.hold(talk.sock)
    if code != 220:
        raise Refused(f"{server.host} turned us away: {code} {said.decode('utf-8', 'replace')[:200]}", code)
    talk.ehlo_or_helo_if_needed()
    if server.security == "starttls":
        if not talk.has_extn("starttls"):
            raise Refused(f"{server.host} offers no encryption at port {server.port}, so nothing was sent.")
        talk.starttls(context=wire.context(server.host))
        cut.hold(talk.sock)
        talk.ehlo_or_helo_if_needed()
    return talk


def _log_in(talk: smtplib.SMTP, account: Account, secret: str, told: Told) -> None:
    offered = talk.esmtp_features.get("auth", "").upper().split()
    if account.oauth:
        code, said = talk.docmd("AUTH", "XOAUTH2 " + wire.packed(wire.xoauth2(account.user, secret)))
        if code == 334:
            # The reason comes as a challenge, and the refusal behind it.
            code, said = talk.docmd("")
    elif not secret and not offered:
        return
    elif "PLAIN" in offered or "LOGIN" not in offered:
        code, said = talk.docmd("AUTH", "PLAIN " + wire.packed(wire.plain(account.user, secret)))
    else:
        code, said = talk.docmd("AUTH", "LOGIN")
        for answer in (account.user, secret):
            if code == 334:
                code, said = talk.docmd(wire.packed(answer.encode()))
    if code not in (235, 503):
        raise Refused(f"the login as {account.user} was refused: {code} {told(said)}", code)


def _envelope(talk: smtplib.SMTP, account: Account, letter: Letter, told: Told) -> None:
    options = []
    if needs_utf8(letter.to) or needs_utf8(account.address):
        if not talk.has_extn("smtputf8"):
            raise Refused(f"the server cannot send to {letter.to}: it takes no letters beyond ASCII in addresses")
        options = ["SMTPUTF8", "BODY=8BITMIME"]
        talk.command_encoding = "utf-8"
    limit = talk.esmtp_features.get("size", "").strip()
    if limit.isdigit():
        if 0 < int(limit) < len(letter.data):
            raise Refused(f"it has {len(letter.data):,} bytes, and the server takes {int(limit):,} at most")
        options.append(f"SIZE={len(letter.data)}")
    for what, command, wanted in (
        (account.address, " ".join([f"MAIL FROM:<{account.address}>", *options]), (250,)),
        (letter.to, f"RCPT TO:<{letter.to}>", (250, 251)),
        ("the message", "DATA", (354,)),
    ):
        code, said = talk.docmd(command)
        if code not in wanted:
            raise Refused(f"{what} was refused: {code} {told(said)}", code)


def _hand_over(talk: smtplib.SMTP, letter: Letter, told: Told, patience: float) -> Sent:
    body = _DOTS.sub(b"..", letter.data)
    talk.send(body if body.endswith(b"\r\n") else body + b"\r\n")
    if talk.sock is not None:
        talk.sock.settimeout(patience)
    try:
        talk.send(b".\r\n")
        code, said = talk.getreply()
    except (OSError, smtplib.SMTPException) as error:
        return Sent("unconfirmed", letter.proof, f"the connection ended before the server's answer: {told(error)}")
    if 200 <= code < 300:
        return Sent("sent", letter.proof, f"{code} {told(said)}")
    if 400 <= code < 600:
        return Sent("failed", detail=f"the message was refused: {code} {told(said)}", again=code < 500)
    return Sent("unconfirmed", letter.proof, f"the server's answer makes no sense: {code} {told(said)}")


def _leave(talk: smtplib.SMTP | None) -> None:
    """Say goodbye, but not wait long for the answer."""
    if talk is None:
        return
    try:
        if talk.sock is not None:
            talk.sock.settimeout(2.0)
            talk.quit()
    except (OSError, smtplib.SMTPException):
        return
    finally:
        talk.close()
