"""The text of headers and bodies, whatever their encodings claim. Pure; nothing here raises for what it is given."""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
import unicodedata

_ENCODED = re.compile(r"=\?([\w!#$%&'+^`{}~*-]{1,60})\?([bBqQ])\?([^?\s]{0,4000})\?=", re.ASCII)
_BETWEEN = re.compile(r"(\?=)\s+(?==\?)")
# Codecs that are no character sets, or that take long for a long text.
_NO_CHARSETS = frozenset("unicode-escape raw-unicode-escape utf-7 idna punycode undefined mbcs oem unicode-internal".split())
_UNSEEN = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFFA0))


def text_of(data: bytes, charset: str | None) -> str:
    """The bytes as text: as declared where that works, else as UTF-8, else as the West's code page."""
    for name in (_charset(charset), "utf-8"):
        if name is None:
            continue
        try:
            return data.decode(name)
        except (UnicodeError, ValueError, LookupError):
            continue
    return data.decode("cp1252", "replace")


def _charset(name: str | None) -> str | None:
    try:
        found = codecs.lookup((name or "utf-8").strip("\"' ")).name
    except (LookupError, ValueError, TypeError):
        return None
    return None if found.replace("_", "-") in _NO_CHARSETS or not codecs.lookup(found)._is_text_encoding else found


def unfolded(header: str) -> str:
    """A header as one line; bytes that were no ASCII are read as UTF-8."""
    raw = header.encode("utf-8", "surrogateescape")
    return re.sub(r"[\r\n]+[ \t]*", " ", text_of(raw, "utf-8")).strip()


def decoded(text: str) -> str:
    """With its encoded words read; those that cannot be stay as they are."""
    if "=?" not in text:
        return text
    return _ENCODED.sub(_word, _BETWEEN.sub(r"\1", text))


def _word(match: re.Match[str]) -> str:
    charset, how, payload = match[1].partition("*")[0], match[2].lower(), match[3]
    try:
        if how == "b":
            data = binascii.a2b_base64(payload + "=" * (-len(payload) % 4))
        else:
            data = quopri.decodestring(payload.replace("_", " ").encode("ascii", "replace"), header=True)
    except (binascii.Error, ValueError):
        return match[0]
    return text_of(data, charset)


def line(text: str) -> str:
    """On one line, without control characters and without what hides or reorders letters."""
    return " ".join(text.translate(_ONE_LINE).split())


def block(text: str) -> str:
    """Lines as they are, without control characters and without what hides letters; joiners stay, emoji need them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_BLOCK)


class _Table(dict[int, int | None]):
    """For `str.translate`: looked up once a character, what is not seen goes."""

    def __missing__(self, code: int) -> int | None:
        made = code if _is_seen(chr(code)) else None
        if len(self) < 20_000:
            self[code] = made
        return made


_BLOCK = _Table({ord(ch): ord(ch) for ch in "\n\t\u200d\u200e\u200f"})
_ONE_LINE = _Table({ord(ch): ord(" ") for ch in "\r\n\t"})


def _is_seen(ch: str) -> bool:
    if ch.isascii():
        return ch.isprintable()
    return unicodedata.category(ch) not in ("Cc", "Cf", "Cs") and ord(ch) not in _UNSEEN
