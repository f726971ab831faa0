"""Where the mail of well-known providers is, so that nobody has to look it up.

Public facts of the providers' own help pages; anything given by hand goes before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """Hosts with port and security; `saves`: the server itself keeps a copy of what is sent. `authserv` is what it
    calls itself in Authentication-Results, "" where that is not known. `hint` is about the password."""

    smtp: tuple[str, int, str]
    imap: tuple[str, int, str]
    saves: bool = False
    hint: str = ""
    authserv: str = ""


_APP = "It wants an app password, not the one you log in with"
_CODE = "It wants an authorisation code that its web mail makes under settings, and IMAP/SMTP turned on there."


def _at(smtp: str, imap: str, *, tls: bool = False, **more: Any) -> Preset:
    return Preset((smtp, 465, "tls") if tls else (smtp, 587, "starttls"), (imap, 993, "tls"), **more)


_GOOGLE = _at(
    "smtp.gmail.com", "imap.gmail.com", tls=True, saves=True, authserv="mx.google.com",
    hint=f"{_APP}: https://myaccount.google.com/apppasswords (needs 2-step verification), or a token_command.",
)  # fmt: skip
_MICROSOFT = Preset(
    ("smtp-mail.outlook.com", 587, "starttls"), ("outlook.office365.com", 993, "tls"), saves=True,
    hint="Microsoft takes no passwords here any more: set token_command to a program that prints an OAuth2 access token.",
)  # fmt: skip
_OFFICE = Preset(
    ("smtp.office365.com", 587, "starttls"), ("outlook.office365.com", 993, "tls"), saves=True, hint=_MICROSOFT.hint
)
_YAHOO = _at("smtp.mail.yahoo.com", "imap.mail.yahoo.com", tls=True, saves=True, hint=f"{_APP}: account security, app passwords.")
_APPLE = _at("smtp.mail.me.com", "imap.mail.me.com", hint=f"{_APP}: https://account.apple.com, app-specific passwords.")
_GMX_NET = _at("mail.gmx.net", "imap.gmx.net", saves=True, hint="Turn on POP3/IMAP in the settings of its web mail first.")
_GMX_COM = _at("mail.gmx.com", "imap.gmx.com", saves=True, hint=_GMX_NET.hint)
_WEB_DE = _at("smtp.web.de", "imap.web.de", saves=True, hint=_GMX_NET.hint)
_FASTMAIL = _at("smtp.fastmail.com", "imap.fastmail.com", tls=True, hint=f"{_APP}: settings, privacy and security.")
_PROTON = Preset(
    ("127.0.0.1", 1025, "starttls"), ("127.0.0.1", 1143, "starttls"), saves=True,
    hint="Proton Mail Bridge must run on this machine; it shows the password to use.",
)  # fmt: skip
_POSTEO = _at("posteo.de", "posteo.de", tls=True)
_MAILBOX_ORG = _at("smtp.mailbox.org", "imap.mailbox.org", tls=True, hint="With two factors it wants an app password.")
_QQ = _at("smtp.qq.com", "imap.qq.com", tls=True, saves=True, hint=_CODE)

_DOMAINS: Mapping[str, Preset] = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), _GOOGLE),
    **dict.fromkeys("outlook.com hotmail.com live.com msn.com outlook.de hotmail.de hotmail.fr hotmail.co.uk live.de".split(), _MICROSOFT),
    **dict.fromkeys("yahoo.com yahoo.de yahoo.fr yahoo.co.uk yahoo.es yahoo.it ymail.com rocketmail.com".split(), _YAHOO),
    "aol.com": _at("smtp.aol.com", "imap.aol.com", tls=True, saves=True, hint=_YAHOO.hint),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), _APPLE),
    **dict.fromkeys(("gmx.de", "gmx.net", "gmx.at", "gmx.ch"), _GMX_NET),
    **dict.fromkeys(("gmx.com", "gmx.us", "gmx.co.uk"), _GMX_COM),
    **dict.fromkeys(("web.de", "email.de"), _WEB_DE),
    "mail.com": _at("smtp.mail.com", "imap.mail.com", saves=True, hint=_GMX_NET.hint),
    **dict.fromkeys(("fastmail.com", "fastmail.fm"), _FASTMAIL),
    **dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), _PROTON),
    **dict.fromkeys(("posteo.de", "posteo.net", "posteo.org", "posteo.eu"), _POSTEO),
    "mailbox.org": _MAILBOX_ORG,
    "t-online.de": _at("securesmtp.t-online.de", "secureimap.t-online.de", tls=True, hint="It wants the password for e-mail programs."),
    **dict.fromkeys(("qq.com", "foxmail.com"), _QQ),
    "163.com": _at("smtp.163.com", "imap.163.com", tls=True, saves=True, hint=_CODE),
    "126.com": _at("smtp.126.com", "imap.126.com", tls=True, saves=True, hint=_CODE),
    "yeah.net": _at("smtp.yeah.net", "imap.yeah.net", tls=True, saves=True, hint=_CODE),
    "sina.com": _at("smtp.sina.com", "imap.sina.com", tls=True, hint=_CODE),
    **dict.fromkeys(("yandex.ru", "yandex.com", "ya.ru"), _at("smtp.yandex.com", "imap.yandex.com", tls=True, hint=f"{_APP}.")),
    **dict.fromkeys(("mail.ru", "inbox.ru", "list.ru", "bk.ru"), _at("smtp.mail.ru", "imap.mail.ru", tls=True, hint=f"{_APP}.")),
    **dict.fromkeys(("zoho.com", "zohomail.com"), _at("smtp.zoho.com", "imap.zoho.com", tls=True, hint="Turn on IMAP in its settings.")),
    **dict.fromkeys(("orange.fr", "wanadoo.fr"), _at("smtp.orange.fr", "imap.orange.fr", tls=True)),
    "free.fr": _at("smtp.free.fr", "imap.free.fr", tls=True),
    "libero.it": _at("smtp.libero.it", "imapmail.libero.it", tls=True),
    "naver.com": _at("smtp.naver.com", "imap.naver.com", tls=True, saves=True, hint="Turn on IMAP/SMTP in its settings."),
    "runbox.com": _at("mail.runbox.com", "mail.runbox.com", tls=True),
    "disroot.org": _at("disroot.org", "disroot.org", tls=True),
    "migadu.com": _at("smtp.migadu.com", "imap.migadu.com", tls=True),
}  # fmt: skip
_NAMED: Mapping[str, Preset] = {
    "gmail": _GOOGLE, "google": _GOOGLE, "outlook": _MICROSOFT, "office365": _OFFICE, "yahoo": _YAHOO, "icloud": _APPLE,
    "gmx": _GMX_NET, "web.de": _WEB_DE, "fastmail": _FASTMAIL, "proton": _PROTON, "posteo": _POSTEO,
    "mailbox.org": _MAILBOX_ORG, "qq": _QQ, "163": _DOMAINS["163.com"], "zoho": _DOMAINS["zoho.com"],
}  # fmt: skip
NAMES = tuple(sorted(_NAMED))


def by_domain(domain: str) -> Preset | None:
    """None for a provider that is not known here."""
    return _DOMAINS.get(domain.lower())


def by_name(name: str) -> Preset | None:
    """By what people call the provider; for domains of their own that it hosts."""
    return _NAMED.get(name.lower())
