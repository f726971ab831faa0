"""Where keys and passwords stand in a text. Pure; a text goes in, spans come out.

Found are keys by their published prefixes, private keys, JSON web tokens, passwords in addresses,
authorization headers, assignments whose name or look says that the value is secret, and what the
user's own expressions match. Being wrong costs a placeholder in place of a word, never a byte of a file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

_LONGEST_KEY = 20_000
_LEAST_BITS = 2.75
_MANY_BITS = 4.0


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is secret; `kind` is one lower-case word."""

    start: int
    end: int
    kind: str


def _later(expression: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """Compiled at its first use: a start that hides nothing does not wait for it."""
    return cache(partial(re.compile, expression, flags))


_EDGE = r"(?<![A-Za-z0-9])"
# kind, what must stand in the text for the expression to be tried, expression
_PREFIXED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("aws", ("AKIA", "ASIA", "ABIA", "ACCA"), r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("github", ("gh", "github_pat_"), r"(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})"),
    ("gitlab", ("gl",), r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent)-[A-Za-z0-9_.-]{20,300}"),
    ("slack", ("xox", "xapp-"), r"(?:xox[abeoprs](?:\.xox[bp])?-|xapp-\d-)[A-Za-z0-9-]{10,300}"),
    ("slack", ("hooks.slack.com",), r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,80}"),
    ("stripe", ("k_live_", "k_test_", "whsec_"), r"(?:[rs]k_(?:live|test)_|whsec_)[A-Za-z0-9]{16,250}"),
    ("google", ("AIza", "GOCSPX-", "ya29."), r"(?:AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{20,500})"),
    ("key", ("sk-",), r"sk-[A-Za-z0-9_-]{20,300}"),
    ("key", ("hf_", "npm_", "pypi-"), r"(?:hf_[A-Za-z0-9]{30,60}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,500})"),
    ("key", ("do", "shp", "dapi"), r"(?:do[opr]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-f0-9]{32}|dapi[a-f0-9]{32})"),
    (
        "key",
        ("SG.", "hvs.", "dp."),
        r"(?:SG\.[\w-]{22}\.[\w-]{43}|hvs\.[\w-]{24,300}|dp\.(?:pt|st|ct|sa)\.[\w.-]{40,80})",
    ),
    (
        "key",
        ("gsk_", "xai-", "pplx-", "r8_"),
        r"(?:gsk_[A-Za-z0-9]{40,60}|xai-[\w-]{60,100}|pplx-[\w]{40,60}|r8_[\w]{35,50})",
    ),
    ("key", ("tskey-", "lin_api_", "AGE-"), r"(?:tskey-[\w-]{20,90}|lin_api_\w{30,60}|AGE-SECRET-KEY-1[A-Z0-9]{58})"),
    ("key", (":AA",), r"\d{8,10}:AA[\w-]{33}(?![\w-])"),
    ("jwt", ("eyJ",), r"eyJ[\w-]{8,8192}\.eyJ[\w-]{8,8192}\.[\w-]{8,2048}"),
)
_BEGIN = re.compile(r"-----BEGIN ((?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?)-----")
_USERINFO = re.compile(r"""://[^\s/:@"'<>]{0,128}:([^\s/@"'<>]{1,256})@""")
_HEADER = _later(
    r"\bauthorization[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?(?:bearer|basic|token|digest)[ \t]{1,4}([\w+/=.~-]{8,4096})"
    r"|\bbearer[ \t]{1,4}([\w+/=.~-]{20,4096})",
    re.IGNORECASE | re.ASCII,
)
_NAMED = _later(
    r"""(?P<word>passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key"""
    r"""|(?:encryption|signing|master|account|storage)[_-]?key|credentials?)"""
    r"""(?P<tail>[\w-]{0,32})["']?[ \t]{0,8}(?:=>|:=|=|:)[ \t]{0,8}"""
    r"""(?:"(?P<double>[^"\n]{8,512})"|'(?P<single>[^'\n]{8,512})'|(?P<bare>[^\s"'`,;(){}\[\]<>]{8,512}))""",
    re.IGNORECASE | re.ASCII,
)
_ASSIGNED = _later(
    r"""^[ \t]{0,16}(?:export[ \t]{1,4})?[A-Z][A-Z0-9_]{1,64}=(["']?)([A-Za-z0-9+/=_-]{24,512})\1[ \t]{0,16}\r?$""",
    re.MULTILINE | re.ASCII,
)
_PLAIN_TAIL = _later(
    r"(?:^|[_-])(?:ur[il]|file|path|endpoint|host|name|ids?|type|ttl|expir\w*|age|len|length|counts?|limit|size|hint|env|header|"
    r"prefix|field|label|policy|ring|regex|pattern|template|class|url)$",
    re.IGNORECASE,
)
_DUMMY = _later(
    r"x+|\*+|\.+|-+|<.*>?|\$[{(].*|(?-i:\$[A-Z_]+)|%\w+%|\{\{.*|\[.*\]|(?:your|insert|enter|replace|put)[_ -].*|change[_-]?(?:me|it|this).*"
    r"|(?:example|placeholder|redacted|undefined|required|optional|password|secret|none|null|true|false)\W?.{0,12}"
    r"|https?://.*|[~/.]{1,3}/.*|/.*|process\.env.*|os\.environ.*|SECRET_[a-z]+_[0-9a-f]{14}.*",
    re.IGNORECASE | re.DOTALL,
)
_WORDS = ("passw", "passphrase", "pwd", "secret", "token", "key", "credential")
_ENV_LINE = re.compile(r"^[ \t]*(?:export[ \t]+|set[ \t]+)?[A-Z][A-Z0-9_]*$")
_CODE_WORD = re.compile(r"[A-Za-z_][A-Za-z_.\-]*")


def find(text: str, own: Sequence[re.Pattern[str]] = ()) -> list[Span]:
    """The secret spans, in order, none touching another's inside. `own` are the user's expressions."""
    low = text.lower()
    found = [*_private_keys(text), *_keys(text), *_in_addresses(text), *_assigned(text)]
    if "authorization" in low or "bearer" in low:
        found += _in_headers(text)
    if any(word in low for word in _WORDS):
        found += _named(text)
    for expression in own:
        found += [Span(*_inner(match), "own") for match in expression.finditer(text) if match.end() > match.start()]
    return merged(found)


def opens_key(text: str) -> int:
    """Where a private key begins that does not end in this text, -1 where none does."""
    for match in _BEGIN.finditer(text):
        if text.find(f"-----END {match[1]}-----", match.end()) < 0:
            return match.start()
    return -1


def merged(found: list[Span]) -> list[Span]:
    """In order, those that overlap as one."""
    kept: list[Span] = []
    for span in sorted(found, key=lambda one: (one.start, -one.end)):
        if kept and span.start < kept[-1].end:
            last = kept[-1]
            kept[-1] = Span(last.start, max(last.end, span.end), last.kind)
        else:
            kept.append(span)
    return kept


def _inner(match: re.Match[str]) -> tuple[int, int]:
    """The first group that took part, or the whole: `password is (\\S+)` means the word behind it."""
    groups = match.re.groups
    return next((match.span(n) for n in range(1, groups + 1) if match.end(n) > match.start(n)), match.span())


def _private_keys(text: str) -> Iterator[Span]:
    if "PRIVATE KEY" not in text:
        return
    at = 0
    while match := _BEGIN.search(text, at):
        start = match.end()
        end = text.find(f"-----END {match[1]}-----", start, start + _LONGEST_KEY)
        if end < 0:
            # Cut off, by a tool or a pipe: the rest of it is the key.
            end = min(len(text), start + _LONGEST_KEY)
        while start < end and text[start] in "\r\n":
            start += 1
        while end > start and text[end - 1] in "\r\n":
            end -= 1
        if end > start:
            yield Span(start, end, "pem")
        at = max(end, match.end())


def _keys(text: str) -> Iterator[Span]:
    for kind, hints, expression in _PREFIXED:
        if any(hint in text for hint in hints):
            for match in re.finditer(_EDGE + expression, text, re.ASCII):
                if not _is_dummy(match[0]):
                    yield Span(match.start(), match.end(), kind)


def _in_addresses(text: str) -> Iterator[Span]:
    if "://" in text:
        for match in _USERINFO.finditer(text):
            if not _is_dummy(match[1]):
                yield Span(*match.span(1), "password")


def _in_headers(text: str) -> Iterator[Span]:
    for match in _HEADER().finditer(text):
        start, end = match.span(1 if match[1] else 2)
        if (
            not _is_dummy(text[start:end])
            and bits(text[start:end]) >= _LEAST_BITS
            and re.search(r"[\d=]", text[start:end])
        ):
            yield Span(start, end, "token")


def _named(text: str) -> Iterator[Span]:
    for match in _NAMED().finditer(text):
        group = next(name for name in ("double", "single", "bare") if match[name] is not None)
        value = match[group]
        if _PLAIN_TAIL().search(match["tail"]) or _is_dummy(value) or " " in value or bits(value) < _LEAST_BITS:
            continue
        if group == "bare" and _CODE_WORD.fullmatch(value) and not _is_env_line(text, match):
            continue
        start, end = match.span(group)
        yield Span(start, end, "env" if group == "bare" else "value")


def _is_env_line(text: str, match: re.Match[str]) -> bool:
    """Whether the assignment stands as in a file of settings: a name in capitals at the start of its line."""
    begin = text.rfind("\n", max(0, match.start() - 200), match.start()) + 1
    name = text[begin : match.end("tail")]
    return bool(_ENV_LINE.match(name)) and text[match.end("tail") : match.end("tail") + 1] == "="


def _assigned(text: str) -> Iterator[Span]:
    for match in _ASSIGNED().finditer(text):
        value = match[2]
        mixed = all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
        if mixed and bits(value) >= _MANY_BITS and not _is_dummy(value):
            yield Span(*match.span(2), "env")


def _is_dummy(value: str) -> bool:
    return _DUMMY().fullmatch(value) is not None or len(set(value)) < 4


def bits(value: str) -> float:
    """Shannon's entropy of the characters, in bits a character."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0
