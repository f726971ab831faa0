"""The person's own words when a conversation has to be shortened: which of them still hold, and which were dealt with.

No model decides that. What reads like a lasting wish in one of many languages is kept word for word, and so are the first
requests and the latest; where there is room, all of them are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

FIRST = 5
"""Requests at the beginning that say what it is all about."""
LONG = 1200
"""Characters from which a request that was dealt with is kept by its beginning and its lasting sentences alone."""

_WORDS = (
    # English
    r"always|never|must|mustn't|only|don't|do not|does not|shall|should|without|avoid|prefer|instead of|rather than|at most|at least|"
    r"no more than|not more|from now on|in future|keep in mind|remember|note that|by default|every time|whenever|unless|except|forbidden|"
    r"make sure|as a rule|my name is|call me|i am|i'm|"
    # German
    r"immer|nie|niemals|nur|nicht|kein\w*|muss|müssen|soll\w*|darf|ohne|höchstens|mindestens|ab jetzt|künftig|merk\w*|statt|lieber|außer|"
    # French
    r"toujours|jamais|seulement|ne\b.{1,40}\bpas|doi[st]|devez|sans|au plus|au moins|désormais|dorénavant|évite\w*|plutôt|retiens|sauf|"
    # Spanish, Portuguese, Italian
    r"siempre|nunca|jamás|solo|sólo|debe\w*|sin|como máximo|al menos|a partir de ahora|evita\w*|recuerda|prefiero|salvo|"
    r"sempre|não|apenas|somente|deve\w*|sem|no máximo|a partir de agora|evite|lembre\w*|mai|soltanto|non|senza|d'ora in poi|ricorda\w*|"
    # Dutch, Polish, Swedish, Turkish, Indonesian, Vietnamese
    r"altijd|nooit|alleen|niet|zonder|voortaan|onthoud|zawsze|nigdy|tylko|nie wolno|bez|odtąd|pamiętaj|alltid|aldrig|endast|inte|utan|"
    r"her zaman|asla|sadece|olmadan|bundan sonra|selalu|jangan|hanya|tanpa|luôn|không bao giờ|đừng|chỉ|"
    # Russian, Ukrainian, Greek
    r"всегда|никогда|только|нельзя|не\s\w+|должн\w*|без|отныне|впредь|запомни\w*|завжди|ніколи|лише|пам'ятай|πάντα|ποτέ|μόνο|χωρίς|μην|"
    # Arabic, Hebrew, Persian, Hindi
    r"دائما|دائماً|أبدا|أبداً|فقط|لا\s\w+|يجب|بدون|من الآن|تذكر|תמיד|לעולם|אף פעם|רק|אסור|בלי|זכור|همیشه|هرگز|نکن|باید|بدون|"
    r"हमेशा|कभी\s+नहीं|केवल|सिर्फ|मत|ज़रूर|बिना|याद\s+रख\w*"
)
# Scripts that put no space between words.
_JOINED = (
    r"总是|始终|永远|从不|绝不|不要|不准|不能|别|必须|只|仅|务必|记住|以后|今后|从现在|除非|至少|最多|"
    r"總是|絕不|必須|記住|以後|常に|いつも|決して|絶対|だけ|のみ|必ず|しないで|ないで|今後|覚えて|以上|以下|禁止|"
    r"항상|절대|만\s|하지\s?마|반드시|앞으로|기억해|없이|เสมอ|ห้าม|อย่า|เท่านั้น|ต้อง|จำไว้"
)
_LASTING = re.compile(rf"(?<![\w]){'(?:' + _WORDS + ')'}(?![\w])|{_JOINED}", re.IGNORECASE)
_ENDS = r"\n.!?\u3002\uff01\uff1f\u061f\u0964"
_SENTENCE = re.compile(rf"[^{_ENDS}]*[{_ENDS}]+|[^{_ENDS}]+$")


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that the person said: the `number` of the request (counted from 1) that it belongs to."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Kept:
    """`words` are kept, oldest first; `left` of the others are not, `cut` of those that are, are kept in part."""

    words: tuple[Word, ...]
    left: int = 0
    cut: int = 0


def lasting(text: str) -> bool:
    """Whether it reads as if it were meant to hold from now on."""
    return _LASTING.search(text) is not None


def shortened(text: str) -> str:
    """A long text by its beginning and its lasting sentences, each where it stands."""
    if len(text) <= LONG:
        return text
    head = text[: LONG // 3]
    found = [m[0].strip() for m in _SENTENCE.finditer(text, LONG // 3) if len(m[0]) < LONG and lasting(m[0])]
    return " […] ".join([head.rstrip(), *found, ""]).rstrip()


def kept(said: Sequence[Word], now: int, room: int) -> Kept:
    """Those of the words that go on being shown.

    The request `now` is kept whole. Within `room` characters the lasting ones come first, then the first requests, then the
    latest; lasting ones are kept also where there is no room for them.
    """
    short = [word if word.number == now else Word(word.number, shortened(word.text)) for word in said]
    must = {n for n, word in enumerate(said) if word.number == now or lasting(word.text)}
    order = [*must, *(n for n in range(len(said)) if said[n].number <= FIRST), *range(len(said) - 1, -1, -1)]
    taken: set[int] = set()
    for n in dict.fromkeys(order):
        if n in must or len(short[n].text) <= room:
            taken.add(n)
            room -= len(short[n].text)
    cut = sum(short[n] != said[n] for n in taken)
    return Kept(tuple(short[n] for n in sorted(taken)), len(said) - len(taken), cut)
