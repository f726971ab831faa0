"""Secrets stand as placeholders in all that the model, the log and the transcript see.

A placeholder is `SECRET_kind_` and fourteen hexadecimal digits: the same secret always gets the same
one, on this machine, and nobody without the user's key can tell it back or make up one. The secrets
themselves are kept in memory only; they are put back into the arguments of file changes, nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..policy import secrets

_PLACEHOLDER = re.compile(r"SECRET_([a-z]{1,12})_([0-9a-f]{10})([0-9a-f]{4})")
_LONGEST_LINE = 65_536
_KEPT_BACK = 8192
_TELLING = 8
# Of what is certainly a secret; a shorter one would hide half of everything that is read.
_TOLD_TELLING = 6
_MOST_KNOWN = 500


class Masks:
    """What this session has masked. `key` is the user's, `own` their expressions.

    `told` gives the secrets that are known without having been seen (the channels'); it may give more each time.
    """

    def __init__(
        self, key: bytes, own: Sequence[re.Pattern[str]] = (), told: Callable[[], Sequence[str]] | None = None
    ) -> None:
        self._key = key
        self._own = tuple(own)
        self._told, self._heard = told, 0
        self._secrets: dict[str, str] = {}
        # secret -> kind, of those long enough not to be found by chance
        self._known: dict[str, str] = {}
        self._compiled: re.Pattern[str] | None = None

    def __len__(self) -> int:
        """How many different secrets were seen."""
        return len(self._secrets)

    def mask(self, text: str) -> str:
        """The text with a placeholder for every secret. Masking twice changes nothing more."""
        spans = self.spans(text)
        if not spans:
            return text
        pieces, at = [], 0
        for span in spans:
            pieces += [text[at : span.start], self._placeholder(text[span.start : span.end], span.kind)]
            at = span.end
        return "".join([*pieces, text[at:]])

    def spans(self, text: str) -> list[secrets.Span]:
        """What is secret in the text: by its look, or because it is known; our own placeholders are not."""
        if self._told is not None:
            self._listen(self._told())
        found = secrets.find(text, self._own)
        if self._known:
            found += [secrets.Span(*m.span(), self._known[m[0]]) for m in self._expression().finditer(text)]
        ours = [m.span() for m in _PLACEHOLDER.finditer(text) if self._is_ours(m)]
        found = [one for one in found if not any(one.start < end and start < one.end for start, end in ours)]
        return secrets.merged(found)

    def _listen(self, told: Sequence[str]) -> None:
        if len(told) == self._heard:
            return
        self._heard = len(told)
        for secret in told:
            if len(secret) >= _TOLD_TELLING and secret not in self._known:
                self._known[secret], self._compiled = "channel", None

    def _expression(self) -> re.Pattern[str]:
        if self._compiled is None:
            longest = sorted(self._known, key=len, reverse=True)
            self._compiled = re.compile("|".join(map(re.escape, longest)))
        return self._compiled

    def mask_in(self, value: Any) -> Any:
        """The same in all strings of a JSON value."""
        return _mapped(value, self.mask)

    def placeholders(self, value: Any) -> list[str]:
        """Those of ours that stand in a JSON value, each once."""
        found: dict[str, None] = {}

        def look(text: str) -> str:
            found.update(dict.fromkeys(match[0] for match in _PLACEHOLDER.finditer(text) if self._is_ours(match)))
            return text

        _mapped(value, look)
        return list(found)

    def unknown(self, value: Any) -> list[str]:
        """Those whose secret this process has not seen: they come from an earlier run."""
        return [one for one in self.placeholders(value) if one not in self._secrets]

    def restore(self, value: Any) -> Any:
        """The JSON value with the secrets put back, byte for byte; what is not known stays."""
        return _mapped(value, lambda text: _PLACEHOLDER.sub(lambda m: self._secrets.get(m[0], m[0]), text))

    def stream(self) -> Stream:
        return Stream(self)

    def _placeholder(self, secret: str, kind: str) -> str:
        match = _PLACEHOLDER.fullmatch(secret)
        if match is not None and self._is_ours(match):
            return secret
        for salt in range(100):
            name = self._mac(f"{kind}\0{salt}\0{secret}")[:10]
            made = f"SECRET_{kind}_{name}{self._seal(kind, name)}"
            if self._secrets.setdefault(made, secret) == secret:
                if len(secret) >= _TELLING and len(self._known) < _MOST_KNOWN and secret not in self._known:
                    self._known[secret], self._compiled = kind, None
                return made
        raise AssertionError("a hundred collisions of 40 bits")

    def _is_ours(self, match: re.Match[str]) -> bool:
        return hmac.compare_digest(self._seal(match[1], match[2]), match[3])

    def _seal(self, kind: str, name: str) -> str:
        return self._mac(f"seal\0{kind}\0{name}")[:4]

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


class Stream:
    """Output that comes in pieces: whole lines are given on masked, a private key only once it has ended."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._held = ""

    def feed(self, piece: str) -> str:
        self._held += piece
        cut = self._held.rfind("\n") + 1
        open_at = secrets.opens_key(self._held[:cut]) if "PRIVATE KEY" in self._held else -1
        if open_at >= 0 and len(self._held) - open_at < _LONGEST_LINE:
            cut = self._held.rfind("\n", 0, open_at) + 1
        elif len(self._held) - cut > _LONGEST_LINE:
            cut = len(self._held) - _KEPT_BACK
            cut = next((s.start for s in self._masks.spans(self._held) if s.start < cut < s.end), cut)
        done, self._held = self._held[:cut], self._held[cut:]
        return self._masks.mask(done)

    def finish(self) -> str:
        done, self._held = self._held, ""
        return self._masks.mask(done)


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key) if isinstance(key, str) else key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in value]
    return value
