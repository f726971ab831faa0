"""A request as what its words can mean in the words of an index. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .index import URL, Index
from .lexicon import Lexicon
from .words import COMMON, EMPTY, addresses, english, pairs, runs, spaceless, stem

_MOST = 48
"""Words that are looked at: more are a text, not a request."""
# A path, or a name with an ending of files.
_NAMED = re.compile(
    r"(?<!\S)(?:~?/[\w./*~-]+|[A-Za-z]:\\\S+)|[\w*~/.-]*\.(?:txt|md|csv|tsv|json|ya?ml|toml|ini|cfg|conf|log|py|js|ts|sh|html?|xml|pdf|docx?|xlsx?|pptx?|"
    r"odt|ods|jpe?g|png|gif|svg|heic|mp3|mp4|wav|mkv|zip|tar|gz|db)\b",
    re.IGNORECASE | re.ASCII,
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_OTHER, _LIKE, _BEGUN, _SLIP = 0.8, 0.4, 0.7, 0.75
GENERIC = frozenset(
    map(
        stem,
        "add all batch check content contents copy create current data delete details directory edit fetch file files find folder id info "
        "insert item items list load make move multiple name names new number open path post put query read recent remove rename resource "
        "retrieve run save search send set show start status text tool tools type update use user value view work write many count "
        "latest last tell display modify change everything thing things".split(),
    )
)
"""They stand in the names of tools of every kind, and what we ship answers to them."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the request with the stems it can mean, each with how well (at most 1). `weight` is its part in the score."""

    said: str
    means: dict[str, float]
    weight: float
    exact: bool


def understood(query: str, index: Index, lexicon: Lexicon) -> list[Word]:
    """The words that say something, those that no tool knows among them without a meaning."""
    text, sites = addresses(query)
    text, named = _NAMED.sub(" ", text), bool(_NAMED.search(text))
    found = runs(text)
    ours = english(found)
    made: dict[str, Word] = {}
    for run in dict.fromkeys(found):
        if len(made) >= _MOST:
            break
        for word in _spaceless(run, index, lexicon) if spaceless(run) else _spaced(run, ours, index, lexicon):
            made.setdefault(word.said, word)
    if named:
        made["\x01file"] = Word("\x01file", {one: strength for one, strength in (("file", 1.0), ("path", 0.4)) if one in index}, 1.0, False)
    if _MAIL.search(text):
        made["\x01mail"] = _word("\x01mail", {one: 0.6 for one in ("email", "mail", "messag") if one in index})
    if True:
        for row in lexicon.phrased(f" {' '.join(found)} "):
            made.setdefault(" ".join(row), _word(" ".join(row), {one: _OTHER for one in row if one in index}))
    for site in sites[:4]:
        if site in index:
            made.setdefault(site, _word(site, {site: 1.0}))
    if sites:
        means = {URL: 1.0, "url": 0.9, "fetch": 0.9, "webpag": 0.9, "page": 0.6, "scrape": 0.7}
        made[URL] = Word(URL, {one: strength for one, strength in means.items() if one in index}, 1.6, False)
    return list(made.values())


def _word(said: str, means: dict[str, float], exact: bool = False) -> Word:
    generic = said in GENERIC or (bool(means) and not exact and all(one in GENERIC for one in means))
    return Word(said, means, 0.55 if generic else 1.0, exact)


def _spaced(run: str, ours: bool, index: Index, lexicon: Lexicon) -> Iterator[Word]:
    if run in EMPTY or (len(run) < 2 and not run.isdigit()):
        return
    word = stem(run)
    means: dict[str, float] = {}
    if word in index:
        means[word] = 1.0
    if not ours or word not in index:
        for row in lexicon.meant(run):
            for one in row:
                if one in index:
                    means.setdefault(one, _OTHER)
    if ours or word in index:
        for one in lexicon.synonyms(word):
            if one in index:
                means.setdefault(one, _LIKE)
    exact = word in index
    if not means and len(word) > 4 and not word.isdigit():
        means = dict.fromkeys(_begun(word, index), _BEGUN)
    if not means and len(word) > 3 and not word.isdigit():
        near = index.slips(run)
        if any(one in COMMON for one in near) or any(one in EMPTY for one in near):
            return
        means = dict.fromkeys((one for one in near if one in index), _SLIP)
        if ours or len(run) > 5:
            for slip in list(means):
                for one in lexicon.synonyms(slip):
                    if one in index:
                        means.setdefault(one, 0.3)
    yield _word(word, means, exact)


def _begun(word: str, index: Index) -> list[str]:
    """Other endings of the same beginning, and joined words that begin or end with a known one."""
    start = word[: max(5, len(word) - 3)]
    return [one for one in index.begins(start) if abs(len(one) - len(word)) <= 4][:6]


def _spaceless(run: str, index: Index, lexicon: Lexicon) -> Iterator[Word]:
    for piece in pairs(run):
        if piece in index:
            yield _word(piece, {piece: 1.0}, True)
    for piece, rows in lexicon.held(run):
        means = {one: _OTHER for row in rows for one in row if one in index}
        yield _word("=" + piece, means)
