# ruff: noqa: RUF001
"""The language of a request: named where there is no doubt, and nothing said of it else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from localagent import wiring
from localagent.agent import tongue
from localagent.commands import arguments
from localagent.events import Nudged
from localagent.store import settings
from tests.bench.test_desk import BENCH
from tests.fakes import ScriptedEngine, nobody


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("zh", "把 report.txt 改名为 final.txt"),
        ("ja", "report_final_2026.txt の合計を計算してください"),
        ("ko", "모든 .png 파일을 photos 폴더로 옮겨 주세요"),
        ("ru", "Переименуй файл report.txt в старый.txt"),
        ("uk", "Перейменуй файл звіт.txt і нічого більше"),
        ("ar", "كم عدد الملفات في المجلد صور؟"),
        ("fa", "پرونده گزارش را باز کن"),
        ("hi", "फ़ोल्डर में कितनी फ़ाइलें हैं?"),
        ("th", "มีไฟล์กี่ไฟล์ในโฟลเดอร์ photos"),
        ("he", "כמה קבצים יש בתיקייה?"),
        ("el", "Πόσα αρχεία υπάρχουν στον φάκελο;"),
        ("de", "Benenne die Datei brief.txt in alt.txt um und lösche sie nicht."),
        ("es", "¿Cuántos archivos hay en la carpeta fotos?"),
        ("fr", "Combien de fichiers y a-t-il dans le dossier photos ?"),
        ("it", "Quanti file ci sono nella cartella foto e quale è il più grande?"),
        ("en", "Rename the file a.txt to b.txt and leave the others"),
        ("en", 'Replace the word "Grüße aus der Stadt" with "今日は天気がいい" in the file'),
        ("", "Run compute.py"),
        ("", "12 + 30"),
        ("", ""),
    ],
)
def test_the_language_of_a_text(code: str, text: str) -> None:
    assert tongue.of(text) == code


@pytest.mark.parametrize("file", ["desk.yaml", "long.yaml", "desk_mail.yaml"])
def test_who_asks_in_english_is_never_told_twice(file: str) -> None:
    asked = [task["prompt"] for task in yaml.safe_load((BENCH / file).read_text()) if task.get("prompt", "").isascii()]
    assert asked and [one for one in asked if tongue.missed(one, "I moved the files to the folder that is new.")] == []


@pytest.mark.parametrize(
    ("request_", "answer", "language"),
    [
        ("把这封信删除", "I deleted the letter and the file is gone.", "Chinese"),
        ("把这封信删除", "已删除。", ""),
        ("把文件 会议记录.txt 改名", "I renamed 会议记录.txt to 二月会议.txt.", "Chinese"),
        ("Cambia el nombre del archivo a.txt y no toques los otros", "I renamed canción.txt to música.txt.", "Spanish"),
        ("把这封信删除", "kivi-88", ""),
        ("把这封信翻译成英文", "The letter is in the file.", ""),
        ("Wie hoch ist die Summe der Spalte Betrag in der Datei a.csv?", "The sum of the column is 1043.", "German"),
        ("Wie hoch ist die Summe der Spalte Betrag in der Datei a.csv?", "1043", ""),
        ("Übersetze die Datei brief.txt ins Englische und speichere sie im Ordner neu", "The letter is in the folder.", ""),
        ("Run compute.py", "The result is in the file.", ""),
    ],
)
def test_an_english_answer_to_another_language_is_noticed(request_: str, answer: str, language: str) -> None:
    assert tongue.missed(request_, answer) == language


def test_a_hidden_secret_is_in_no_language() -> None:
    assert tongue.of("look SECRET_key_5e0a1e0a1da5e0 at it") == tongue.of("look at it")


def test_an_answer_speaks_a_language_whatever_it_names() -> None:
    assert tongue.speaks("已将 report.txt 改名为 final-version.txt。", "zh") and not tongue.speaks("Renamed 会议记录.txt to x.txt.", "zh")
    assert tongue.speaks("Die Summe ist 1043.", "de") and not tongue.speaks("The sum of the column is 1043.", "de")
    assert not tongue.speaks("", "ru") and not tongue.speaks("会议已改名", "ja")


def told(*script: object, request: str = "把 a.txt 删除") -> tuple[str, list[str], ScriptedEngine]:
    """The final answer of a turn, what the host said in it, and the engine that was asked."""
    engine = ScriptedEngine(*script)

    async def turn() -> tuple[str, list[str]]:
        session = await wiring.for_do(arguments.of_do(["--yes", request]), engine, settings.load())
        events = [event async for event in session.send(request, nobody)]
        assert session.ended is not None
        return session.ended.final, [event.text for event in events if isinstance(event, Nudged)]

    return *asyncio.run(turn()), engine


def test_the_answer_is_given_once_more_in_the_language_of_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    final, said, engine = told("The file is not in the folder.", "文件不在文件夹里。")
    assert final == "文件不在文件夹里。" and said == ["The user does not write English. Say that once more in Chinese."]
    messages, specs = engine.asked[-1]
    assert specs == () and "The file is not in the folder." in messages[-1].text and len(engine.asked) == 2
    assert told("文件不在文件夹里。")[:2] == ("文件不在文件夹里。", [])
    # A second answer in English helps nobody: the first stands.
    assert told("The file is not in the folder.", "It is not there at all and was not.")[0] == "The file is not in the folder."
