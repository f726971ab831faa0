# ruff: noqa: RUF001
"""Whether a sentence has to do with a request, in many languages; and not with a request about something else."""

from __future__ import annotations

import pytest

from localagent.toolbox.finding.relevance import score
from localagent.toolbox.finding.terms import terms

# What is remembered, a question for it, and one for something else.
SAID = {
    "en": ("my sister's name is Anna", "what is my sister called?", "which file here is the largest?"),
    "de": ("Meine Schwester heißt Anna", "Wie heißt meine Schwester?", "Welche Datei ist die größte?"),
    "fr": ("Ma sœur s'appelle Anna", "Comment s'appelle ma sœur ?", "Quel fichier est le plus grand ?"),
    "es": ("Mi hermana se llama Anna", "¿Cómo se llama mi hermana?", "¿Qué archivo es el más grande?"),
    "pt": ("Minha irmã chama-se Anna", "Como se chama a minha irmã?", "Qual é o maior arquivo?"),
    "zh": ("我妹妹的名字是安娜", "我妹妹叫什么名字？", "这里最大的文件是哪个？"),
    "ja": ("私の妹の名前はアンナです", "妹の名前は何ですか？", "一番大きいファイルはどれですか"),
    "ko": ("내 여동생의 이름은 안나입니다", "여동생 이름이 뭐야?", "가장 큰 파일은 뭐야?"),
    "th": ("น้องสาวของฉันชื่อแอนนา", "น้องสาวของฉันชื่ออะไร", "ไฟล์ไหนใหญ่ที่สุด"),
    "ru": ("Мою сестру зовут Анна", "Когда приедет сестра?", "Какой файл самый большой?"),
    "ar": ("اسم أختي آنا", "ما اسم أختي؟", "ما هو أكبر ملف هنا؟"),
    "hi": ("मेरी बहन का नाम अन्ना है", "मेरी बहन का नाम क्या है?", "सबसे बड़ी फ़ाइल कौन सी है?"),
    "tr": ("Kız kardeşimin adı Anna", "Kız kardeşimin adı ne?", "En büyük dosya hangisi?"),
    "vi": ("Em gái tôi tên là Anna", "Em gái tôi tên gì?", "Tệp nào lớn nhất?"),
    "he": ("לאחותי קוראים אנה", "איך קוראים לאחותי?", "מהו הקובץ הגדול ביותר?"),
}

FACTS = [
    "my sister's name is Anna",
    "I live in Hamburg",
    "The build is `make all`, tests run with `make test`",
    "Invoices go to ~/Documents/invoices/YEAR",
    "I prefer short answers",
    "The staging server is stage.example.org",
    "My name is Peter",
]


def fitting(request: str, texts: list[str]) -> list[str]:
    asked = terms(request)
    held = {term.key: sum(term.key in [one.key for one in terms(text)] for text in texts) for term in asked}
    return [text for text in texts if score(asked, text, held, len(texts)).fits]


@pytest.mark.parametrize("language", SAID)
def test_a_language_finds_its_own_and_nothing_beside(language: str) -> None:
    known = [said for said, _, _ in SAID.values()]
    said, asked, other = SAID[language]
    assert said in fitting(asked, known) and len(fitting(asked, known)) <= 2
    assert fitting(other, known) == []


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ("run the tests", ["The build is `make all`, tests run with `make test`"]),
        ("Please move the new invoices to where they belong", ["Invoices go to ~/Documents/invoices/YEAR"]),
        ("what is my name?", ["my sister's name is Anna", "My name is Peter"]),
        ("where do I live", ["I live in Hamburg"]),
        ("write a long and friendly letter to my sister about the weekend, the weather and the new house", ["my sister's name is Anna"]),
        ("write a haiku about rain", []),
        ("rename all files by their date", []),
        ("list the files", []),
        ("", []),
        ("?!", []),
    ],
)
def test_a_request_is_told_what_it_needs(request_: str, found: list[str]) -> None:
    assert fitting(request_, FACTS) == found


def test_a_very_long_request_and_text_cost_little() -> None:
    assert len(terms("word" * 100_000)) == 1 and len(terms(" ".join(f"w{n}x" for n in range(100_000)))) == 64
    assert not score(terms("妹" * 100_000), "x" * 100_000, {}, 1).fits
