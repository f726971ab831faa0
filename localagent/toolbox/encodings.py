# ruff: noqa: RUF001
"""In which encoding the bytes of a text file are: marks and UTF-8 for sure, old national encodings by how likely their text is.

A guess is never the reason for a loss: `Encoding.decode` and `encode` raise where they do not fit, and who edits a file first
makes sure that its own bytes come back.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_LOOKED = 16_384
"""So many bytes from the first that is no ASCII are judged."""
_SURE = 0.5
"""A mean worth of the letters beyond ASCII from which a guess counts; below it the text is taken for Latin-1."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """`codec` is Python's name, `name` what people call it, `mark` the bytes at the file's beginning that say so."""

    codec: str
    name: str
    mark: bytes = b""

    def decode(self, data: bytes) -> str:
        """The text without its mark. Raises UnicodeDecodeError."""
        return data.removeprefix(self.mark).decode(self.codec)

    def encode(self, text: str) -> bytes:
        """The file of a text. Raises UnicodeEncodeError where the encoding lacks a letter."""
        return self.mark + text.encode(self.codec)

    def begin(self, data: bytes) -> str:
        """The text that `data` begins with, without what is broken off at its end."""
        return codecs.getincrementaldecoder(self.codec)("replace").decode(data.removeprefix(self.mark))


UTF8 = Encoding("utf-8", "UTF-8")
LATIN = Encoding("latin-1", "Latin-1")


def encoding_of(data: bytes, whole: bool = True) -> Encoding | None:
    """How to read a file that is `data`, or only begins so (its last letter may be broken off); None for what is no text."""
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return Encoding(codec, name, mark)
    if b"\0" in data:
        return _wide(data)
    if b"\x1b$" in data and data.isascii() and _try(data, "iso2022_jp", whole) is not None:
        return Encoding("iso2022_jp", "ISO-2022-JP")
    if _try(data, "utf-8", whole) is not None:
        return UTF8
    odd = sum(byte < 9 or (13 < byte < 32 and byte != 27) for byte in data)
    return None if odd * 50 >= len(data) else _likeliest(data, whole)


def kept(data: bytes) -> tuple[str, Encoding] | None:
    """The text of a whole file and the encoding whose bytes come back as they were; None for what is no text."""
    found = encoding_of(data)
    for one in (found, LATIN) if found is not None else ():
        try:
            text = one.decode(data)
            if one.encode(text) == data:
                return text, one
        except UnicodeError:
            continue
    return None


def _wide(data: bytes) -> Encoding | None:
    """UTF-16 without a mark: the zero bytes of its ASCII letters stand all on one side, and it reads as text throughout."""
    sides = {at % 2 for at, byte in enumerate(data[:_LOOKED]) if byte == 0}
    if len(sides) != 1 or data[:_LOOKED].count(0) < 2:
        return None
    codec = "utf-16-le" if sides == {1} else "utf-16-be"
    text = _try(data[: len(data) // 2 * 2][:_LOOKED], codec, False)
    good = text and all(char in "\t\r\n\f\ufeff" or unicodedata.category(char)[0] != "C" for char in text)
    return Encoding(codec, "UTF-16") if good else None


def _try(data: bytes, codec: str, whole: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(codec)().decode(data, whole)
    except UnicodeDecodeError:
        return None


def _likeliest(data: bytes, whole: bool) -> Encoding:
    first = next(at for at, byte in enumerate(data) if byte > 127)
    begin = data.rfind(b"\n", 0, first) + 1
    part = data[begin : begin + _LOOKED]
    best, most = LATIN, 0.0
    for encoding, worth in _GUESSED:
        text = _try(part, encoding.codec, whole and begin + len(part) == len(data))
        if text is None:
            continue
        found = worth(text)
        if found > most:
            best, most = encoding, found
    if most < _SURE:
        return LATIN
    if best.codec == "cp1252" and not any(0x80 <= byte < 0xA0 for byte in data):
        return LATIN
    return best


def _mean(text: str, worth: Callable[[str, str, str], float]) -> float:
    """The mean worth of the letters beyond ASCII, each with its neighbours."""
    padded = f" {text} "
    found = [worth(padded[at], padded[at - 1], padded[at + 1]) for at in range(1, len(padded) - 1) if padded[at] > "\x7f"]
    return sum(found) / len(found) if found else 0.0


def _eastern(worths: Callable[[str], float]) -> Callable[[str], float]:
    """Characters of two bytes stand together; one alone among ASCII is rather an accent and the letter behind it."""

    def worth(char: str, before: str, after: str) -> float:
        return worths(char) * (0.4 if before.isascii() and after.isascii() else 1.0)

    return lambda text: _mean(text, worth)


def _japanese(char: str) -> float:
    if "\u3040" <= char <= "\u30ff" or "\u3000" <= char <= "\u3002" or "\uff01" <= char <= "\uff5e":
        return 1.0
    if "\uff61" <= char <= "\uff9f":
        return 0.1
    # The common characters come first in its table, by their sound.
    row = char.encode("euc_jp", "replace")[:1]
    return 0.8 if b"\xb0" <= row <= b"\xcf" else 0.2 if b"\xd0" <= row <= b"\xf4" else 0.1


def _simplified(char: str) -> float:
    if "\u3040" <= char <= "\u30ff":
        return -0.5
    code = char.encode("gb18030", "replace")
    if len(code) != 2 or code[1] < 0xA1:
        return -0.3
    return 1.0 if char in _HAN else 0.7 if 0xB0 <= code[0] <= 0xD7 else 0.8 if code[0] in (0xA1, 0xA3) else 0.2


def _traditional(char: str) -> float:
    code = char.encode("big5", "replace")
    if len(code) != 2 or char <= "\u04ff":
        return -0.3
    return 1.0 if char in _HAN else 0.69 if 0xA4 <= code[0] <= 0xC6 else 0.8 if 0xA1 <= code[0] <= 0xA3 else 0.2


def _korean(char: str) -> float:
    if char in _HANGUL:
        return 1.05
    usual = "\uac00" <= char <= "\ud7a3" and b"\xb0" <= char.encode("euc_kr", "replace")[:1] <= b"\xc8"
    return 0.65 if usual else 0.5 if "\u3000" <= char <= "\u3011" else -0.3


def _alphabet(common: str, usual: str, begin: str, end: str) -> Callable[[str], float]:
    """The worth of a text of one script (`begin` to `end`), whose letters follow each other: by how common each is."""

    def worth(char: str, before: str, after: str) -> float:
        if not begin <= char <= end:
            return 0.5 if char in "«»—–“”„’№…\xa0" else -0.6
        if char.isupper() and before.islower():
            return -1.0
        low = char.lower()
        # A letter of the script inside a word of ASCII, or alone, is an accent of some western language.
        mixed = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
        alone = not before.isalpha() and not after.isalpha()
        shouted = char.isupper() and before.isupper()
        return -0.3 if mixed else 0.3 if alone or shouted or low not in common + usual else 1.0 if low in common else 0.75

    return lambda text: _mean(text, worth)


def _western(rare: str, most: float) -> Callable[[str], float]:
    """The worth of a text of Latin letters, most of which are ASCII; `rare` are those that hardly any language writes."""

    def worth(char: str, before: str, after: str) -> float:
        beside = sum(one.isalpha() for one in (before, after))
        if not char.isalpha():
            return -0.8 if beside == 2 and char not in "’·\xad" else 0.6
        if (char.isupper() and before.islower()) or sum(one > "\x7f" and one.isalpha() for one in (before, after)) == 2:
            return -0.8
        return 0.2 if char in rare else most if beside else 0.4

    return lambda text: _mean(text, worth)


_HAN = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些"
    "主样理心她本前开但因只从想实日者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应向头文体政美相见被利什二等产或新己制身果加西月话合回特代内信"
    "表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走各入几口认条平系气题活更别打女变四总何电数安少报结反受目太量再建务做接必场件计管期市直资金指统区保至社便空决展科司"
    "五基书非则听白界达光放强即难且权思完设式色路记南品住告类求据程北边该交规万取格望领共确传师观清今切院让识带导运"
)
_HANGUL = frozenset(
    "이다는을를에의가은로하고지한사기인자도나서리어시대수아보해일정부그있것들니전국구상동여과성주면만세라습요안제원장스오게업무조연공비경회우년월내용"
)
_CYRILLIC = _alphabet("оеаинтсрвлкм", "дпуяыьгзбчйхіїєж", "Ѐ", "ӿ")
_GUESSED: tuple[tuple[Encoding, Callable[[str], float]], ...] = (
    (Encoding("cp932", "Shift-JIS"), _eastern(_japanese)),
    (Encoding("euc_jp", "EUC-JP"), _eastern(_japanese)),
    (Encoding("gb18030", "GB18030"), _eastern(_simplified)),
    (Encoding("big5", "Big5"), _eastern(_traditional)),
    (Encoding("cp949", "EUC-KR"), _eastern(_korean)),
    (Encoding("cp1251", "Windows-1251"), _CYRILLIC),
    (Encoding("koi8_r", "KOI8-R"), _CYRILLIC),
    (Encoding("koi8_u", "KOI8-U"), _CYRILLIC),
    (Encoding("cp866", "CP866"), _CYRILLIC),
    (Encoding("iso8859_5", "ISO-8859-5"), _CYRILLIC),
    (Encoding("cp1253", "Windows-1253"), _alphabet("αειοτνσηυρς", "πκμλάίόέώθδγχ", "Ͱ", "Ͽ")),
    (Encoding("cp1255", "Windows-1255"), _alphabet("יוהלארתבמש", "נםעדחקפכטצג", "֑", "׿")),
    (Encoding("cp1256", "Windows-1256"), _alphabet("اليمنرتوبهعدة", "سفقكحجشصىطخ،", "،", "ۿ")),
    (Encoding("cp874", "TIS-620"), _alphabet("านรอกงเมยลวดทตสบปหคแจพชไใโ", "่้ิีัุูะำ็ืึ์", "ก", "๛")),
    (Encoding("cp1252", "Windows-1252"), _western("ðþÐÞ", 0.9)),
    (Encoding("cp1254", "Windows-1254"), _western("", 0.85)),
    (Encoding("cp1250", "Windows-1250"), _western("ŁÂĂđĐţŢă", 0.84)),
    (Encoding("iso8859_2", "ISO-8859-2"), _western("ŁÂĂđĐţŢă", 0.83)),
)
NAMES: Mapping[str, str] = {encoding.codec: encoding.name for encoding, _ in _GUESSED}
