"""The app's words in another language: chosen by the usual variables, English where nothing is known."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from localagent.errors import UsageError
from localagent.store import settings
from localagent.tui import wording, words
from localagent.tui.approval import Approval

from . import catalogue
from .scenes import call, said
from .support import Playing, asked, idle, run, say, screen, shows


@pytest.mark.parametrize(
    ("value", "code"), [("de_DE.UTF-8", "de"), ("zh-Hans-CN", "zh"), ("C.UTF-8", "c"), ("", ""), ("POSIX", "posix")]
)
def test_the_language_is_that_of_the_locale(monkeypatch, value, code):
    for name in ("LOCALAGENT_LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", value)
    assert words.language() == code


def test_an_unknown_language_is_english_and_values_are_put_in(monkeypatch):
    monkeypatch.setenv("LOCALAGENT_LANG", "../../etc/passwd")
    assert words.t("Stopped after {seconds}.", seconds="{2} s") == "Stopped after {2} s."


def test_the_catalogue_of_a_language_is_used(monkeypatch, tmp_path):
    (tmp_path / "eo.json").write_text('{"Copied.": "Kopiite."}', encoding="utf-8")
    monkeypatch.setattr(words, "_FOLDER", tmp_path)
    monkeypatch.setenv("LOCALAGENT_LANG", "eo")
    words._catalogue.cache_clear()
    assert words.t("Copied.") == "Kopiite."
    assert words.t("Never seen.") == "Never seen."
    words._catalogue.cache_clear()


@pytest.mark.parametrize("code", words.languages()[1:])
def test_a_catalogue_is_complete_and_holds_nothing_else(code):
    assert catalogue.faults(code) == []


def test_only_literals_are_translated_and_every_language_can_be_set():
    assert catalogue.texts()[1] == []
    assert words.languages() == ("en", "de", "es", "zh")
    for code in words.languages():
        assert settings.set_value("language", code).language == code
    with pytest.raises(UsageError):
        settings.set_value("language", "tlh")


def test_the_setting_goes_before_the_locale_and_our_variable_before_both(monkeypatch):
    monkeypatch.setenv("LANG", "es_ES.UTF-8")
    words.choose("de")
    try:
        assert words.t("Copied.") == "Kopiert."
        monkeypatch.setenv("LOCALAGENT_LANG", "zh")
        assert words.n_of(2, "{n} change: {what}", "{n} changes: {what}", what="x") == "2 处更改\uff1ax"
    finally:
        words.choose(None)
    monkeypatch.delenv("LOCALAGENT_LANG")
    assert words.t("Copied.") == "Copiado."


@pytest.mark.parametrize("width", [4, 11, 40])
def test_lines_are_measured_in_cells(width):
    text = "全屏应用 with words 和 一个非常长的没有空格的句子 averyveryverylongword"
    lines = wording.wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert cell_len(wording.cut(text, width)) <= width and wording.cut("短", 4) == "短"
    assert cell_len(wording.place("/x/" + "目录" * 30, width)) <= width


# The one with the longest words, and one of wide characters.
@pytest.mark.parametrize("code", ["de", "zh"])
def test_the_windows_are_whole_in_every_language_on_a_small_screen(monkeypatch, code):
    monkeypatch.setenv("LOCALAGENT_LANG", code)
    monkeypatch.setattr(Approval, "LOCKED_S", 0.01)

    async def play(pilot):
        await say(pilot, "Tidy up")
        await asked(pilot)
        lines = screen(pilot.app).split("\n")
        assert all(cell_len(line) <= 60 for line in lines)
        shown = "".join(lines).replace(" ", "")
        for key in ("n no", "y once", "s session", "a always", "e edit"):
            assert words.translated(key).replace(" ", "") in shown, key
        await pilot.press("escape")
        await idle(pilot)
        await pilot.press("f1")
        await shows(pilot, "/changes")
        assert all(cell_len(line) <= 60 for line in screen(pilot.app).split("\n"))

    answers = (said("", call("write", path="a.txt")), said("Done."))
    run(Playing(*answers), play, size=(60, 20))
