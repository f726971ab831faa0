# ruff: noqa: RUF001
"""In which encoding old text files are, and that none of their bytes is lost."""

from __future__ import annotations

import os

import pytest

from localagent.toolbox.encodings import encoding_of, kept
from tests.rounds import rounds

SAID = [
    ("cp932", "Shift-JIS", "今日は天気がいいですね。\n買い物リスト：牛乳、卵\n"),
    ("cp932", "Shift-JIS", "見積書\n合計 1200円"),
    ("euc_jp", "EUC-JP", "今日は天気がいいですね。\n買い物リスト：牛乳、卵\n"),
    ("iso2022_jp", "ISO-2022-JP", "今日は天気がいい"),
    ("gb18030", "GB18030", "你好，世界。这是一个测试文件。\n价格：12元"),
    ("gb18030", "GB18030", "会议记录"),
    ("big5", "Big5", "今天天氣很好，我們去公園。\n價格：一百元"),
    ("cp949", "EUC-KR", "안녕하세요. 회의는 금요일입니다.\n"),
    ("cp1251", "Windows-1251", "Привет, мир! Счёт за февраль: 120 руб.\n"),
    ("cp1251", "Windows-1251", "Привіт, як справи? Їжа є."),
    ("koi8_r", "KOI8-R", "Привет, мир! список покупок"),
    ("cp866", "CP866", "Привет, мир! Список покупок: молоко, хлеб\n"),
    ("iso8859_5", "ISO-8859-5", "Привет, мир! Список покупок: молоко, хлеб\n"),
    ("cp1253", "Windows-1253", "Καλημέρα κόσμε, αυτό είναι ένα αρχείο.\n"),
    ("cp1255", "Windows-1255", "שלום עולם, זה קובץ בדיקה\n"),
    ("cp1256", "Windows-1256", "مرحبا بالعالم، هذا ملف للتجربة\n"),
    ("cp874", "TIS-620", "สวัสดีชาวโลก นี่คือแฟ้มทดสอบ\n"),
    ("latin-1", "Latin-1", "Grüße aus München, schöne Ölbäume"),
    ("latin-1", "Latin-1", "año español ¿qué? niño"),
    ("latin-1", "Latin-1", "x = 5 °C, £5 à la carte"),
    ("latin-1", "Latin-1", "Åse"),
    ("cp1252", "Windows-1252", "“smart quotes” – dash… it’s €5"),
    ("cp1254", "Windows-1254", "Şu dağın ardında güneş doğuyor, ığdır"),
    ("cp1250", "Windows-1250", "Zażółć gęślą jaźń, łódź"),
    ("iso8859_2", "ISO-8859-2", "Zażółć gęślą jaźń, łódź i ścieżka"),
    ("utf-16", "UTF-16", "a b"),
    ("utf-16-le", "UTF-16", "hello world 日本\n"),
    ("utf-16-be", "UTF-16", "Привет мир\n123"),
    ("utf-32", "UTF-32", "xyz"),
    ("utf-8-sig", "UTF-8", "hé"),
    ("utf-8", "UTF-8", "日本語 и русский"),
    ("ascii", "UTF-8", "plain"),
]


@pytest.mark.parametrize(("codec", "name", "text"), SAID)
def test_a_text_is_read_as_it_was_written(codec: str, name: str, text: str) -> None:
    data = text.encode(codec)
    found = encoding_of(data)
    assert found is not None and (found.name, found.decode(data), found.encode(text)) == (name, text, data)
    assert kept(data) == (text, found)


@pytest.mark.parametrize(("codec", "name", "text"), [one for one in SAID if one[0] in ("cp932", "euc_jp", "gb18030", "big5", "cp949")])
def test_a_beginning_may_end_within_a_letter(codec: str, name: str, text: str) -> None:
    data = (text * 20).encode(codec)
    for end in (len(data) // 2, len(data) // 2 + 1):
        found = encoding_of(data[:end], False)
        assert found is not None and found.name == name
        assert text.startswith(found.begin(data[:end]).rstrip("\ufffd")[: len(text)])


@pytest.mark.parametrize("data", [b"\0needle", bytes(range(256)), b"\x7fELF\x02\x01\x01" + bytes(9), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_what_is_no_text_is_none(data: bytes) -> None:
    assert encoding_of(data) is None and kept(data) is None


def test_whatever_the_bytes_they_come_back() -> None:
    for _ in range(rounds(400)):
        data = bytes(byte for byte in os.urandom(60) if byte > 31 or byte in (9, 10, 13))
        found = kept(data)
        assert found is not None and found[1].encode(found[0]) == data
