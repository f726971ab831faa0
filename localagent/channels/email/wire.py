"""What SMTP and IMAP have in common: certificates, a way to cut a connection off, and words without secrets in them."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from .account import is_loopback
from .words import line

_LONGEST_TOLD = 300


class Cut:
    """Ends a conversation in another thread: by hand, or at the latest after `seconds`.

    A server that sends a byte now and then passes every other time-out.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.ended = threading.Event()
        self._timer = threading.Timer(seconds, self) if seconds is not None else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def hold(self, sock: socket.socket | None) -> None:
        """From now on this socket is the one that ends."""
        with self._lock:
            if sock is not None:
                self._sockets.append(sock)
        if self.ended.is_set():
            self()

    def __call__(self) -> None:
        with self._lock:
            self.ended.set()
            for sock in self._sockets:
                # A layer of encryption would first say goodbye, and wait for an answer.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Nothing more is to be ended."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._sockets.clear()


def context(host: str) -> ssl.SSLContext:
    """Certificates are checked, and the name in them; a bridge on this machine has made its own."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if is_loopback(host):
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def xoauth2(user: str, token: str) -> bytes:
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def plain(user: str, password: str) -> bytes:
    return f"\0{user}\0{password}".encode()


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def hider(user: str, secret: str) -> Callable[[object], str]:
    """Makes one line of what a server said, in which the secret does not stand in any of its forms."""
    forms = {secret, "".join(secret.split()), packed(secret.encode()), packed(plain(user, secret)), packed(xoauth2(user, secret))}
    ordered = sorted((form for form in forms if form), key=len, reverse=True)

    def told(said: object) -> str:
        text = said.decode("utf-8", "replace") if isinstance(said, bytes | bytearray) else str(said)
        for form in ordered:
            text = text.replace(form, "***")
        text = line(text)
        return text if len(text) <= _LONGEST_TOLD else text[: _LONGEST_TOLD - 1] + "…"

    return told


def reason(error: BaseException) -> str:
    """A failed connection in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the connection could not be encrypted"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
