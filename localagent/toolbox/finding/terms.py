"""A short text, or a request, as the terms that say what it is about: words, and pieces of what is written without spaces. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .asked import GENERIC
from .lexicon import lexicon
from .words import EMPTY, plain, stem

VERSION = 1
"""Part of the key under which terms are kept; raised when they become others."""
_MOST = 64
_READ = 4000
_LONG = 64
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HAN, _HIRAGANA, _HANGUL, _THAI = "\u3400-\u9fff\uf900-\ufaff\u30a0-\u30ff\u3005-\u3007", "\u3041-\u309f", "\uac00-\ud7af", "\u0e00-\u0e7f"
# Lao, Burmese, Khmer.
_OTHERS = "\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
_RUN = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<kana>[{_HIRAGANA}]+)|(?P<hangul>[{_HANGUL}]+)|(?P<thai>[{_THAI}]+)|(?P<other>[{_OTHERS}]+)"
    rf"|(?P<word>[\u0900-\u0dff]+|[^\W_{_HAN}{_HIRAGANA}{_HANGUL}{_THAI}{_OTHERS}\u0900-\u0dff]+)"
)
# What sentences are held together by. Both sides are cut there alike, so a word that is cut with them is cut on both.
_HAN_EMPTY = re.compile(
    "[的了是在我你您他她它们這这那哪谁誰和与與吗嗎呢吧啊把被给給请請帮幫个個什么麼怎叫何几幾就也都很有为為从從到私僕俺]"
)
_KANA_EMPTY = re.compile(plain(
    "でした|ました|ません|ください|おしえて|について|という|わたし|です|ます|から|まで|ので|のに|する|した|して|いる|いて|ある|あり|なに|どこ|だれ|いつ|"
    "どう|これ|それ|あれ|この|その|あの|ここ|そこ|なん|って|には|では|とは|にも|でも|もの|こと|ため|よう|さん|ちゃん|ぼく|おれ|[はがをにのとでもへや]"
))
_THAI_EMPTY = re.compile(
    plain(
        "ของ|ฉัน|ผม|ดิฉัน|คุณ|อะไร|คือ|ที่ไหน|ที่|ใน|และ|หรือ|เป็น|อยู่|มี|ได้|ให้|ว่า|ไหม|ครับ|ค่ะ|คะ|ใคร|เมื่อไร|อย่างไร|"
        "จะ|ไป|มา|นี้|นั้น|ช่วย"
    )
)
_PARTICLE = re.compile(
    "(?<=..)(?:이에요|입니다|에서|에게|으로|이야|이다|예요|은|는|이|가|을|를|의|에|로|와|과|도|만|야)$|"
    "(?<=.)(?:이에요|입니다|예요|은|는|을|를|의|야)$"
)
_HANGUL_EMPTY = frozenset("내 나 나의 제 저 저의 우리 뭐 무엇 누구 어디 언제 어떻게 그 이 것 해줘 주세요 알려줘 있어 있는".split())
_JOINED = re.compile("^(?:وال|بال|فال|لل|ال)(?=...)")
# Turkish, Polish, Arabic and others, beside those that tools' words leave out.
_EMPTY = EMPTY | frozenset(
    plain(
        "benim senin nedir ne adi heisst heissen heist appelle appeler llama chama chamo ما اسم هو هي मेरा मेरी क्या नाम "
        "называется зовут nazywa мою моеи моего μου η το που πως τι toi ten em call called tell know remember remembered please"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Term:
    """`key` is what is compared, `weight` how much it says, `kind` how it may be compared: a `word`, or a `piece` of unspaced writing."""

    key: str
    weight: float
    kind: str = "word"

    @property
    def start(self) -> str:
        """What the keys begin with that this one can match."""
        return self.key if self.kind == "piece" or len(self.key) < 5 else self.key[: max(4, len(self.key) - 3)]


def terms(text: str) -> list[Term]:
    """Each once, in their order."""
    found: dict[str, Term] = {}
    for term in _terms(_CAMEL.sub(" ", text[:_READ]).replace("'s ", " ").replace("\u2019s ", " ")):
        found.setdefault(term.key, term)
        if len(found) >= _MOST:
            break
    return list(found.values())


def _terms(text: str) -> Iterator[Term]:
    for match in _RUN.finditer(plain(text)):
        run = match.group()
        match match.lastgroup:
            case "han":
                for chunk in _HAN_EMPTY.split(run):
                    yield from _pieces(chunk, 2)
            case "kana":
                for chunk in _KANA_EMPTY.split(run):
                    yield from _pieces(chunk, 3, least=2)
            case "thai":
                for chunk in _THAI_EMPTY.split(run):
                    yield from _pieces(chunk, 3, least=2)
            case "other":
                yield from _pieces(run, 3, least=2)
            case "hangul":
                word = _PARTICLE.sub("", run)
                if run not in _HANGUL_EMPTY and word not in _HANGUL_EMPTY:
                    yield Term(word, 1.0)
            case _:
                yield from _word(run)


def _word(run: str) -> Iterator[Term]:
    run = run[:_LONG]
    if run in _EMPTY or (len(run) < 2 and not run.isdigit()):
        return
    key = _JOINED.sub("", run) if "\u0621" <= run[0] <= "\u064a" else stem(run)
    yield Term(key, 0.3 if _generic(run, key) else 1.0)


@lru_cache(4096)
def _generic(run: str, key: str) -> bool:
    """Whether it says what every second request says: file, name, list, in any language of the lexicon."""
    if key in GENERIC or not run[0].isalpha():
        return key in GENERIC
    rows = lexicon().meant(run) if len(run) > 2 else ()
    return bool(rows) and all(set(row) <= GENERIC for row in rows)


def _pieces(chunk: str, size: int, least: int = 1) -> Iterator[Term]:
    if len(chunk) < least:
        return
    if len(chunk) <= size:
        yield Term(chunk, 1.0 if len(chunk) > 1 else 0.6, "piece")
        return
    for at in range(len(chunk) - size + 1):
        yield Term(chunk[at : at + size], 0.6, "piece")


def alike(one: Term, other: Term) -> float:
    """How well two terms match, at most 1: other endings of a word are a little less."""
    if one.key == other.key:
        return 1.0
    if one.kind != other.kind:
        return 0.0
    if one.kind == "piece":
        short, long = sorted((one.key, other.key), key=len)
        return 0.6 if len(short) == 1 and short in long else 0.0
    longest, least = max(len(one.key), len(other.key)), 2 if one.key[0] >= "\uac00" else 4
    same = next((at for at, (a, b) in enumerate(zip(one.key, other.key, strict=False)) if a != b), min(len(one.key), len(other.key)))
    return 0.8 if same >= max(least, longest - 3) else 0.0
