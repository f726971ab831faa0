"""The app's words in another language: chosen by the usual variables, English where nothing is known."""

from __future__ import annotations

import pytest

from localagent.tui import words


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
