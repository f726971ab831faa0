"""What `channels add email` asks, and what it can tell from the address."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import UsageError
from ...store.channels import Configured
from ..registry import Field, Kind, Secrets
from . import presets
from .account import account
from .address import checked
from .channel import Email

# As providers show them, to be read and typed: the blanks are no part of it.
_APP_PASSWORD = re.compile(r"[a-z]{4}(?: [a-z]{4}){3}")
_ASKED = (
    Field("address", "Your e-mail address"),
    Field("user", "The name to log in with (default: the address)", needed=False),
    Field("from_name", "Your name, as others see it", needed=False),
    Field("provider", f"Who hosts it, where the address does not tell: {', '.join(presets.NAMES)}", needed=False),
    Field("smtp_host", "The server to send through", needed=False),
    Field("smtp_port", "Its port", needed=False),
    Field("smtp_security", "tls, starttls, or none (this machine only)", needed=False),
    Field("imap_host", "The server to receive from", needed=False),
    Field("imap_port", "Its port", needed=False),
    Field("imap_security", "tls, starttls, or none (this machine only)", needed=False),
    Field("save_sent", "auto, yes or no: put a copy among the sent mail unless the server does", needed=False),
    Field("sent_folder", "The folder for sent mail", needed=False),
    Field("drafts_folder", "The folder for drafts", needed=False),
    Field("inbox_folder", "The folder that is read", needed=False),
    Field("authserv", "What your receiving server calls itself in Authentication-Results", needed=False),
    Field("mark_seen", "yes or no: mark what was read as read", needed=False),
    Field("token_command", "A command that prints an OAuth2 access token", needed=False),
    Field("password", "The password (an app password where the provider has them)", secret=True),
)


def describe() -> Kind:
    return Kind("email", "send by SMTP, receive by IMAP", _ASKED, make=_make, complete=complete, hint=_hint)


def _make(configured: Configured, secrets: Secrets) -> Email:
    found = account(configured.options)

    async def secret() -> str:
        given = await secrets("token" if found.oauth else "password")
        return given.replace(" ", "") if _APP_PASSWORD.fullmatch(given) else given

    return Email(configured.name, found, secret)


def complete(options: Mapping[str, object]) -> dict[str, object]:
    """With the servers of a known provider. Raises UsageError where nothing tells which servers there are."""
    made = dict(options)
    provider = str(made.pop("provider", "") or "")
    given = str(made.get("address", ""))
    try:
        made["address"] = checked(given.strip())
    except ValueError as error:
        raise UsageError(f"{given!r} is no e-mail address: {error}.") from None
    preset = presets.by_name(provider) if provider else presets.by_domain(str(made["address"]).rpartition("@")[2])
    if provider and preset is None:
        raise UsageError(f"There is no provider {provider!r} here.", f"Known are: {', '.join(presets.NAMES)}.")
    if preset is not None:
        for which, (host, port, security) in (("smtp", preset.smtp), ("imap", preset.imap)):
            if f"{which}_host" not in made:
                made[f"{which}_host"] = host
                made.setdefault(f"{which}_port", port)
                made.setdefault(f"{which}_security", security)
        if preset.saves:
            made.setdefault("save_sent", "no")
        if preset.authserv:
            made.setdefault("authserv", preset.authserv)
    elif "smtp_host" not in made and "imap_host" not in made:
        domain = str(made["address"]).rpartition("@")[2]
        raise UsageError(
            f"The servers of {domain} are not known here.",
            "Give smtp_host=... and imap_host=... (its help pages name them), or provider=NAME where one of these hosts it: "
            f"{', '.join(presets.NAMES)}.",
        )
    account(made)
    return made


def _hint(options: Mapping[str, object]) -> str:
    provider = str(options.get("provider", "") or "")
    domain = str(options.get("address", "")).rpartition("@")[2]
    preset = presets.by_name(provider) if provider else presets.by_domain(domain)
    return preset.hint if preset is not None else ""
