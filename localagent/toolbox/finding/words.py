# ruff: noqa: RUF001
"""Texts as words: split, without accents and endings, without those that say nothing. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPACELESS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# The vowel signs of Devanagari are no letters to `re`.
_RUNS = re.compile(rf"[{_SPACELESS}]+|[\u0900-\u0963]+|[^\W_{_SPACELESS}]+")
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'\u3000-\u303f\uff00-\uffef]+", re.IGNORECASE)
_SIDE = re.compile(r"^(?:https?://)?(?:www\.)?([^/:?#\s]+)", re.IGNORECASE)

# They say nothing of what is meant, in English and in the languages that the lexicon knows.
EMPTY = frozenset(
    "a an and any are as at be been but by can could do does did for from get give go got has have had he her hers him his how i if in "
    "into is it its just let like me mine my need no not of off on one or our out please she so some that the their them then there "
    "these they this those to too up us use using want was we were what when where which who whose why will with would you your am "
    "about also should may might than only very much more most really here now after before between through via per "
    "der die das den dem des ein eine einen einem einer und oder ist sind war bitte mir mich mein meine meinen meiner dir dich "
    "fur auf im am zu zum zur von vom mit bei nach aus wie was wer wo wann welche welcher welches gibt es ich du er sie wir ihr "
    "nicht auch noch mal kannst kann konntest dass alles uber hat habe haben wird werden sein einmal "
    "le la les un une des du de et ou est sont dans sur pour par avec sans que qui quoi quel quelle quels quelles moi mon ma mes "
    "ton ta tes son sa ses nous vous ils elles ce cet cette ces peux pouvez peut tu je il elle au aux en y ai as avoir fais fait "
    "el los las una unos unas del al y o es son en con sin por para que quien cual cuales como donde cuando mi mis tu tus su sus me te "
    "se nos puedes puede quiero hay esta este estos estas eso lo "
    "il lo gli i uno di da nel nella nei sul sulla per con che chi quale quali mio mia miei mie tuo sua suo puoi puo vorrei sono ho "
    "c'e ci questo questa questi queste dei delle degli alla allo ai "
    "o os as um uma uns umas do da dos das no na nos nas ao pelo pela com sem por para que quem qual quais meu minha meus minhas "
    "seu sua voce pode por favor quero tem esse essa este esta isso "
    "de het een en of is zijn van voor met op aan in bij naar uit wat wie waar welke mijn jouw ons kun kan je jij ik dit dat deze die "
    "alsjeblieft graag er heb heeft niet "
    "i w we z ze na do od dla o po przy przez jest sa co kto gdzie kiedy jak jaki jaka jakie ktore ktory moj moja moje moich mi mnie "
    "prosze mozesz czy to ten ta te tego tej nie sie "
    "и в во на с со к ко по из за от до для о об у не что кто где когда как какой какая какие какое мне меня мой моя мое мои моих "
    "пожалуиста можешь это этот эта эти ли есть же бы все "
    "का की के को में से पर है हैं था थे थी और या मेरा मेरे मेरी मुझे यह वह ये इस उस ने तो भी ही कर करो करें दो दें क्या कौन कब "
    "في من على الى إلى عن ما هل هذا هذه لي أن التي الذي مع كل أي هو هي يا لو "
    "ve ile bir bu icin mi mu de da ne nasil bana benim lutfen och att en ett som ar pa av till".split()
)
# Only English has them.
_ENGLISH = frozenset("the of to what my and for with this that from please how are does did i you your is it its which there have".split())
_OTHER = EMPTY - frozenset(
    "a an and any are as at be been but by can could do does did for from get give go got has have had he her hers him his how i if in "
    "into is it its just let like me mine my need no not of off on one or our out please she so some that the their them then there "
    "these they this those to too up us use using want was we were what when where which who whose why will with would you your am "
    "about also should may might than only very much more most really here now after before between through via per".split()
)

COMMON = tuple(
    "the that this what when where which with from have there their they them your right week today tomorrow yesterday already just "
    "please would could should about again some people said tell think need want look into does mean long much many little good best next "
    "first every under over down away off into going back while other thing things".split()
)
"""Words that slips are made of as often as of those of tools."""


def plain(text: str) -> str:
    """In small letters, without accents."""
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(ch for ch in parts if not unicodedata.combining(ch))).casefold()


def runs(text: str) -> list[str]:
    """The words as they stand, names split at capitals; what is written without spaces stays in one piece."""
    text = text.replace("'s ", " ").replace("\u2019s ", " ")
    if not text.isascii():
        return _RUNS.findall(plain(_CAMEL.sub(" ", text)))
    return _RUNS.findall(_CAMEL.sub(" ", text).lower())


def words(text: str) -> Iterator[str]:
    """The words that an index holds: their stems, and each pair of signs of scripts without spaces."""
    for run in runs(text):
        if spaceless(run):
            yield from pairs(run)
        elif len(run) > 1 or run.isdigit():
            yield stem(run)


def content(text: str) -> Iterator[str]:
    """The same without those that say nothing."""
    for run in runs(text):
        if spaceless(run):
            yield from pairs(run)
        elif run not in EMPTY and (len(run) > 1 or run.isdigit()):
            yield stem(run)


def spaceless(run: str) -> bool:
    return run[0] >= "\u3040" and bool(re.match(rf"[{_SPACELESS}]", run))


def pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] if len(run) > 2 else [run]


@lru_cache(16384)
def stem(word: str) -> str:
    """An English word without its usual endings; others lose little by it."""
    if len(word) < 4 or not word.isascii() or word.isdigit():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ion"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and re.search("[aeiouy]", word[: -len(ending)]):
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    if word.endswith("e") and len(word) > 4:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def english(found: list[str]) -> bool:
    """Whether the words that every sentence needs are more English than anything else."""
    ours, others = sum(word in _ENGLISH for word in found), sum(word in _OTHER and word not in _ENGLISH for word in found)
    return ours > others


def addresses(text: str) -> tuple[str, tuple[str, ...]]:
    """A text without the addresses of the web in it, and the names in their sites."""
    sites = [match.group(1) for url in _URL.findall(text) if (match := _SIDE.match(url))]
    return _URL.sub(" ", text), tuple(part.lower() for site in sites for part in site.split(".")[:-1] if part)
