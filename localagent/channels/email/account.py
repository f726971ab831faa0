"""An account as its settings describe it, checked whole before anything is connected."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ...errors import UsageError
from .address import checked
from .words import line

Security = Literal["tls", "starttls", "none"]


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class Account:
    """`smtp` or `imap` is None where the account only receives, or only sends. `oauth`: the secret is an access token.

    `save_sent` None: a copy is put into the folder for sent mail unless the server has done so. Folders are "" where
    the server is asked for them. `authserv` is what the receiving server calls itself in Authentication-Results.
    """

    address: str
    user: str
    from_name: str = ""
    smtp: Server | None = None
    imap: Server | None = None
    oauth: bool = False
    save_sent: bool | None = None
    inbox: str = "INBOX"
    sent_folder: str = ""
    drafts_folder: str = ""
    authserv: tuple[str, ...] = ()
    mark_seen: bool = False

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def account(options: Mapping[str, Any]) -> Account:
    """Raises UsageError with the setting and the reason."""
    address = _address(options)
    made = Account(
        address=address,
        user=_line(options, "user") or address,
        from_name=_line(options, "from_name"),
        smtp=_server(options, "smtp", {"tls": 465, "starttls": 587, "none": 25}),
        imap=_server(options, "imap", {"tls": 993, "starttls": 143, "none": 143}),
        oauth=bool(options.get("token_command")),
        save_sent=_choice(options, "save_sent", {"auto": None, "yes": True, "no": False}),
        inbox=_line(options, "inbox_folder") or "INBOX",
        sent_folder=_line(options, "sent_folder"),
        drafts_folder=_line(options, "drafts_folder"),
        authserv=_names(options.get("authserv")),
        mark_seen=bool(_choice(options, "mark_seen", {"no": False, "yes": True})),
    )
    if made.smtp is None and made.imap is None:
        raise UsageError("smtp_host and imap_host are both missing, so it could neither send nor receive.")
    return made


def _address(options: Mapping[str, Any]) -> str:
    given = _line(options, "address")
    if not given:
        raise UsageError("The address is missing.")
    try:
        return checked(given)
    except ValueError as error:
        raise UsageError(f"address: {given!r} is no e-mail address: {error}.") from None


def _server(options: Mapping[str, Any], which: str, ports: Mapping[str, int]) -> Server | None:
    host = _line(options, f"{which}_host")
    if not host:
        return None
    security = _line(options, f"{which}_security") or "tls"
    if security not in ports:
        raise UsageError(f"{which}_security: must be tls or starttls (got {security!r}).")
    if security == "none" and not is_loopback(host):
        raise UsageError(f"{which}_security: none is for this machine alone; {host} would get the password in the open.")
    port = options.get(f"{which}_port", ports[security])
    try:
        port = int(port)
    except (TypeError, ValueError):
        port = 0
    if isinstance(options.get(f"{which}_port"), bool) or not 0 < port < 65536:
        raise UsageError(f"{which}_port: must be a number from 1 to 65535.")
    return Server(host, port, cast("Security", security))


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own, whatever a name server says."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _line(options: Mapping[str, Any], key: str) -> str:
    value = options.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{key}: must be a text.")
    if line(value) != value.strip():
        raise UsageError(f"{key}: must be a text of one line.")
    return value.strip()


def _names(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value or []
    return tuple(str(one).strip().lower() for one in listed if str(one).strip())


def _choice(options: Mapping[str, Any], key: str, choices: Mapping[str, Any]) -> Any:
    value = options.get(key, next(iter(choices)))
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if value not in choices:
        raise UsageError(f"{key}: must be {' or '.join(choices)} (got {value!r}).")
    return choices[value]
