from __future__ import annotations

from localagent.store import paths, welcome


def test_what_was_asked_is_remembered_and_a_damaged_file_asks_again() -> None:
    assert welcome.load() == welcome.Welcome()
    welcome.asked("model")
    welcome.asked("model")
    welcome.fetching("starter")
    welcome.asked("mode")
    assert welcome.load() == welcome.Welcome(("model", "mode"), "starter")
    welcome.fetching("")
    assert welcome.load().fetching == ""
    file = paths.state_dir() / "welcome.json"
    for text in ("", "[]", '{"asked": 1, "fetching": ""}', "{"):
        file.write_text(text)
        assert welcome.load() == welcome.Welcome()
