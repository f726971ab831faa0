"""A request as what its words can mean in the words of something that is searched. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .index import URL
from .lexicon import Lexicon
from .vocabulary import Vocabulary
from .words import COMMON, EMPTY, addresses, english, pairs, runs, spaceless, stem

_MOST = 48
"""Words that are looked at: more are a text, not a request."""
# A path, or a name with an ending of files.
_NAMED = re.compile(
    r"(?<!\S)(?:~?/[\w./*~-]+|[A-Za-z]:\\\S+)|[\w*~/.-]*\.(?:txt|md|csv|tsv|json|ya?ml|toml|ini|cfg|conf|log|py|js|ts|sh|html?|xml|pdf|docx?|xlsx?|pptx?|"
    r"odt|ods|jpe?g|png|gif|svg|heic|mp3|mp4|wav|mkv|zip|tar|gz|db)\b",
    re.IGNORECASE | re.ASCII,
)
# Folders that everybody has, with their capitals.
_PLACE = re.compile(r"\b(?:Documents|Desktop|Downloads|Pictures|Videos|Dokumente|Bilder|Documentos|Escritorio|Descargas|Bureau|Imagens)\b")
_HOUR = re.compile(r"\b\d{1,2}(?::\d\d)? ?(?:am|pm)\b", re.IGNORECASE)
_TIME = {"time": 0.6, "timezon": 0.4}
_FOLDER = {"file": 0.8, "folder": 0.6, "directori": 0.6}
_FILE = {"file": 1.0, "path": 0.4}
_LETTER = {"email": 0.6, "mail": 0.6, "messag": 0.6}
_PAGE = {URL: 1.0, "url": 0.9, "fetch": 0.9, "webpag": 0.9, "page": 0.6, "scrape": 0.7}
_LATIN = re.compile(r"(?<![\w./@#~-])[A-Za-z]{4,20}(?![\w./@-])", re.ASCII)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_OTHER, _LIKE, _BEGUN, _SLIP, _SLIPPED = 0.8, 0.55, 0.7, 0.75, 0.41
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


def understood(query: str, vocabulary: Vocabulary, lexicon: Lexicon) -> list[Word]:
    """The words that say something, those that no tool knows among them without a meaning."""
    text, sites = addresses(query)
    text, named = _NAMED.sub(" ", text), bool(_NAMED.search(text))
    found = runs(text)
    ours = english(found)
    made: dict[str, Word] = {}
    for run in dict.fromkeys(found):
        if len(made) >= _MOST:
            break
        for word in _spaceless(run, vocabulary, lexicon) if spaceless(run) else _spaced(run, ours, vocabulary, lexicon):
            made.setdefault(word.said, word)
    signs = (
        ("\x01file", named, _FILE, 1.0),
        ("\x01place", bool(_PLACE.search(text)) and not named, _FOLDER, 1.0),
        ("\x01hour", bool(_HOUR.search(text)), _TIME, 1.0),
        ("\x01mail", bool(_MAIL.search(text)), _LETTER, 1.0),
        (URL, bool(sites), _PAGE, 1.6),
    )
    for sign, is_there, told, weight in signs:
        if is_there:
            made[sign] = Word(sign, {one: strength for one, strength in told.items() if one in vocabulary}, weight, False)
    for row in lexicon.phrased(f" {' '.join(found)} "):
        made.setdefault(" ".join(row), _word(" ".join(row), {one: _OTHER for one in row if one in vocabulary}))
    for site in sites[:4]:
        if site in vocabulary:
            made.setdefault(site, _word(site, {site: 1.0}))
    return list(made.values())


def mended(query: str, vocabulary: Vocabulary, lexicon: Lexicon) -> str:
    """The request with its slips put right where that is plain, for whoever knows whole words only."""

    def right(match: re.Match[str]) -> str:
        run = match.group().lower()
        word = stem(run)
        if run in EMPTY or run in COMMON or word in vocabulary or word in lexicon.alike or word in GENERIC or lexicon.meant(run):
            return match.group()
        near = vocabulary.slips(run, lexicon.alike)
        return next((one for one in near if one in COMMON), near[0] if len(near) == 1 else match.group())

    return _LATIN.sub(right, query)


def _word(said: str, means: dict[str, float], exact: bool = False) -> Word:
    generic = said in GENERIC or (bool(means) and not exact and all(one in GENERIC for one in means))
    return Word(said, means, 0.55 if generic else 1.0, exact)


def _spaced(run: str, ours: bool, vocabulary: Vocabulary, lexicon: Lexicon) -> Iterator[Word]:
    if run in EMPTY or (len(run) < 2 and not run.isdigit()):
        return
    word = stem(run)
    exact = word in vocabulary
    means = {word: 1.0} if exact else {}
    if not ours or not exact:
        for row in lexicon.meant(run):
            _add(means, row, _OTHER, vocabulary)
    if ours or exact:
        _add(means, lexicon.synonyms(word), _LIKE, vocabulary)
    if not means and len(word) > 4 and not word.isdigit():
        means = dict.fromkeys(_begun(word, vocabulary), _BEGUN)
    # A word that we know is no slip of another.
    known = word in lexicon.alike or word in GENERIC or run in COMMON
    if not means and not known and len(word) > 3 and not word.isdigit():
        near = vocabulary.slips(run, lexicon.alike)
        if any(one in COMMON for one in near):
            return
        means = {one: _SLIP for one in near if one in vocabulary}
        for slip in near if ours or len(run) > 5 else ():
            _add(means, lexicon.synonyms(slip), _SLIPPED, vocabulary)
    yield _word(word, means, exact)


def _add(means: dict[str, float], words: Iterable[str], strength: float, vocabulary: Vocabulary) -> None:
    for one in words:
        if one in vocabulary:
            means.setdefault(one, strength)


def _begun(word: str, vocabulary: Vocabulary) -> list[str]:
    """Other endings of the same beginning, and joined words that begin or end with a known one."""
    start = word[: max(5, len(word) - 3)]
    return [one for one in vocabulary.begins(start) if abs(len(one) - len(word)) <= 4][:6]


def _spaceless(run: str, vocabulary: Vocabulary, lexicon: Lexicon) -> Iterator[Word]:
    for piece in pairs(run):
        if piece in vocabulary:
            yield _word(piece, {piece: 1.0}, True)
    for piece, rows in lexicon.held(run):
        means = {one: _OTHER for row in rows for one in row if one in vocabulary}
        yield _word("=" + piece, means)
